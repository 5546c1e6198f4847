"""The concurrency limit adapts to the backend's capacity for requests of any size and stays within its bounds."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.serve.admission.concurrency_limit import ConcurrencyLimit

from .fakes import Clock

Factor = Callable[[int], float]


def load(limit: ConcurrencyLimit, clock: Clock, seconds: float, factor: Factor, sizes: Sequence[int] = (1,)) -> None:
    """An unlimited number of callers for ``seconds``, each admitted as soon as the limit allows.

    ``factor``: slowdown of a request by the number of requests in flight.
    """
    chance = random.Random(5)
    under_way: list[tuple[float, float, int]] = []  # end, start, rows
    until = clock.now_s + seconds
    while clock.now_s < until:
        while len(under_way) < limit.value:
            rows = chance.choice(sizes)
            took = (0.01 + 5e-6 * rows) * factor(len(under_way) + 1) * chance.uniform(1.0, 1.3)
            heapq.heappush(under_way, (clock.now_s + took, clock.now_s, rows))
        end, start, rows = heapq.heappop(under_way)
        clock.now_s = end
        limit.answered(end - start, rows, len(under_way) + 1)


def room_for(places: int) -> Factor:
    return lambda under_way: max(1.0, under_way / places)


MANY_SIZES = (1, 64, 1000, 4096, 8192)


@pytest.mark.parametrize("sizes", [(1,), MANY_SIZES])
@pytest.mark.parametrize("places", [2, 8])
@pytest.mark.parametrize("seconds", [20, 100])
def test_the_limit_converges_to_the_capacity(seconds: float, places: int, sizes: Sequence[int]) -> None:
    clock = Clock()
    limit = ConcurrencyLimit(2, 64, clock)
    load(limit, clock, seconds, room_for(places), sizes)
    assert places <= limit._value <= 4 * places + 4


def test_the_limit_stays_at_its_maximum_while_latency_is_constant() -> None:
    clock = Clock()
    limit = ConcurrencyLimit(1, 16, clock)
    load(limit, clock, 40, lambda _: 1.0, MANY_SIZES)
    assert limit._value == 16


def test_the_limit_shrinks_for_a_slow_model_and_recovers_within_seconds() -> None:
    clock = Clock()
    limit = ConcurrencyLimit(2, 32, clock)
    load(limit, clock, 10, lambda _: 1.0)
    load(limit, clock, 10, lambda _: 20.0)
    assert limit.value <= 8
    load(limit, clock, 5, lambda _: 1.0)
    assert limit.value == 32


def test_a_lasting_rise_in_latency_becomes_the_new_baseline() -> None:
    clock = Clock()
    limit = ConcurrencyLimit(2, 32, clock)
    load(limit, clock, 10, lambda _: 1.0)
    load(limit, clock, 90, lambda _: 5.0)
    assert limit.value == 32


def test_latency_at_low_load_does_not_change_the_limit() -> None:
    clock = Clock()
    limit = ConcurrencyLimit(2, 32, clock)
    for seconds in (0.01, 1.0):
        for _ in range(200):
            clock.now_s += 0.05
            limit.answered(seconds, 1, 1)
    assert limit.value == 32


def test_throttling_lowers_the_limit_once_in_each_window() -> None:
    clock = Clock()
    limit = ConcurrencyLimit(2, 100, clock)
    clock.now_s += 1
    for _ in range(50):
        limit.throttled()
    assert limit.value == 90
    for _ in range(200):
        clock.now_s += 1
        limit.throttled()
    assert limit.value == 2


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 2**40), st.integers(1, 64), st.floats(0, 1e5)), max_size=60)
)
def test_the_limit_stays_within_its_bounds(answers: list[tuple[float, int, int, float]]) -> None:
    clock = Clock()
    limit = ConcurrencyLimit(3, 20, clock)
    for seconds, rows, under_way, passed in answers:
        clock.now_s += passed
        limit.answered(seconds, rows, under_way)
        limit.throttled()
        assert 3 <= limit.value <= 20
