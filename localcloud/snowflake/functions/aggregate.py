"""Aggregate functions under DuckDB's own names.

fakesnow turns a SUM of whole numbers into a float; Snowflake does not. Under these names fakesnow does not recognise them.
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
    name = _AGGREGATES.get(type(node))
    if name is None:
        return node
    return exp.Anonymous(this=name, expressions=[node.this])
