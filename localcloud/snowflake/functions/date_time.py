"""Dates that are moved or truncated: a DATE stays one for whole days and more, where DuckDB answers with a moment.

In: DATEADD, ADD_MONTHS, DATE_TRUNC, or a sum with an interval. Out: the same as a CAST to the type of what is moved. The
surprise: the type is taken from a copy of the moved expression, which DuckDB binds and never computes.
"""

from __future__ import annotations

from sqlglot import exp

_WHOLE_DAYS = frozenset(("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"))


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.AddMonths | exp.DateTrunc | exp.TimestampTrunc):
        return _as_given(node)
    if isinstance(node, exp.DateAdd):
        return _of_unit(node, node.args.get("unit"))
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
        return _of_unit(node, node.expression.args.get("unit"))
    return node


def _of_unit(node: exp.Expr, unit: exp.Expr | None) -> exp.Expr:
    return _as_given(node) if unit is not None and unit.name.upper().removesuffix("S") in _WHOLE_DAYS else node


def _as_given(node: exp.Expr) -> exp.Expr:
    """A text stands for a moment already."""
    if isinstance(node.this, exp.Literal):
        return node
    return exp.Anonymous(this="CAST_TO_TYPE", expressions=[node.copy(), node.this.copy()])
