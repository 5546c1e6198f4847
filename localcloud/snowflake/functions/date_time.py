"""Date and time functions: DATEADD, ADD_MONTHS, DATE_TRUNC and date arithmetic with intervals.

A DATE moved or truncated by whole days or more stays a DATE; DuckDB would answer with a timestamp. The result is cast to the type
of a copy of the moved expression, which DuckDB binds and never computes.
"""

from __future__ import annotations

from sqlglot import exp

_WHOLE_DAYS = frozenset(("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"))


def rewrite_unit(node: exp.Expr) -> exp.Expr:
    """``DATEDIFF('day', a, b)``, as Snowpark writes it, as ``DATEDIFF(day, a, b)``."""
    unit = node.args.get("unit") if isinstance(node, exp.Func) else None
    if isinstance(unit, exp.Literal):
        node.set("unit", exp.var(unit.name.upper()))
    return node


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.AddMonths | exp.DateTrunc | exp.TimestampTrunc):
        return _keep_type(node)
    if isinstance(node, exp.DateAdd):
        return _keep_type_for_unit(node, node.args.get("unit"))
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
        return _keep_type_for_unit(node, node.expression.args.get("unit"))
    return node


def _keep_type_for_unit(node: exp.Expr, unit: exp.Expr | None) -> exp.Expr:
    return _keep_type(node) if unit is not None and unit.name.upper().removesuffix("S") in _WHOLE_DAYS else node


def _keep_type(node: exp.Expr) -> exp.Expr:
    """A literal text is a timestamp already."""
    if isinstance(node.this, exp.Literal):
        return node
    return exp.Anonymous(this="CAST_TO_TYPE", expressions=[node.copy(), node.this.copy()])
