"""Aggregates over trailing windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from snowflake.snowpark import Column, DataFrame
from snowflake.snowpark import functions as F

from app.errors import CallerError
from app.features.aggregates.event_time import moment, utc
from app.features.aggregates.keys import key_columns
from app.features.aggregates.measures import Measure
from app.features.aggregates.tiled import AT, IS_TILE, Tiled, first_moment, next_day
from app.sql import naive_utc

#: In ``days``: all events before the as-of time. Its columns end in ``_LIFETIME``.
LIFETIME: None = None


def trailing(
    events: DataFrame | Tiled,
    key: str | Sequence[str],
    event_time: str | Column,
    as_of: datetime,
    days: Sequence[int | None],
    measures: Mapping[str, Measure],
) -> DataFrame:
    """Measures of each entity's events in ``[as_of - d days, as_of)``, one column for each measure and ``d``, in one scan.

    Columns: the key, then ``SPENT_7_DAYS``, ``SPENT_30_DAYS``, ... for each name of ``measures``. Rows: every entity with an event
    before ``as_of``. Without events in a window, sums and counts are 0 and the others NULL::

        SELECT k, COALESCE(SUM(IFF(t >= as_of - 7 days, x, NULL)), 0)::FLOAT AS SPENT_7_DAYS, ...
        FROM (SELECT k, TO_TIMESTAMP_NTZ(DATE_PART(EPOCH_MICROSECOND, event_time), 6) AS t, x FROM events)
        WHERE t < as_of GROUP BY k

    ``events``: a source's frame, or ``sources["<source>_tiles"]``: then whole days come from the tiles, and only the parts of days
    at a window's edges from rows. The result is the same (a deviation: the same up to rounding). ``as_of``: naive UTC.
    Raises CallerError for no or negative days, and for measures that tiles do not hold.
    """
    if not days or not measures or any(each is not None and each < 1 for each in days):
        raise CallerError(
            "trailing needs at least one measure and window; write days as whole numbers from 1, or LIFETIME"
        )
    end = naive_utc(as_of)
    starts = {each: None if each is None else end - timedelta(days=each) for each in days}
    if isinstance(events, Tiled):
        return _of_tiles(events, key, event_time, end, starts, measures)
    return _of_rows(events, key, event_time, end, starts, measures)


_Starts = Mapping[int | None, datetime | None]


def _of_rows(
    events: DataFrame,
    key: str | Sequence[str],
    event_time: str | Column,
    end: datetime,
    starts: _Starts,
    measures: Mapping[str, Measure],
) -> DataFrame:
    names, at = key_columns(key), F.col(AT)
    # The measures' columns get names of their own, so that no expression is computed once a window.
    values = {name: f"VALUE_{index}" for index, name in enumerate(measures)}
    timed = events.select(
        *names, utc(event_time).alias(AT), *(measure.value.alias(values[name]) for name, measure in measures.items())
    )

    def inside(name: str, start: datetime | None) -> Column:
        value = F.col(values[name])
        return measures[name].of(value if start is None else F.iff(at >= moment(start), value, F.lit(None)))

    return timed.filter(at < moment(end)).group_by(*names).agg(*_columns(measures, starts, inside))


def _of_tiles(
    events: Tiled,
    key: str | Sequence[str],
    event_time: str | Column,
    end: datetime,
    starts: _Starts,
    measures: Mapping[str, Measure],
) -> DataFrame:
    at, midnight = F.col(AT), first_moment(end)
    parts = events.parts(key, event_time, end, [start for start in starts.values() if start is not None])

    def inside(name: str, start: datetime | None) -> Column:
        # A row counts only where its day's tile does not: on the last day, and on the day on which the window starts.
        row, tile = at >= moment(midnight), F.lit(True)
        if start is not None:
            whole = next_day(start)
            row, tile = row | ((at >= moment(start)) & (at < moment(whole))), at >= moment(whole)
        return events.aggregate(measures[name], F.iff(F.col(IS_TILE), tile, row))

    return parts.group_by(*key_columns(key)).agg(*_columns(measures, starts, inside))


def _columns(
    measures: Mapping[str, Measure], starts: _Starts, inside: Callable[[str, datetime | None], Column]
) -> list[Column]:
    return [
        inside(name, start).alias(f"{name}_LIFETIME" if days is None else f"{name}_{days}_DAYS")
        for name in measures
        for days, start in starts.items()
    ]
