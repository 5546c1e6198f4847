"""PIVOT: ANY and subqueries are not supported."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import unsupported


def rewrite(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Pivot):
        return node
    if node.find(exp.PivotAny) or any(
        isinstance(field.args.get("query"), exp.Query) for field in node.find_all(exp.In)
    ):
        raise unsupported("PIVOT over ANY or a subquery; list the values")
    return node
