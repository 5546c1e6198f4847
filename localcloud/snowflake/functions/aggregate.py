"""Aggregate functions under DuckDB's own names.

fakesnow turns a SUM of whole numbers into a float; Snowflake does not. Under these names fakesnow does not recognise them.
COUNT_IF of no rows is 0 in Snowflake and NULL in DuckDB, so it becomes a COUNT; LISTAGG of no rows is an empty text, and
without a delimiter it writes none.
"""

from __future__ import annotations

from sqlglot import exp

_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Sum: "SUM",
    exp.Avg: "AVG",
    exp.Variance: "VAR_SAMP",
    exp.VariancePop: "VAR_POP",
    exp.Stddev: "STDDEV_SAMP",
    exp.StddevSamp: "STDDEV_SAMP",
    exp.StddevPop: "STDDEV_POP",
    exp.Median: "MEDIAN",
}


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.CountIf) and not isinstance(node.this, exp.Distinct):
        counted = exp.Case(ifs=[exp.If(this=node.this, true=exp.Literal.number(1))])
        return exp.Anonymous(this="COUNT", expressions=[counted])
    if _is_listagg(node):
        return _listagg(node.copy())
    name = _AGGREGATES.get(type(node))
    if name is None:
        return node
    return exp.Anonymous(this=name, expressions=[node.this])


def _listagg(node: exp.Expr) -> exp.Expr:
    for inner in node.find_all(exp.GroupConcat):
        if inner.args.get("separator") is None:
            inner.set("separator", exp.Literal.string(""))
    return exp.Coalesce(this=node, expressions=[exp.Literal.string("")])


def _is_listagg(node: exp.Expr) -> bool:
    """Whether the node is a LISTAGG together with its WITHIN GROUP and OVER."""
    around = (exp.WithinGroup, exp.Window, exp.Filter)
    inner = node
    while isinstance(inner, around):
        inner = inner.this
    parent = node.parent
    return isinstance(inner, exp.GroupConcat) and not (isinstance(parent, around) and parent.this is node)
