"""Scores of 1 to 5, as RFM (recency, frequency, monetary value) uses them.

A rule is a threshold that people chose: scores of different dates are comparable, and a single row can be scored. A rank needs all
rows of the slice, and follows their distribution. :func:`score_by_rank` makes groups of equal size, and separates equal values
where a border falls between them. :func:`score_by_value` gives equal values equal scores, and its groups are as uneven as the
values. Frequencies have few distinct values (most customers order once), so rank them by value; where values hardly repeat, as
in sums of money, the two agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from snowflake.snowpark import Column, Window
from snowflake.snowpark import functions as F

from app.errors import CallerError
from app.features.aggregates.event_time import column
from app.features.aggregates.keys import key_columns


def score_by_rules(
    value: str | Column, rules: Sequence[tuple[float, float]], otherwise: float, *, at_least: bool = False
) -> Column:
    """The score of the first rule that holds: ``CASE WHEN x IS NULL THEN NULL WHEN x < 30 THEN 5 WHEN x < 90 THEN 4 ELSE 1 END``.

    ``rules``: (bound, score), in the order in which they are tried: bounds ascend, and a value below one has its score. With
    ``at_least`` they descend (``x >= bound``), for values where more is better. Raises CallerError for bounds in another order.
    """
    bounds = [bound for bound, _ in rules]
    if not rules or bounds != sorted(set(bounds), reverse=at_least):
        raise CallerError(
            f"the rules' bounds are {bounds}; write at least one, {'descending' if at_least else 'ascending'}, since the first "
            "rule that holds decides"
        )
    x = column(value)
    cases = F.when(x.is_null(), F.lit(None))
    for bound, score in rules:
        cases = cases.when(x >= F.lit(bound) if at_least else x < F.lit(bound), F.lit(score))
    return cases.otherwise(F.lit(otherwise))


def score_by_rank(
    value: str | Column, key: str | Sequence[str], groups: int = 5, *, lower_is_better: bool = False
) -> Column:
    """``NTILE(5) OVER (PARTITION BY x IS NULL ORDER BY x, key)``: ``groups`` for the best values, 1 for the worst, NULL for NULL.

    ``key``: the entity's columns, unique in the frame; they order equal values, so that equal rows always get equal scores. Groups
    differ by at most one row, and equal values may get different scores.
    """
    x = column(value)
    order = [x.desc() if lower_is_better else x.asc(), *(F.col(name) for name in key_columns(key))]
    window = Window.partition_by(x.is_null()).order_by(*order)
    return F.iff(x.is_null(), F.lit(None), F.ntile(F.lit(groups)).over(window))


def score_by_value(value: str | Column, groups: int = 5, *, lower_is_better: bool = False) -> Column:
    """``LEAST(5, 1 + FLOOR(5 * PERCENT_RANK() OVER (PARTITION BY x IS NULL ORDER BY x)))``; NULL for NULL.

    A value's score follows from the share of rows that are worse, so equal values have equal scores and no tie-break is needed. The
    worst value has 1; a score is left out where one value fills its group. The best rows have ``groups`` unless they are too many.
    """
    x = column(value)
    window = Window.partition_by(x.is_null()).order_by(x.desc() if lower_is_better else x.asc())
    group = F.floor(F.percent_rank().over(window) * F.lit(groups)) + F.lit(1)
    return F.iff(x.is_null(), F.lit(None), F.least(F.lit(groups), group))
