"""Quotients and averages of whole and decimal numbers, which are exact in Snowflake and floats in DuckDB.

In: a ``/`` or an AVG. Out: a call of a macro of ``number_macros``, which finds the operands' types as DuckDB binds it. The
surprise: a macro repeats its operands, so those that are costly or differ from call to call are computed once, by a lambda.
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
    if isinstance(node, exp.Avg) and not isinstance(node.parent, exp.Window) and not _pivots(node):
        return _average(node.this)
    if isinstance(node, exp.Window) and isinstance(node.this, exp.Avg):
        return _average(node.this.this, over=node)
    return node


def _pivots(node: exp.Expr) -> bool:
    """PIVOT takes a plain aggregate, with an alias or without."""
    parent = node.parent.parent if isinstance(node.parent, exp.Alias) else node.parent
    return isinstance(parent, exp.Pivot)


def _ratio(dividend: exp.Expr, divisor: exp.Expr) -> exp.Expr:
    parts = [part for side in (dividend, divisor) for part in side.walk()]
    # DuckDB computes all branches of what it folds, and the branch for small numbers would fail on large constants.
    plain = all(_is_plain(part) for part in parts) and any(isinstance(part, exp.Column) for part in parts)
    name = "_ratio" if plain else "_ratio_once"
    return exp.Anonymous(this=name, expressions=[dividend.unnest().copy(), divisor.unnest().copy()])


def _is_plain(part: exp.Expr) -> bool:
    """Whether it costs next to nothing; the alias of another column of the same SELECT stands for anything."""
    if not isinstance(part, exp.Column):
        return isinstance(part, _PLAIN)
    select = part.parent_select
    aliases = {column.alias.upper() for column in select.expressions} if isinstance(select, exp.Select) else ()
    return part.name.upper() not in aliases


def _average(value: exp.Expr, over: exp.Window | None = None) -> exp.Expr:
    """The sum by the count; no rows have no average."""
    total, count = (_aggregated(name, value, over) for name in ("SUM", "COUNT"))
    return _ratio(total, exp.Nullif(this=count, expression=exp.Literal.number(0)))


def _aggregated(name: str, value: exp.Expr, over: exp.Window | None) -> exp.Expr:
    call = exp.Anonymous(this=name, expressions=[value.copy()])
    if over is None:
        return call
    window = over.copy()
    window.set("this", call)
    return window
