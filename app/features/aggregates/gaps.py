"""Gaps between an entity's events."""

from __future__ import annotations

from snowflake.snowpark import Column, DataFrame, Window
from snowflake.snowpark import functions as F

from app.features.aggregates.event_time import column, utc
from app.features.aggregates.keys import key_columns


def gaps(events: DataFrame, key: str | list[str], event_time: str | Column, prefix: str = "GAP") -> DataFrame:
    """For each entity the mean, the longest and the deviation of the UTC calendar days between an event and the one before it.

    Columns: the key, ``<prefix>_MEAN_DAYS``, ``<prefix>_LONGEST_DAYS``, ``<prefix>_DEVIATION_DAYS``. Two events at the same time
    are 0 days apart, in whichever order. With one event all three are NULL, with two the deviation is::

        SELECT k, AVG(d)::FLOAT, MAX(d), STDDEV(d)::FLOAT
        FROM (SELECT k, DATEDIFF('day', LAG(t) OVER (PARTITION BY k ORDER BY t), t) AS d FROM events)
        GROUP BY k
    """
    names = key_columns(key)
    timed = events.select(*names, utc(event_time).alias("EVENT_TIME"))
    before = F.lag("EVENT_TIME").over(Window.partition_by(*names).order_by("EVENT_TIME"))
    apart = timed.select(*names, F.datediff("day", before, column("EVENT_TIME")).alias("DAYS"))
    return apart.group_by(*names).agg(
        F.avg(F.col("DAYS").cast("FLOAT")).alias(f"{prefix}_MEAN_DAYS"),
        F.max("DAYS").alias(f"{prefix}_LONGEST_DAYS"),
        F.stddev("DAYS").cast("FLOAT").alias(f"{prefix}_DEVIATION_DAYS"),
    )
