"""Division and AVG of whole and decimal numbers: exact in Snowflake, floats in DuckDB.

They become calls of the macros in ``numeric_macros``, which find the types of their operands when DuckDB binds them. A macro
repeats its operands, so operands that are expensive or volatile are computed once, by a lambda.
"""

from __future__ import annotations

from sqlglot import exp

_PLAIN = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Paren, exp.Neg, exp.Cast, exp.DataType, exp.DataTypeParam),
    *(exp.Add, exp.Sub, exp.Mul, exp.Nullif, exp.Null),
)


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Div):
        return _ratio(node.this, node.expression)
    if isinstance(node, exp.Avg) and not isinstance(node.parent, exp.Window) and not _in_pivot(node):
        return _average(node.this)
    if isinstance(node, exp.Window) and isinstance(node.this, exp.Avg):
        return _average(node.this.this, over=node)
    return node


def _in_pivot(node: exp.Expr) -> bool:
    """Whether the aggregate belongs to a PIVOT, which takes only plain aggregates."""
    parent = node.parent.parent if isinstance(node.parent, exp.Alias) else node.parent
    return isinstance(parent, exp.Pivot)


def _ratio(dividend: exp.Expr, divisor: exp.Expr) -> exp.Expr:
    parts = [part for side in (dividend, divisor) for part in side.walk()]
    # DuckDB computes all branches of constant expressions, and the branch for small numbers would fail for large ones.
    plain = all(_is_plain(part) for part in parts) and any(isinstance(part, exp.Column) for part in parts)
    name = "_ratio" if plain else "_ratio_once"
    return exp.Anonymous(this=name, expressions=[dividend.unnest().copy(), divisor.unnest().copy()])


def _is_plain(part: exp.Expr) -> bool:
    """Whether it is cheap and stable. An alias of another column of the same SELECT may be any expression, so it is not."""
    if not isinstance(part, exp.Column):
        return isinstance(part, _PLAIN)
    select = part.parent_select
    aliases = {column.alias.upper() for column in select.expressions} if isinstance(select, exp.Select) else ()
    return part.name.upper() not in aliases


def _average(value: exp.Expr, over: exp.Window | None = None) -> exp.Expr:
    """The sum divided by the count; NULL for no rows."""
    total, count = (_aggregated(name, value, over) for name in ("SUM", "COUNT"))
    return _ratio(total, exp.Nullif(this=count, expression=exp.Literal.number(0)))


def _aggregated(name: str, value: exp.Expr, over: exp.Window | None) -> exp.Expr:
    call = exp.Anonymous(this=name, expressions=[value.copy()])
    if over is None:
        return call
    window = over.copy()
    window.set("this", call)
    return window
