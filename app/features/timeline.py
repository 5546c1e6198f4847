"""Which slice of a view answers at which time.

The rule for a row at time ``t``: of the slices with ``AS_OF <= t`` that are not older than the view's TTL, ``AS_OF > t - ttl``, the
one with the greatest ``AS_OF``, and of several of that ``AS_OF`` the one with the greatest ``KNOWN_AT``. An entity that the slice
does not hold has left the view, and has no features: an earlier slice is not asked.

The rule gives one slice, or none, for every time, so a view's slices are a step function of time. It is made here from the lineage,
which is a few hundred rows, and not by joining rows of features by inequality.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.features.store import Slice

#: A slice that is computed at most this long after its as-of time and its declared delay was computed in time, as a daily run does.
IN_TIME = timedelta(days=1)


@dataclass(frozen=True)
class Validity:
    """The slice that answers from ``start`` until the start of the next one. None: none does."""

    start: datetime
    slice: Slice | None


def timeline(
    slices: Iterable[Slice], ttl: timedelta | None = None, *, as_available: bool = False
) -> tuple[Validity, ...]:
    """The slices of one view's version in the order in which they answer; before the first start none does.

    ``as_available``: a slice answers only from the time at which it was available, so that a row gets what production had at the
    row's time. Otherwise all ``slices`` are known at all times, as when a training set is rebuilt from what was known at one time.
    """
    made: list[Validity] = []
    best: Slice | None = None
    for part in sorted(slices, key=lambda each: (_start(each, as_available), _rank(each))):
        start = _start(part, as_available)
        if (ttl is not None and start >= part.as_of + ttl) or (best is not None and _rank(part) < _rank(best)):
            # It is too old once it is available, or a later slice was available before it.
            continue
        if best is not None and ttl is not None and best.as_of + ttl < start:
            made.append(Validity(best.as_of + ttl, None))
        if made and made[-1].start == start:
            made.pop()
        made.append(Validity(start, part))
        best = part
    if best is not None and ttl is not None:
        made.append(Validity(best.as_of + ttl, None))
    return tuple(made)


def known_by(slices: Iterable[Slice], known_at: datetime) -> tuple[Slice, ...]:
    """The slices that were in the store at ``known_at``."""
    return tuple(part for part in slices if part.known_at <= known_at)


def with_availability(slices: Iterable[Slice], delay: timedelta) -> list[Slice]:
    """The slices of one view's version, with the time at which each is taken as available.

    The first slice of an as-of time that was computed much later, by a backfill, is taken as available ``delay`` after its as-of
    time, since production would have had it then. Later slices of that time are corrections, available since they were written.
    """
    ascending = sorted(slices, key=_rank)
    first = {part.as_of: part for part in reversed(ascending)}
    return [
        replace(part, available=part.as_of + delay)
        if part is first[part.as_of] and part.known_at > part.as_of + delay + IN_TIME
        else part
        for part in ascending
    ]


def _start(part: Slice, as_available: bool) -> datetime:
    return max(part.as_of, part.available_at) if as_available else part.as_of


def _rank(part: Slice) -> tuple[datetime, datetime]:
    return part.as_of, part.known_at
