"""What a window holds of its events: sums, counts, means, extremes, deviations, distinct values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snowflake.snowpark import Column
from snowflake.snowpark import functions as F

from app.features.aggregates.event_time import column


@dataclass(frozen=True)
class Measure:
    """An aggregate over the events of a window.

    ``value``: the column that it aggregates; its NULLs are left out. ``name``: that column's name, None for an expression.
    ``aggregate``: the aggregate of a column. Made by the functions of this module, or by ``Measure("median", F.median,
    F.col("AMOUNT"))`` for any other aggregate.
    """

    kind: str
    aggregate: Callable[[Column], Column]
    value: Column
    name: str | None = None

    def of(self, value: Column) -> Column:
        """The aggregate of ``value``, which is NULL outside the window."""
        return self.aggregate(value)


def total(value: str | Column) -> Measure:
    """The sum, 0 without events: ``COALESCE(SUM(x), 0)::FLOAT``.

    A sum of NUMBERs is exact. A sum of FLOATs depends in its last bits on the order of the rows, which Snowflake does not promise.
    """
    return _measure("total", lambda x: F.coalesce(F.sum(x), F.lit(0)).cast("FLOAT"), value)


def count(value: str | Column | None = None) -> Measure:
    """The number of events, or of those whose ``value`` is not NULL: ``COUNT(x)``; 0 without events."""
    return _measure("count", F.count, value) if value is not None else Measure("rows", F.count, F.lit(1))


def mean(value: str | Column) -> Measure:
    """The mean, NULL without events: ``SUM(x)::FLOAT / NULLIF(COUNT(x), 0)``, since AVG of a NUMBER is rounded to its scale + 6."""
    return _measure("mean", lambda x: ratio(F.sum(x), F.count(x)), value)


def minimum(value: str | Column) -> Measure:
    """The least value, NULL without events: ``MIN(x)``."""
    return _measure("minimum", F.min, value)


def maximum(value: str | Column) -> Measure:
    """The greatest value, NULL without events: ``MAX(x)``."""
    return _measure("maximum", F.max, value)


def deviation(value: str | Column) -> Measure:
    """The sample standard deviation, NULL below two events: ``STDDEV(x)::FLOAT``."""
    return _measure("deviation", lambda x: F.stddev(x).cast("FLOAT"), value)


def distinct(value: str | Column) -> Measure:
    """The number of distinct values other than NULL: ``COUNT(DISTINCT x)``; 0 without events."""
    return _measure("distinct", F.count_distinct, value)


def ratio(numerator: str | Column, denominator: str | Column) -> Column:
    """``a::FLOAT / NULLIF(b::FLOAT, 0)``: NULL where ``b`` is 0 or NULL, instead of the error *Division by zero*."""
    divisor = F.call_function("NULLIF", column(denominator).cast("FLOAT"), F.lit(0))
    return column(numerator).cast("FLOAT") / divisor


def _measure(kind: str, aggregate: Callable[[Column], Column], value: str | Column) -> Measure:
    return Measure(kind, aggregate, column(value), value if isinstance(value, str) else None)
