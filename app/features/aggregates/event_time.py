"""Event times in UTC, and the aggregates of an entity's event times."""

from __future__ import annotations

from datetime import datetime

from snowflake.snowpark import Column
from snowflake.snowpark import functions as F

from app.sql import naive_utc


def column(value: str | Column) -> Column:
    """A column by its name, or the column itself."""
    return F.col(value) if isinstance(value, str) else value


def moment(value: datetime) -> Column:
    """A TIMESTAMP_NTZ constant in UTC. A naive datetime is UTC already.

    Snowpark writes a datetime as TIMESTAMP, which is the type that the session's TIMESTAMP_TYPE_MAPPING says.
    """
    return F.lit(naive_utc(value).isoformat(sep=" ")).cast("TIMESTAMP_NTZ")


def utc(event_time: str | Column) -> Column:
    """An event time as TIMESTAMP_NTZ in UTC, in microseconds: ``TO_TIMESTAMP_NTZ(DATE_PART(EPOCH_MICROSECOND, t), 6)``.

    ``event_time``: DATE (its first moment), TIMESTAMP_NTZ (taken as UTC), TIMESTAMP_LTZ or TIMESTAMP_TZ (their moment). The number
    of microseconds since 1970 depends on no session parameter; casts between these types and their comparisons depend on TIMEZONE.
    """
    microseconds = F.date_part("EPOCH_MICROSECOND", column(event_time))
    return F.call_function("TO_TIMESTAMP_NTZ", microseconds, F.lit(6))


def recency(event_time: str | Column, as_of: datetime) -> Column:
    """Aggregate: UTC calendar days from the last event to ``as_of``: ``DATEDIFF('day', MAX(t), as_of)``. NULL without events."""
    return F.datediff("day", F.max(utc(event_time)), moment(as_of))


def tenure(event_time: str | Column, as_of: datetime) -> Column:
    """Aggregate: UTC calendar days from the first event to ``as_of``: ``DATEDIFF('day', MIN(t), as_of)``. NULL without events."""
    return F.datediff("day", F.min(utc(event_time)), moment(as_of))


def active_months(event_time: str | Column) -> Column:
    """Aggregate: UTC calendar months with an event: ``COUNT(DISTINCT DATE_TRUNC('month', t))``."""
    return F.count_distinct(F.date_trunc("month", utc(event_time)))
