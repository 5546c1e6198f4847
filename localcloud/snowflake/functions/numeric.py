"""Division and AVG of whole and decimal numbers: exact in Snowflake, floats in DuckDB.

They become calls of the macros in ``numeric_macros``, which find the types of their operands when DuckDB binds them. A macro
repeats its operands, so operands that are expensive or volatile are computed once, by a lambda.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.functions import operands

_FLOATS = (exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE)


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.WidthBucket):
        return _width_bucket(node)
    if isinstance(node, exp.Factorial):
        return exp.Anonymous(this="_factorial", expressions=[node.this.copy()])
    if isinstance(node, exp.Trunc):
        return _truncated(node.this, node.args.get("decimals"))
    if isinstance(node, exp.Anonymous) and str(node.this).upper() == "TRUNC" and len(node.expressions) == 2:
        return _truncated(*node.expressions)
    if isinstance(node, exp.Sqrt):
        return exp.Anonymous(this="_sqrt", expressions=[node.this.copy()])
    if isinstance(node, exp.ApproxQuantile):
        node.set("this", exp.cast(node.this.copy(), "DOUBLE"))
    if isinstance(node, exp.Div):
        return _ratio(node.this, node.expression)
    if isinstance(node, exp.Avg) and not isinstance(node.parent, exp.Window) and not _in_pivot(node):
        return _average(node.this)
    if isinstance(node, exp.Window) and isinstance(node.this, exp.Avg):
        return _average(node.this.this, over=node)
    return node


def _truncated(value: exp.Expr, decimals: exp.Expr | None) -> exp.Expr:
    """DuckDB takes the number of decimals as a constant; other numbers give a float."""
    if decimals is None:
        return exp.Anonymous(this="TRUNC", expressions=[value.copy()])
    macro = "_trunc" if decimals.find(exp.Column) else "_trunc_constant"
    return exp.Anonymous(this=macro, expressions=[value.copy(), decimals.copy()])


def _width_bucket(node: exp.WidthBucket) -> exp.Expr:
    given = [node.args.get(name) for name in ("this", "min_value", "max_value", "num_buckets")]
    if any(value is None for value in given):
        raise compilation(938, "22023", "error line 1 at position 0\nnot enough arguments for function [WIDTH_BUCKET]")
    return exp.Anonymous(this="_width_bucket", expressions=given)


def _in_pivot(node: exp.Expr) -> bool:
    """Whether the aggregate belongs to a PIVOT, which takes only plain aggregates."""
    parent = node.parent.parent if isinstance(node.parent, exp.Alias) else node.parent
    return isinstance(parent, exp.Pivot)


def _ratio(dividend: exp.Expr, divisor: exp.Expr) -> exp.Expr:
    if _is_float(dividend) and _is_float(divisor):
        return exp.Div(this=dividend.copy(), expression=divisor.copy())
    # DuckDB computes all branches of constant expressions, and the branch for small numbers would fail for large ones.
    if operands.is_plain(dividend, divisor):
        return operands.ratio(dividend, divisor)
    return exp.Anonymous(this="_ratio_once", expressions=[dividend.unnest().copy(), divisor.unnest().copy()])


def _is_float(operand: exp.Expr) -> bool:
    """Whether the operand is cast to a float, so that the quotient is DuckDB's own."""
    inner = operand.unnest()
    while isinstance(inner, exp.Nullif):
        inner = inner.this.unnest()
    return type(inner) is exp.Cast and inner.to.this in _FLOATS


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
