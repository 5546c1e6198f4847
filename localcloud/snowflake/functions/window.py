"""Window functions that DuckDB lacks: RATIO_TO_REPORT and CONDITIONAL_TRUE_EVENT."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import unsupported

_WHOLE_SPAN = exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")


def rewrite(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Window):
        return node
    called = node.this
    name = str(called.this).upper() if isinstance(called, exp.Anonymous) else ""
    if name == "RATIO_TO_REPORT":
        total = node.copy()
        total.set("this", _call("SUM", called))
        return exp.Div(
            this=exp.cast(called.expressions[0].copy(), "DOUBLE"),
            expression=exp.Nullif(this=total, expression=exp.Literal.number(0)),
        )
    if name == "CONDITIONAL_TRUE_EVENT":
        node.set("this", _call("COUNT_IF", called))
        node.set("spec", _WHOLE_SPAN.copy())
    if name == "CONDITIONAL_CHANGE_EVENT":
        raise unsupported("the function CONDITIONAL_CHANGE_EVENT; sum up a comparison with LAG")
    return node


def _call(name: str, called: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in called.expressions])
