"""Retries and the circuit breaker of endpoint calls: which errors are retried, within which limits, and when the breaker opens."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import CallerError, NotFound, Overloaded, PermanentError, TransientError, Unauthorized
from app.serve.deadline import Deadline
from app.serve.scoring.circuit_breaker import MIN_CALLS, PROBES, CircuitBreaker, CircuitOpen, State
from app.serve.scoring.retry_policy import ATTEMPT_SHARE, MAX_SAVED, RetryPolicy, RetrySettings
from tests.unit.serve.fakes import status_of

from .fakes import Clock

PATIENT = RetrySettings(retry_share=0.2, breaker_failures=10**9)


class Endpoint:
    """Ends each attempt with the next of ``ends``, an error or a response; the last one repeats. An attempt takes ``seconds``."""

    def __init__(self, clock: Clock, *ends: Any, seconds: float = 0.0) -> None:
        self.clock, self.ends, self.seconds = clock, list(ends), seconds
        self.timeouts: list[float] = []

    def __call__(self, timeout_s: float) -> Any:
        self.timeouts.append(timeout_s)
        self.clock.now_s += self.seconds
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if isinstance(end, Exception):
            raise end
        return end


def attempts_of(
    clock: Clock, manners: RetrySettings = PATIENT, jitter: Callable[[], float] = lambda: 0.5
) -> RetryPolicy:
    return RetryPolicy(manners, clock, clock.sleep, jitter)


def saved_up(clock: Clock, **options: Any) -> RetryPolicy:
    """RetryPolicy with a full retry budget for ``churn``."""
    attempts = attempts_of(clock, **options)
    for _ in range(int(MAX_SAVED / 0.2)):
        attempts.endpoint("churn").save()
    return attempts


def test_transient_errors_are_retried_after_a_random_wait_that_doubles() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, TransientError("x"), TransientError("x"), b"scores")
    assert saved_up(clock).call("churn", Deadline.after(10, clock), endpoint) == b"scores"
    assert clock.slept == [0.025, 0.05]
    assert endpoint.timeouts == [pytest.approx(left * ATTEMPT_SHARE) for left in (10, 9.975, 9.925)]


def test_retry_after_of_an_overloaded_endpoint_is_respected() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, Overloaded("x"), Overloaded("x", retry_after_s=2), b"scores")
    assert saved_up(clock).call("churn", Deadline.after(10, clock), endpoint) == b"scores"
    assert clock.slept == [0.5, 3.0]


def test_the_wait_is_drawn_from_the_whole_range() -> None:
    clock, chance = Clock(), random.Random(2)
    for _ in range(300):
        with pytest.raises(TransientError):
            saved_up(clock, jitter=chance.random).call(
                "churn", Deadline.after(9, clock), Endpoint(clock, TransientError(""))
            )
    assert 0 <= min(clock.slept) < 0.002
    assert 0.098 < max(clock.slept) <= 0.1


def test_there_are_at_most_three_attempts() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, TransientError("still down"))
    attempts = saved_up(clock)
    with pytest.raises(TransientError, match="still down"):
        attempts.call("churn", Deadline.after(10, clock), endpoint)
    assert len(endpoint.timeouts) == 3
    assert attempts.endpoint("churn").retries == {"made": 2, "exhausted": 1}


@pytest.mark.parametrize("kind", [CallerError, NotFound, Unauthorized, PermanentError, RuntimeError])
def test_permanent_errors_are_not_retried_and_do_not_count_as_failures(kind: type[Exception]) -> None:
    clock = Clock()
    endpoint = Endpoint(clock, kind("no"))
    attempts = saved_up(clock, manners=RetrySettings(breaker_failures=1))
    with pytest.raises(kind, match=r"^no$"):
        attempts.call("churn", Deadline.after(10, clock), endpoint)
    assert (len(endpoint.timeouts), clock.slept) == (1, [])
    if kind is not RuntimeError:
        assert attempts.endpoint("churn").breaker.state is State.CLOSED


@pytest.mark.parametrize("calls", [1, 4, 5, 50, 1000])
def test_retries_add_at_most_a_fifth_to_the_calls_of_a_failing_endpoint(calls: int) -> None:
    clock = Clock()
    endpoint = Endpoint(clock, TransientError("down"))
    attempts = attempts_of(clock)
    for _ in range(calls):
        clock.now_s += 10  # rare enough for the breaker to stay closed
        with pytest.raises(TransientError):
            attempts.call("churn", Deadline.after(10, clock), endpoint)
    assert len(endpoint.timeouts) == calls + calls // 5


def test_each_endpoint_has_its_own_retry_budget() -> None:
    clock = Clock()
    attempts = saved_up(clock)
    for _ in range(100):
        with pytest.raises(TransientError):
            attempts.call("fraud", Deadline.after(10, clock), Endpoint(clock, TransientError("down")))
    assert attempts.call("churn", Deadline.after(10, clock), Endpoint(clock, TransientError("once"), b"1")) == b"1"


def test_no_attempt_starts_that_cannot_end_before_the_deadline() -> None:
    clock = Clock()
    attempts = saved_up(clock)
    attempts.call("churn", Deadline.after(10, clock), Endpoint(clock, b"1", seconds=2.0))  # the duration of an attempt
    endpoint = Endpoint(clock, TransientError("late"), seconds=1.5)
    with pytest.raises(TransientError, match="late"):
        attempts.call("churn", Deadline.after(3.0, clock), endpoint)
    assert (len(endpoint.timeouts), clock.slept) == (1, [])
    assert attempts.endpoint("churn").retries == {"no_time": 1}
    with pytest.raises(TransientError, match="too little time is left to call endpoint churn"):
        attempts.call("churn", Deadline.after(1.9, clock), endpoint)
    assert len(endpoint.timeouts) == 1


def test_one_slow_response_does_not_block_later_calls() -> None:
    clock = Clock()
    attempts = attempts_of(clock)
    attempts.call("churn", Deadline.after(27, clock), Endpoint(clock, b"1", seconds=25.0))
    asked = Endpoint(clock, b"1", seconds=0.1)
    refused = 0
    while not asked.timeouts:
        try:
            attempts.call("churn", Deadline.after(2, clock), asked)
        except TransientError:
            refused += 1
    assert refused == 4  # 25 s, halved until 2 s allow it


@pytest.mark.parametrize("budget_s", [0.0, 0.01, 0.5, 3.0])
def test_no_attempt_starts_or_lasts_beyond_the_deadline(budget_s: float) -> None:
    chance = random.Random(4)
    for _ in range(200):
        clock = Clock()
        attempts = saved_up(clock, jitter=chance.random)
        deadline = Deadline.after(budget_s, clock)
        endpoint = Endpoint(clock, Overloaded("x"), TransientError("x"), seconds=chance.random())
        began: list[float] = []

        def attempt(timeout_s: float, clock: Clock = clock, endpoint: Endpoint = endpoint) -> Any:
            began.append(clock.now_s + timeout_s)  # noqa: B023
            return endpoint(timeout_s)

        with pytest.raises(TransientError):
            attempts.call("churn", deadline, attempt)
        assert all(latest <= deadline.at_s for latest in began)


def failing(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(breaker.enter())


def test_consecutive_failures_open_the_breaker_and_successful_probes_close_it() -> None:
    clock = Clock()
    breaker = CircuitBreaker("churn", 5, 2.0, clock)
    failing(breaker, 4)
    breaker.succeeded(breaker.enter())
    failing(breaker, 4)
    assert breaker.state is State.CLOSED
    failing(breaker, 1)
    assert (breaker.state, breaker.opened) == (State.OPEN, 1)
    clock.now_s += 0.5
    for refuse in (breaker.enter, breaker.check):
        with pytest.raises(CircuitOpen, match="endpoint churn") as caught:
            refuse()
        assert (status_of(caught.value), caught.value.retry_after_s) == (503, 1.5)
    assert breaker.refused == 2
    clock.now_s += 1.5
    breaker.check()
    probes = [breaker.enter() for _ in range(PROBES)]
    assert breaker.state is State.HALF_OPEN
    with pytest.raises(CircuitOpen):
        breaker.enter()
    for era in probes:
        assert breaker.state is State.HALF_OPEN
        breaker.succeeded(era)
    assert breaker.state is State.CLOSED


def test_a_failed_probe_reopens_the_breaker_for_twice_as_long_up_to_a_limit() -> None:
    clock = Clock()
    breaker = CircuitBreaker("churn", 1, 2.0, clock)
    failing(breaker, 1)
    for wait_s in (2, 4, 8, 16, 16):
        clock.now_s += wait_s - 0.01
        with pytest.raises(CircuitOpen):
            breaker.enter()
        clock.now_s += 0.01
        failing(breaker, 1)
    clock.now_s += 16
    for _ in range(PROBES):
        breaker.succeeded(breaker.enter())
    failing(breaker, 1)
    clock.now_s += 2
    breaker.enter()


def test_a_high_failure_rate_opens_the_breaker_without_consecutive_failures() -> None:
    clock = Clock()
    breaker = CircuitBreaker("churn", 5, 2.0, clock)
    for _ in range(MIN_CALLS // 2 - 1):
        breaker.succeeded(breaker.enter())
        failing(breaker, 1)
    assert breaker.state is State.CLOSED
    clock.now_s += 20  # old calls do not count
    breaker.succeeded(breaker.enter())
    failing(breaker, 1)
    assert breaker.state is State.CLOSED
    for _ in range(MIN_CALLS // 2):
        if breaker.state is State.CLOSED:
            breaker.succeeded(breaker.enter())
            failing(breaker, 1)
    assert breaker.state is State.OPEN


def test_results_of_calls_from_before_the_breaker_opened_are_ignored() -> None:
    clock = Clock()
    breaker = CircuitBreaker("churn", 2, 2.0, clock)
    hanging = [breaker.enter() for _ in range(10)]
    failing(breaker, 2)
    breaker.succeeded(hanging.pop())
    assert breaker.state is State.OPEN
    clock.now_s += 2
    for _ in range(PROBES):
        breaker.succeeded(breaker.enter())
    for era in hanging:
        breaker.failed(era)
    assert breaker.state is State.CLOSED


def test_an_open_breaker_rejects_calls_at_once_and_probes_are_real_calls() -> None:
    clock = Clock()
    attempts = saved_up(clock, manners=RetrySettings(breaker_failures=2, breaker_open_s=5.0))
    down = Endpoint(clock, TransientError("down"))
    with pytest.raises(TransientError, match="down"):
        attempts.call("churn", Deadline.after(10, clock), down)
    assert len(down.timeouts) == 2  # the breaker rejected the third attempt
    for _ in range(50):
        with pytest.raises(CircuitOpen):
            attempts.call("churn", Deadline.after(10, clock), down)
    assert len(down.timeouts) == 2
    assert sum(clock.slept) < 0.1
    clock.now_s += 5
    for _ in range(PROBES):
        assert attempts.call("churn", Deadline.after(10, clock), Endpoint(clock, b"1")) == b"1"
    assert attempts.endpoint("churn").breaker.state is State.CLOSED


def test_throttling_does_not_open_a_breaker() -> None:
    clock = Clock()
    attempts = attempts_of(clock, manners=RetrySettings(breaker_failures=2))
    for _ in range(50):
        with pytest.raises(Overloaded):
            attempts.call("churn", Deadline.after(10, clock), Endpoint(clock, Overloaded("slow down")))
    assert attempts.endpoint("churn").breaker.state is State.CLOSED
