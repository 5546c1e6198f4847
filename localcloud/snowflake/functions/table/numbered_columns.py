"""Columns by their number: ``$1``, ``t.$1`` and ``"$1"``, over VALUES, tables and subqueries, but not over staged files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.functions.probes import source_columns
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import named

_QUOTED = re.compile(r"\$\d+")


def rewrite(expression: exp.Expr, session: Session, runner: Runner) -> None:
    """Replace every number by the name of its column, in place, innermost SELECT first."""
    for select in reversed(list(expression.find_all(exp.Select))):
        if select.args.get("from_") is None:
            continue
        staged = set(_staged(select))
        found = [column for column in _numbered(select) if not staged or column[2] not in staged | {""}]
        names: dict[str, list[str]] = {}
        for node, number, table in found:
            if table not in names:
                names[table] = _names(select, table, session, runner)
            _replace(node, number, names[table])


def _numbered(select: exp.Select) -> Iterator[tuple[exp.Expr, int, str]]:
    """Every numbered column of this SELECT, without its subqueries: the node, the number, and the table before it."""
    for node in list(select.find_all(exp.Parameter, exp.Column)):
        if node.parent_select is not select:
            continue
        if isinstance(node, exp.Parameter) and node.name.isdecimal():
            owner = node.parent if isinstance(node.parent, exp.Column) else None
            yield owner or node, int(node.name), owner.table if owner else ""
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier) and _QUOTED.fullmatch(node.name):
            yield node, int(node.name[1:]), node.table


def _staged(select: exp.Select) -> Iterator[str]:
    """The aliases of the sources that are staged files."""
    for source in (select.args["from_"].this, *(join.this for join in select.args.get("joins") or [])):
        if isinstance(source, exp.Table) and isinstance(source.this, exp.Var | exp.Literal):
            yield source.alias


def _names(select: exp.Select, table: str, session: Session, runner: Runner) -> list[str]:
    source = select.args["from_"].this
    alone = not select.args.get("joins") and not select.args.get("laterals")
    if alone and isinstance(source, exp.Values):
        alias = source.args.get("alias")
        row = source.expressions[0]
        width = len(row.expressions) if isinstance(row, exp.Tuple) else 1
        given = [column.name for column in alias.columns] if alias is not None else []
        return given or [f"COLUMN{at}" for at in range(1, width + 1)]
    query = source.this if isinstance(source, exp.Subquery) else None
    if alone and isinstance(query, exp.Select) and not source.alias_column_names and not _is_open(query):
        return [named(projection.copy()) for projection in query.expressions]
    return source_columns(select, exp.to_identifier(table) if table else None, session, runner)


def _is_open(query: exp.Select) -> bool:
    """Whether only DuckDB knows the columns, because one of them is a star."""
    return any(projection.is_star for projection in query.expressions)


def _replace(node: exp.Expr, number: int, names: list[str]) -> None:
    quoted = isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier)
    if quoted and node.name in names:
        return
    if not 1 <= number <= len(names):
        raise compilation(904, "42000", f"error line 1 at position 0\ninvalid identifier '${number}'")
    table = node.args.get("table") if isinstance(node, exp.Column) else None
    node.replace(exp.column(exp.to_identifier(names[number - 1], quoted=True), table=table and table.copy()))
