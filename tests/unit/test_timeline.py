"""Which slice answers at which time, against the rule as a plain search."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.features.store import Slice
from app.features.timeline import Validity, known_by, timeline, with_availability

DAY = timedelta(days=1)
START = datetime(2026, 1, 1)


def at(day: float) -> datetime:
    return START + day * DAY


def part(as_of: float, known_at: float, available_at: float | None = None) -> Slice:
    return Slice("V", 1, at(as_of), at(known_at), 1, None if available_at is None else at(available_at))


def asked(made: tuple[Validity, ...], when: datetime) -> Slice | None:
    """The slice of a timeline at a time."""
    before = [each for each in made if each.start <= when]
    return before[-1].slice if before else None


def searched(slices: list[Slice], when: datetime, ttl: timedelta | None, as_available: bool) -> Slice | None:
    """The rule, written down as a search over all slices."""
    fitting = [
        each
        for each in slices
        if each.as_of <= when
        and (ttl is None or each.as_of > when - ttl)
        and (not as_available or each.available_at <= when)
    ]
    return max(fitting, key=lambda each: (each.as_of, each.known_at), default=None)


_SLICES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 12), st.integers(0, 12)), max_size=12, unique_by=lambda drawn: drawn[:2]
)


@given(_SLICES, st.none() | st.integers(1, 6), st.booleans())
def test_a_timeline_is_the_rule_at_every_time(
    drawn: list[tuple[int, int, int]], ttl_days: int | None, as_available: bool
) -> None:
    slices = [part(*each) for each in drawn]
    ttl = None if ttl_days is None else ttl_days * DAY
    made = timeline(slices, ttl, as_available=as_available)
    starts = [each.start for each in made]
    assert starts == sorted(set(starts))
    for half_days in range(-1, 44):
        when = at(half_days / 2)
        assert asked(made, when) == searched(slices, when, ttl, as_available)


def test_a_slice_answers_at_its_own_time_and_no_longer_at_the_end_of_its_ttl() -> None:
    made = timeline([part(0, 0)], 7 * DAY)
    assert made == (Validity(at(0), part(0, 0)), Validity(at(7), None))


def test_a_correction_answers_once_it_is_available() -> None:
    first, corrected = part(0, 0), part(0, 3)
    assert timeline([first, corrected]) == (Validity(at(0), corrected),)
    assert timeline([first, corrected], as_available=True) == (Validity(at(0), first), Validity(at(3), corrected))


def test_only_the_first_slice_of_a_time_is_taken_as_available_before_it_was_computed() -> None:
    in_time, backfilled, corrected = part(0, 1), part(7, 90), part(7, 95)
    marked = with_availability([corrected, in_time, backfilled], DAY / 4)
    assert [each.available_at for each in marked] == [at(1), at(7.25), at(95)]


def test_what_became_known_later_is_left_out() -> None:
    assert known_by([part(0, 0), part(0, 3)], at(2)) == (part(0, 0),)
