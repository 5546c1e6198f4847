"""Retries of calls to an endpoint, within the deadline, the circuit breaker and a retry budget.

Only transient errors are tried again, and only if the attempt can finish before the request's deadline. Each call adds a
fraction of an attempt to its endpoint's budget and each retry takes a whole one, so an endpoint that is down gets at most 1.2
times the requests, not three times. The wait before a retry is drawn evenly between zero and a bound that doubles ("full
jitter"), plus the endpoint's ``Retry-After``. The budget starts empty, so that the bound also holds in the first minute.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from app.errors import Overloaded, SnowsageError, TransientError
from app.serve.deadline import Deadline
from app.serve.scoring.circuit_breaker import CircuitBreaker, State

#: Attempts of one call at most.
MAX_ATTEMPTS = 3
#: The most retries that an endpoint's budget holds.
MAX_SAVED = 10.0
#: Bounds of the first wait, as in AWS's SDKs: after a failure, and after throttling.
FIRST_WAIT_S, FIRST_WAIT_OVERLOADED_S = 0.05, 1.0
LONGEST_WAIT_S = 20.0
#: The fraction of the remaining time that an attempt may take; the rest is for the response.
ATTEMPT_SHARE = 0.95

_SMOOTHING = 0.1

Result = TypeVar("Result")


@dataclass(frozen=True)
class RetrySettings:
    """``retry_share``: retries per request, at most. ``breaker_failures`` in a row open the breaker, for ``breaker_open_s``."""

    retry_share: float = 0.2
    breaker_failures: int = 5
    breaker_open_s: float = 5.0


class EndpointState:
    """The state of one endpoint: its breaker, its retry budget, and the outcomes of attempts and retries."""

    def __init__(self, endpoint: str, settings: RetrySettings, clock: Callable[[], float]) -> None:
        self.breaker = CircuitBreaker(endpoint, settings.breaker_failures, settings.breaker_open_s, clock)
        self.attempts: Counter[str] = Counter()  # ok, failed, throttled, refused
        self.retries: Counter[str] = Counter()  # made, or why not: exhausted, no_time, breaker_open, no_budget
        self.typical_s = 0.0
        self._share, self._saved = settings.retry_share, 0.0
        self._lock = Lock()

    def save(self) -> None:
        """Add to the budget: a call starts."""
        with self._lock:
            self._saved = min(MAX_SAVED, self._saved + self._share)

    def spend(self) -> bool:
        """Take a retry from the budget; False if there is none."""
        with self._lock:
            if self._saved < 1.0 - 1e-9:
                return False
            self._saved -= 1.0
            return True

    def fits(self, deadline: Deadline) -> bool:
        """Whether an attempt of typical duration finishes in time."""
        if deadline.remaining_s and deadline.allows(self.typical_s):
            return True
        self.typical_s /= 2  # so that one slow response does not block all later attempts
        return False

    def took(self, seconds: float, timeout_s: float) -> None:
        """Record that an attempt was answered after ``seconds``."""
        seconds = min(seconds, timeout_s)
        self.typical_s = seconds if self.typical_s == 0.0 else self.typical_s + _SMOOTHING * (seconds - self.typical_s)


class RetryPolicy:
    """Calls endpoints with retries. ``jitter``: random numbers from 0 to 1. Thread-safe; sleeps in the calling thread."""

    def __init__(
        self,
        settings: RetrySettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings, self._clock, self._sleep, self._jitter = settings or RetrySettings(), clock, sleep, jitter
        self._lock = Lock()
        self.endpoints: dict[str, EndpointState] = {}

    def endpoint(self, endpoint: str) -> EndpointState:
        """The state of ``endpoint``."""
        found = self.endpoints.get(endpoint)
        if found is None:
            with self._lock:
                found = self.endpoints.setdefault(endpoint, EndpointState(endpoint, self._settings, self._clock))
        return found

    def call(self, endpoint: str, deadline: Deadline, attempt: Callable[[float], Result]) -> Result:
        """The result of ``attempt``, which gets its timeout in seconds. Raises the last attempt's error, or CircuitOpen."""
        state = self.endpoint(endpoint)
        state.save()
        number = 1
        while True:
            if not state.fits(deadline):
                raise TransientError(f"too little time is left to call endpoint {endpoint}; send fewer rows at a time")
            generation = state.breaker.enter()
            try:
                return self._attempt(state, generation, deadline, attempt)
            except TransientError as error:
                wait_s = self._wait_s(error, number)
                if not self._may_retry(state, deadline, number, wait_s):
                    raise
            self._sleep(wait_s)
            number += 1

    def _attempt(
        self, state: EndpointState, generation: int, deadline: Deadline, attempt: Callable[[float], Result]
    ) -> Result:
        start = self._clock()
        timeout_s = deadline.remaining_s * ATTEMPT_SHARE
        ended, answered = "failed", False
        try:
            answer = attempt(timeout_s)
            ended, answered = "ok", True
            state.took(self._clock() - start, timeout_s)
            return answer
        except Overloaded:
            ended, answered = "throttled", True
            raise
        except SnowsageError as error:
            answered = not isinstance(error, TransientError)
            ended = "refused" if answered else "failed"
            raise
        finally:
            state.attempts[ended] += 1
            (state.breaker.succeeded if answered else state.breaker.failed)(generation)

    def _wait_s(self, error: TransientError, number: int) -> float:
        first = FIRST_WAIT_OVERLOADED_S if isinstance(error, Overloaded) else FIRST_WAIT_S
        wait_s = self._jitter() * min(LONGEST_WAIT_S, first * 2.0 ** (number - 1))
        return wait_s + (error.retry_after_s or 0.0)

    def _may_retry(self, state: EndpointState, deadline: Deadline, number: int, wait_s: float) -> bool:
        if number >= MAX_ATTEMPTS:
            outcome = "exhausted"
        elif not deadline.allows(wait_s + state.typical_s) or deadline.remaining_s <= wait_s:
            outcome = "no_time"
        elif state.breaker.state is State.OPEN:
            outcome = "breaker_open"
        else:
            outcome = "made" if state.spend() else "no_budget"
        state.retries[outcome] += 1
        return outcome == "made"
