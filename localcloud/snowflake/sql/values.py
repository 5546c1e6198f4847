"""VALUES in FROM: its column names, and columns by their number."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import unsupported


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Values):
        return _named(node)
    if isinstance(node, exp.Parameter) and node.name.isdecimal():
        return _numbered(node)
    return node


def _named(node: exp.Values) -> exp.Expr:
    """The columns of a named VALUES are COLUMN1, COLUMN2 and so on."""
    alias = node.args.get("alias")
    if isinstance(alias, exp.TableAlias) and alias.this is not None and not alias.columns and node.expressions:
        row = node.expressions[0]
        width = len(row.expressions) if isinstance(row, exp.Tuple) else 1
        alias.set("columns", [exp.to_identifier(f"COLUMN{at}", quoted=True) for at in range(1, width + 1)])
    return node


def _numbered(node: exp.Parameter) -> exp.Expr:
    """``$1`` over VALUES, as Snowpark writes local rows; not supported over other sources."""
    select = node.find_ancestor(exp.Select)
    source = select.args.get("from_") if select is not None else None
    values = source.this if source is not None else None
    if not isinstance(values, exp.Values):
        raise unsupported(f"the column ${node.name} outside SELECT ... FROM VALUES; name the column")
    given = values.args.get("alias")
    columns = given.columns if given is not None else []
    if columns:
        return exp.Column(this=columns[int(node.name) - 1].copy())
    return exp.Column(this=exp.to_identifier(f"COLUMN{node.name}", quoted=True))
