"""DATEADD, ADD_MONTHS, DATE_TRUNC and interval arithmetic: a DATE moved by whole days stays a DATE; DuckDB returns a
timestamp.

The result is cast to the type of the date argument, which DuckDB takes from a copy of the argument that it binds but
does not evaluate.
"""

from __future__ import annotations

from sqlglot import exp

_WHOLE_DAYS = frozenset(("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"))


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
    """Cast the result to the type of the date argument. A text literal already denotes a timestamp."""
    if isinstance(node.this, exp.Literal):
        return node
    return exp.Anonymous(this="CAST_TO_TYPE", expressions=[node.copy(), node.this.copy()])
