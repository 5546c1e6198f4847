"""The concurrency limit of a model: the number of its requests that may run at a time, from their latency.

The rule is Gradient2 of Netflix's concurrency-limits. While requests take at most ``TOLERANCE`` times their duration without a
queue, the limit grows by its square root; beyond that it shrinks in proportion; both are smoothed. It changes only if at least
half of it was in use, because an idle limit proves nothing.

Two things differ from Gradient2. A batch of 4,096 rows takes longer than one row, so each request is compared with others of its
own size. And the duration without a queue is not a long average, which in a lasting overload becomes the overload itself: it
rises only from requests with few others running, and under load the limit drops to its minimum at intervals to measure some.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

#: Requests that take up to this many times the shortest duration do not show a queue.
TOLERANCE = 2.0
#: The limit changes at most once for so many requests and so many seconds.
WINDOW_REQUESTS, WINDOW_S = 10, 0.1

_SMOOTHING = 0.2
_LEAST_GRADIENT = 0.5
_BACKOFF = 0.9
#: Seconds between two measurements of the duration without a queue.
PROBE_AFTER_S = 30.0
#: How far one request moves the shortest known duration: down by half of the difference, up by a tenth.
_FALL, _RISE = 0.5, 0.1
_SIZES = 24


class ConcurrencyLimit:
    """A limit between ``minimum`` and ``maximum``. It starts at ``maximum``: only load can show that this is too much."""

    __slots__ = (
        "_busiest",
        "_clock",
        "_maximum",
        "_minimum",
        "_probe_at",
        "_probes",
        "_quickest",
        "_ratios",
        "_requests",
        "_until",
        "_value",
    )

    def __init__(self, minimum: int, maximum: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._minimum, self._maximum, self._clock = float(min(minimum, maximum)), float(maximum), clock
        self._value = float(maximum)
        self._quickest = [0.0] * _SIZES  # seconds by size, the power of two above the rows; 0 if none was seen
        self._probe_at, self._probes = clock() + PROBE_AFTER_S, 0  # requests that the running probe still waits for
        self._ratios, self._requests, self._busiest = 0.0, 0, 0
        self._until = clock() + WINDOW_S

    @property
    def value(self) -> int:
        """Requests that may run at a time."""
        return int(self._minimum if self._probes else self._value)

    def answered(self, seconds: float, rows: int, running: int) -> None:
        """A request of ``rows`` rows took ``seconds``, with ``running`` requests at its end, itself included."""
        now, alone = self._clock(), running <= self._minimum
        quickest = self._shortest_seconds(seconds, min(rows.bit_length(), _SIZES - 1), alone=alone)
        if self._probes:
            self._probes -= alone
            return
        self._ratios += seconds / quickest
        self._requests += 1
        self._busiest = max(self._busiest, running)
        if self._requests >= WINDOW_REQUESTS and now >= self._until:
            self._adapt(now)

    def throttled(self) -> None:
        """The endpoint throttled the request. Counted once a window, because all running requests are throttled together."""
        now = self._clock()
        if now >= self._until:
            self._value = max(self._minimum, self._value * _BACKOFF)
            self._begin(now)

    def _shortest_seconds(self, seconds: float, size: int, *, alone: bool) -> float:
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
            self._value = max(self._minimum, min(self._maximum, value))
        self._begin(now)

    def _begin(self, now: float) -> None:
        if now >= self._probe_at:
            # If few requests ran all the time, every request was a probe.
            self._probes = WINDOW_REQUESTS if self._busiest > self._minimum else 0
            self._probe_at = now + PROBE_AFTER_S
        self._ratios, self._requests, self._busiest = 0.0, 0, 0
        self._until = now + WINDOW_S
