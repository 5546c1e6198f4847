"""Date and time functions: DATEADD, ADD_MONTHS, DATE_TRUNC and date arithmetic with intervals.

A DATE moved or truncated by whole days or more stays a DATE; DuckDB would answer with a timestamp. The result is cast to the type
of a copy of the moved expression, which DuckDB binds and never computes.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation

_WHOLE_DAYS = frozenset(("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"))


_UNITS = _WHOLE_DAYS | {"HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND", "NANOSECOND"}
_BY_UNIT: dict[type[exp.Expr], str] = {
    **dict.fromkeys((exp.DateTrunc, exp.TimestampTrunc), "DATE_TRUNC"),
    **dict.fromkeys((exp.DateAdd, exp.TimeAdd), "DATE_ADD"),
    exp.DateDiff: "DATE_DIFF",
}
# Parts that are whole numbers of units since 1970, with their number in a second.
_EPOCHS = {
    "EPOCH": 1,
    "EPOCH_SECOND": 1,
    "EPOCH_MILLISECOND": 10**3,
    "EPOCH_MICROSECOND": 10**6,
    "EPOCH_NANOSECOND": 10**9,
}


def rewrite_unit(node: exp.Expr) -> exp.Expr:
    """``DATEDIFF('day', a, b)``, as Snowpark writes it, as ``DATEDIFF(day, a, b)``; an unknown unit is refused."""
    unit = node.args.get("unit") if isinstance(node, exp.Func) else None
    if isinstance(unit, exp.Literal):
        node.set("unit", exp.var(unit.name.upper()))
    function = _BY_UNIT.get(type(node))
    if function is not None and unit is not None and unit.name.upper() not in _UNITS:
        raise compilation(
            1084,
            "22023",
            f"error line 1 at position 0\n'{unit.name.upper()}' is not a valid date/time component for function {function}.",
        )
    return _of_nanoseconds(node) if unit is not None and unit.name.upper() == "NANOSECOND" else node


def _of_nanoseconds(node: exp.Expr) -> exp.Expr:
    """Timestamps have microseconds: whole ones are added, and truncation to nanoseconds changes nothing."""
    if isinstance(node, exp.DateTrunc | exp.TimestampTrunc):
        return node.this.copy()  # type: ignore[no-any-return]  # sqlglot's copy is untyped
    if not isinstance(node, exp.DateAdd | exp.TimeAdd):
        return node
    moved = node.copy()
    moved.set("unit", exp.var("MICROSECOND"))
    moved.set("expression", exp.IntDiv(this=node.expression.copy(), expression=exp.Literal.number(1000)))
    return moved


def _epoch(node: exp.Expr) -> exp.Expr:
    """DATE_PART of the seconds, milliseconds, .. since 1970."""
    scale = _EPOCHS.get(node.name.upper())
    if scale is None:
        return node
    microseconds = exp.Anonymous(this="EPOCH_US", expressions=[node.expression.copy()])
    if scale == 10**9:
        return exp.Mul(this=microseconds, expression=exp.Literal.number(1000))
    return exp.Anonymous(this="_floored", expressions=[microseconds, exp.Literal.number(10**6 // scale)])


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Extract):
        return _epoch(node)
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
