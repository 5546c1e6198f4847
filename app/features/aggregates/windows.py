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

        SELECT k, COALESCE(SUM(IFF(in_7_days, x, NULL)), 0)::FLOAT AS SPENT_7_DAYS, ...
        FROM (SELECT k, x, t >= as_of - 7 days AS in_7_days, ...
              FROM (SELECT k, TO_TIMESTAMP_NTZ(DATE_PART(EPOCH_MICROSECOND, event_time), 6) AS t, x FROM events) WHERE t < as_of)
        GROUP BY k

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
    values = {name: f"VALUE_{index}" for index, name in enumerate(measures)}
    timed = events.select(
        *names, utc(event_time).alias(AT), *(measure.value.alias(values[name]) for name, measure in measures.items())
    )
    # Columns of their own, so that no expression is computed once for each window and measure.
    flags = {
        days: (F.lit(True) if start is None else at >= moment(start)).alias(_flag(days))
        for days, start in starts.items()
    }
    flagged = timed.filter(at < moment(end)).select(*names, *values.values(), *flags.values())

    def measured(name: str, inside: Column) -> Column:
        return measures[name].of(F.iff(inside, F.col(values[name]), F.lit(None)))

    return flagged.group_by(*names).agg(*_columns(measures, starts, measured))


def _of_tiles(
    events: Tiled,
    key: str | Sequence[str],
    event_time: str | Column,
    end: datetime,
    starts: _Starts,
    measures: Mapping[str, Measure],
) -> DataFrame:
    names, at, midnight = key_columns(key), F.col(AT), first_moment(end)
    events.check(key, event_time, measures.values())
    parts = events.parts(key, end, [start for start in starts.values() if start is not None])

    def inside(start: datetime | None) -> Column:
        # A row counts only where its day's tile does not: on the last day, and on the day on which the window starts.
        row, tile = at >= moment(midnight), F.lit(True)
        if start is not None:
            whole = next_day(start)
            row, tile = row | ((at >= moment(start)) & (at < moment(whole))), at >= moment(whole)
        return F.iff(F.col(IS_TILE), tile, row)

    flags = [inside(start).alias(_flag(days)) for days, start in starts.items()]
    flagged = parts.select(*names, *events.part_columns, *flags)

    def measured(name: str, inside: Column) -> Column:
        return events.aggregate(measures[name], inside)

    return flagged.group_by(*names).agg(*_columns(measures, starts, measured))


def _columns(
    measures: Mapping[str, Measure], starts: _Starts, measured: Callable[[str, Column], Column]
) -> list[Column]:
    return [measured(name, F.col(_flag(days))).alias(f"{name}_{_suffix(days)}") for name in measures for days in starts]


def _flag(days: int | None) -> str:
    return f"IN_{_suffix(days)}"


def _suffix(days: int | None) -> str:
    return "LIFETIME" if days is None else f"{days}_DAYS"
