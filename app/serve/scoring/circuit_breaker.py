"""A circuit breaker for one endpoint: the outcomes of calls decide whether the next call is made.

While closed, it counts. After a number of failures in a row, or if most calls of a period failed, it opens and rejects calls at
once. After some seconds it is half open and lets a few probes through: enough successes close it, one failure opens it again, for
twice as long.

Each change of state begins a new generation, and an outcome counts only in the generation in which its call started. So a call
that fails late does not open a breaker that probes have just closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum
from threading import Lock

from app.errors import TransientError

#: Successes that close a breaker, and probes at a time.
PROBES = 3
#: In addition to failures in a row: the share of failures that opens it, of at least so many calls in so many seconds.
FAILED_SHARE, MIN_CALLS, PERIOD_S = 0.5, 20, 10.0
#: The interval between probes of an endpoint that stays dead grows up to so many times the first one.
MAX_OPEN_FACTOR = 8


class State(IntEnum):
    """The state, as the metric shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitOpen(TransientError):
    """The breaker rejected the call; the endpoint was not called."""


class CircuitBreaker:
    """The breaker of one endpoint. ``failures``: in a row, to open it; ``open_s``: seconds until it is probed. Thread-safe.

    It also opens if ``FAILED_SHARE`` of a period's calls fail, of at least ``MIN_CALLS``, or ``failures`` if that is more.
    """

    def __init__(
        self,
        endpoint: str,
        failures: int,
        open_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint, self._failures, self._open_s, self._clock = endpoint, failures, open_s, clock
        self._min_calls = max(MIN_CALLS, failures)
        self._lock = Lock()
        self.state = State.CLOSED
        self.opened = 0  # times
        self.refused = 0  # calls
        self._generation = 0
        self._consecutive_failures = self._probes = self._successes = 0
        self._open_factor = 1
        self._until = 0.0
        self._begin_period()

    def check(self) -> None:
        """Raise CircuitOpen if ``enter`` would; does not start a call."""
        with self._lock:
            self._check()

    def enter(self) -> int:
        """Start a call; returns its generation, for one call of ``succeeded`` or ``failed``. Raises CircuitOpen."""
        with self._lock:
            self._check()
            if self.state is State.OPEN:
                self._become(State.HALF_OPEN)
            if self.state is State.HALF_OPEN:
                self._probes += 1
            return self._generation

    def succeeded(self, generation: int) -> None:
        """The endpoint answered, possibly with an error of the caller."""
        with self._lock:
            if generation != self._generation:
                return
            self._consecutive_failures = 0
            self._count(failed=0)
            if self.state is State.HALF_OPEN:
                self._probes -= 1
                self._successes += 1
                if self._successes >= PROBES:
                    self._open_factor = 1
                    self._become(State.CLOSED)

    def failed(self, generation: int) -> None:
        """The endpoint did not answer, or failed with a transient error."""
        with self._lock:
            if generation != self._generation:
                return
            self._consecutive_failures += 1
            self._count(failed=1)
            if self.state is State.HALF_OPEN:
                self._open_factor = min(MAX_OPEN_FACTOR, self._open_factor * 2)
                self._open()
            elif self._consecutive_failures >= self._failures or self._mostly_failed():
                self._open()

    def _check(self) -> None:
        wait_s = self._until - self._clock() if self.state is State.OPEN else 0.0
        probed = self.state is State.HALF_OPEN and self._probes >= PROBES
        if wait_s > 0 or probed:
            self.refused += 1
            raise CircuitOpen(
                f"endpoint {self._endpoint} failed repeatedly and its circuit breaker is open; "
                "look at the endpoint's log, or try again later",
                retry_after_s=max(1.0, wait_s),
            )

    def _open(self) -> None:
        self._until = self._clock() + self._open_s * self._open_factor
        self.opened += 1
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._generation += 1
        self._consecutive_failures = self._probes = self._successes = 0
        self._begin_period()

    def _begin_period(self) -> None:
        self._calls = self._failed = 0
        self._period_until = self._clock() + PERIOD_S

    def _count(self, failed: int) -> None:
        if self._clock() >= self._period_until:
            self._begin_period()
        self._calls += 1
        self._failed += failed

    def _mostly_failed(self) -> bool:
        return self._calls >= self._min_calls and self._failed >= FAILED_SHARE * self._calls
