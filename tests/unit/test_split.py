"""The split by time: parts are disjoint, ordered, one horizon apart and complete; the smallest number of times for three parts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sagemaker_entry.split import Split, SplitError, part_of, random_parts, split_by_time, times_needed

START = datetime(2000, 1, 1)
DAYS = st.integers(0, 3000).map(lambda days: START + timedelta(days=days))
HORIZONS = st.integers(1, 150).map(lambda days: timedelta(days=days))
SHARES = st.floats(0.01, 0.49)


def split_or_none(times: list[datetime], horizon: timedelta, validation: float, test: float) -> Split | None:
    try:
        return split_by_time(times, horizon, validation, test)
    except SplitError:
        return None


@given(st.lists(DAYS, min_size=8, max_size=60), HORIZONS, SHARES, SHARES)
def test_parts_are_disjoint_ordered_one_horizon_apart_and_complete(
    times: list[datetime], horizon: timedelta, validation: float, test: float
) -> None:
    split = split_or_none(times, horizon, validation, test)
    assume(split is not None)
    assert split is not None
    parts = (split.train, split.validation, split.test)
    assert all(parts)
    assert sorted([*split.train, *split.validation, *split.test, *split.unused]) == sorted(set(times))
    assert all(list(part) == sorted(part) for part in (*parts, split.unused))
    assert all(before[-1] + horizon <= after[0] for before, after in pairwise(parts))
    assert split.test[-1] == max(times)


@given(st.lists(DAYS, min_size=3, max_size=40, unique=True), HORIZONS, SHARES, SHARES, st.randoms())
def test_neither_order_nor_repetition_of_the_times_matters(
    times: list[datetime], horizon: timedelta, validation: float, test: float, random: object
) -> None:
    mixed = [*times, times[0]]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert split_or_none(mixed, horizon, validation, test) == split_or_none(times, horizon, validation, test)


@given(st.integers(1, 60), st.integers(1, 200), SHARES, SHARES)
def test_the_required_number_of_times_is_sufficient_and_minimal(
    every: int, horizon: int, validation: float, test: float
) -> None:
    assume(horizon // every <= 20)
    needed = times_needed(timedelta(days=every), timedelta(days=horizon), validation, test)
    assume(needed < 200)

    def splits(count: int) -> bool:
        times = [START + timedelta(days=every) * step for step in range(count)]
        return split_or_none(times, timedelta(days=horizon), validation, test) is not None

    assert splits(needed)
    assert not any(splits(count) for count in range(1, needed))


def test_the_split_of_the_example() -> None:
    times = [START + timedelta(days=30) * step for step in range(12)]
    split = split_by_time(times, timedelta(days=90), validation=0.1, test=0.2)
    assert [len(part) for part in (split.train, split.validation, split.test, split.unused)] == [5, 1, 2, 4]


def test_a_gap_of_exactly_one_horizon_is_enough() -> None:
    times = [START, START + timedelta(days=90), START + timedelta(days=180)]
    assert split_by_time(times, timedelta(days=90), 0.1, 0.1).unused == ()
    with pytest.raises(SplitError, match="3 as-of times leave no training rows"):
        split_by_time(times, timedelta(days=91), 0.1, 0.1)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_times_are_rejected(count: int) -> None:
    with pytest.raises(SplitError):
        split_by_time([START + timedelta(days=400) * step for step in range(count)], timedelta(days=1), 0.1, 0.1)


def test_entities_are_split_by_their_key_in_the_given_shares() -> None:
    parts = Counter(part_of(str(key), 0.1, 0.2) for key in range(20_000))
    assert {name: round(count / 20_000, 2) for name, count in parts.items()} == {
        "train": 0.7,
        "validation": 0.1,
        "test": 0.2,
    }


@given(st.text(max_size=20), st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_an_entity_of_the_test_part_stays_there_when_other_shares_change(
    key: str, validation: float, test: float
) -> None:
    part = part_of(key, validation, test)
    assert part == part_of(key, validation, test)
    assert (part == "test") == (part_of(key, 0.05, test) == "test")


def test_the_part_of_an_entity_does_not_change_between_releases() -> None:
    assert [part_of(key, 0.1, 0.2) for key in ("1", "2", "7590-VHVEG", "a\x1f1", "é")] == [
        "train", "test", "train", "train", "train",
    ]  # fmt: skip


def test_random_parts_have_exact_shares_and_follow_from_the_seed() -> None:
    parts = random_parts(1999, 7, 0.1, 0.2)
    assert Counter(parts.tolist()) == {"train": 1399, "validation": 200, "test": 400}
    assert (parts == random_parts(1999, 7, 0.1, 0.2)).all()
    assert (parts != random_parts(1999, 8, 0.1, 0.2)).any()
    assert Counter(random_parts(3, 0, 0.1, 0.1).tolist()) == {"train": 1, "validation": 1, "test": 1}
    with pytest.raises(SplitError, match="2 entities leave none for training"):
        random_parts(2, 0, 0.1, 0.1)


def test_random_parts_do_not_change_between_releases() -> None:
    assert random_parts(8, 7, 0.25, 0.25).tolist() == [
        "validation", "train", "train", "test", "validation", "train", "test", "train",
    ]  # fmt: skip
