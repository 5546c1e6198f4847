"""INNER JOIN without a condition: in Snowflake the product of both sides, and a syntax error in DuckDB."""

from __future__ import annotations

from sqlglot import exp

# How a join is written that needs no condition of its own.
_CONDITIONS = ("on", "using", "method", "side", "match_condition")


def rewrite(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Join) or any(node.args.get(name) for name in _CONDITIONS):
        return node
    if node.kind in ("", "INNER") and isinstance(node.this, exp.Table | exp.Subquery):
        node.set("kind", "CROSS")
    return node
