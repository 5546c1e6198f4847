"""VALUES in FROM: its column names."""

from __future__ import annotations

from sqlglot import exp


def rewrite(node: exp.Expr) -> exp.Expr:
    return _named(node) if isinstance(node, exp.Values) else node


def _named(node: exp.Values) -> exp.Expr:
    """The columns of a named VALUES are COLUMN1, COLUMN2 and so on."""
    alias = node.args.get("alias")
    if isinstance(alias, exp.TableAlias) and alias.this is not None and not alias.columns and node.expressions:
        row = node.expressions[0]
        width = len(row.expressions) if isinstance(row, exp.Tuple) else 1
        alias.set("columns", [exp.to_identifier(f"COLUMN{at}", quoted=True) for at in range(1, width + 1)])
    return node
