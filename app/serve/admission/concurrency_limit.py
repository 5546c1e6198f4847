"""How many requests of one model may be under way: their latencies -> a number that follows the capacity behind it.

The rule is Gradient2's of Netflix's concurrency-limits: while requests take at most ``TOLERANCE`` times what they take without
a queue, the limit grows by its square root, beyond it shrinks in proportion, smoothed. It changes only where at least half of
it was in use, for an idle limit proves nothing.

Two things differ. A batch of 4,096 rows takes longer than one row, so each request is compared with others of its own size.
And what requests take without a queue is not a long average, which in a lasting overload becomes the overload itself: it rises
only by requests that had few at their side, and under load the limit goes down to its least now and then to see some.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

#: Requests that take up to this many times the least are no sign of a queue.
TOLERANCE = 2.0
#: A change waits for so many requests and so many seconds.
WINDOW_REQUESTS, WINDOW_S = 10, 0.1

_SMOOTHING = 0.2
_LEAST_GRADIENT = 0.5
_BACKOFF = 0.9
#: Seconds between two looks at what requests take without a queue.
PROBE_AFTER_S = 30.0
#: How far one request moves what is thought to be the least: down by a half, up by a tenth.
_FALL, _RISE = 0.5, 0.1
_SIZES = 24


class Limit:
    """A limit between ``least`` and ``most``. It begins at ``most``, for only a load can show that this is too much."""

    __slots__ = (
        "_busiest",
        "_clock",
        "_least",
        "_most",
        "_probe_at",
        "_probes",
        "_quickest",
        "_ratios",
        "_requests",
        "_until",
        "_value",
    )

    def __init__(self, least: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._least, self._most, self._clock = float(min(least, most)), float(most), clock
        self._value = float(most)
        self._quickest = [0.0] * _SIZES  # seconds by size, the power of two above the rows; 0 where none was seen
        self._probe_at, self._probes = clock() + PROBE_AFTER_S, 0  # requests that the probe under way still waits for
        self._ratios, self._requests, self._busiest = 0.0, 0, 0
        self._until = clock() + WINDOW_S

    @property
    def value(self) -> int:
        """Requests that may be under way."""
        return int(self._least if self._probes else self._value)

    def answered(self, seconds: float, rows: int, under_way: int) -> None:
        """A request of ``rows`` rows took ``seconds`` with ``under_way`` requests under way at its end, itself among them."""
        now, alone = self._clock(), under_way <= self._least
        quickest = self._least_seconds(seconds, min(rows.bit_length(), _SIZES - 1), alone=alone)
        if self._probes:
            self._probes -= alone
            return
        self._ratios += seconds / quickest
        self._requests += 1
        self._busiest = max(self._busiest, under_way)
        if self._requests >= WINDOW_REQUESTS and now >= self._until:
            self._adapt(now)

    def throttled(self) -> None:
        """What is behind the model says that it is too much. Heard once a window, for all that are under way hear it."""
        now = self._clock()
        if now >= self._until:
            self._value = max(self._least, self._value * _BACKOFF)
            self._begin(now)

    def _least_seconds(self, seconds: float, size: int, *, alone: bool) -> float:
        least = self._quickest[size]
        if least == 0.0:
            least = seconds
        elif seconds < least:
            least += (seconds - least) * _FALL
        elif alone:
            least += (seconds - least) * _RISE
        self._quickest[size] = least = max(least, 1e-6)
        return least

    def _adapt(self, now: float) -> None:
        if self._busiest * 2 >= self._value:
            gradient = max(_LEAST_GRADIENT, min(1.0, TOLERANCE * self._requests / self._ratios))
            target = self._value * gradient + math.sqrt(self._value)
            value = self._value + _SMOOTHING * (target - self._value)
            self._value = max(self._least, min(self._most, value))
        self._begin(now)

    def _begin(self, now: float) -> None:
        if now >= self._probe_at:
            # With few under way all the time, every request was a probe.
            self._probes = WINDOW_REQUESTS if self._busiest > self._least else 0
            self._probe_at = now + PROBE_AFTER_S
        self._ratios, self._requests, self._busiest = 0.0, 0, 0
        self._until = now + WINDOW_S
