"""A circuit breaker: how calls to one endpoint end -> whether the next one is worth making.

Closed, it counts; after so many failures in a row, or where most of what was called in a while failed, it opens and answers in
the endpoint's place, at once. After some seconds it lets a few probes through, half open: as many successes close it, one
failure opens it again, for twice as long.

The one surprise: how a call ended counts only in the state that it began in. A call from before, that hangs and fails late, does
not open what a probe has just closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum
from threading import Lock

from app.errors import TransientError

#: Successes that close a breaker, and probes at a time.
PROBES = 3
#: Beside failures in a row: the share of failures that opens it, of at least so many calls in so many seconds.
FAILED_SHARE, FAILED_OF, FAILED_WITHIN_S = 0.5, 20, 10.0
#: An endpoint that stays dead is probed less often, down to so many times the first interval.
LONGEST_OPEN = 8


class State(IntEnum):
    """As the metric shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Open(TransientError):
    """The breaker answered; the endpoint was not asked."""


class Breaker:
    """One endpoint's. ``failures``: in a row, to open it, or a share of at least ``failed_of`` calls; ``open_s``: seconds until
    it is probed. Safe in many threads."""

    def __init__(
        self,
        endpoint: str,
        failures: int,
        open_s: float,
        clock: Callable[[], float] = time.monotonic,
        failed_of: int = FAILED_OF,
    ) -> None:
        self._endpoint, self._failures, self._open_s, self._clock = endpoint, failures, open_s, clock
        self._failed_of = failed_of
        self._lock = Lock()
        self.state = State.CLOSED
        self.opened = 0  # times
        self.refused = 0  # calls
        self._era = 0
        self._in_a_row = self._probes = self._successes = 0
        self._times = 1
        self._until = 0.0
        self._begin_window()

    def check(self) -> None:
        """Raise Open where ``enter`` would; changes nothing else."""
        with self._lock:
            self._check()

    def enter(self) -> int:
        """Begin a call; its era, for ``succeeded`` or ``failed``, one of which is called once. Raises Open."""
        with self._lock:
            self._check()
            if self.state is State.OPEN:
                self._become(State.HALF_OPEN)
            if self.state is State.HALF_OPEN:
                self._probes += 1
            return self._era

    def succeeded(self, era: int) -> None:
        """The endpoint answered, be it with a refusal."""
        with self._lock:
            if era != self._era:
                return
            self._in_a_row = 0
            self._count(failed=0)
            if self.state is State.HALF_OPEN:
                self._probes -= 1
                self._successes += 1
                if self._successes >= PROBES:
                    self._times = 1
                    self._become(State.CLOSED)

    def failed(self, era: int) -> None:
        """The endpoint did not answer, or failed in a way that may pass."""
        with self._lock:
            if era != self._era:
                return
            self._in_a_row += 1
            self._count(failed=1)
            if self.state is State.HALF_OPEN:
                self._times = min(LONGEST_OPEN, self._times * 2)
                self._open()
            elif self._in_a_row >= self._failures or self._mostly_failed():
                self._open()

    def _check(self) -> None:
        wait_s = self._until - self._clock() if self.state is State.OPEN else 0.0
        probed = self.state is State.HALF_OPEN and self._probes >= PROBES
        if wait_s > 0 or probed:
            self.refused += 1
            raise Open(
                f"endpoint {self._endpoint} failed again and again and is left alone for a moment; "
                "look at its log, or try again later",
                retry_after_s=max(1.0, wait_s),
            )

    def _open(self) -> None:
        self._until = self._clock() + self._open_s * self._times
        self.opened += 1
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._era += 1
        self._in_a_row = self._probes = self._successes = 0
        self._begin_window()

    def _begin_window(self) -> None:
        self._calls = self._failed = 0
        self._window_until = self._clock() + FAILED_WITHIN_S

    def _count(self, failed: int) -> None:
        if self._clock() >= self._window_until:
            self._begin_window()
        self._calls += 1
        self._failed += failed

    def _mostly_failed(self) -> bool:
        return self._calls >= self._failed_of and self._failed >= FAILED_SHARE * self._calls
