"""OBJECT_CONSTRUCT(*) and {*}, also with EXCLUDE or ILIKE, as objects of the named columns.

DuckDB expands a star inside a call in few places only. The columns are found by binding the SELECT's sources, before the other
rewrites, so that the rest of the server sees an ordinary object.
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.snowflake.failures import compilation, failure, invalid_identifier, unsupported
from localcloud.snowflake.functions.probes import SOURCES, source_columns
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import like_pattern
from localcloud.snowflake.sql.names import stored

_ROWS = (exp.Lateral, exp.TableFromRows)


def rewrite(expression: exp.Expr, session: Session, runner: Runner) -> None:
    """Name the columns of every object that is built from a star, in place."""
    for select in reversed(list(expression.find_all(exp.Select))):
        for made in [node for node in select.find_all(exp.StarMap, exp.JSONObject, exp.Struct) if _is_starred(node)]:
            if made.parent_select is select:
                made.replace(_unbound(made) if _is_correlated(select) else _object(made, select, session, runner))


def _is_starred(node: exp.Expr) -> bool:
    given = _arguments(node)
    starred = [value for value in given if value.is_star]
    if starred and len(given) > 1:
        raise unsupported("a wildcard among other keys of an object")
    return bool(starred)


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    return [node.this] if isinstance(node, exp.StarMap) else node.expressions


def _is_correlated(select: exp.Select) -> bool:
    """Whether the sources read columns of an outer query; they cannot be bound without it."""
    parts = [part for key in SOURCES for part in _listed(select.args.get(key))]
    names = {
        source.alias_or_name.upper()
        for part in parts
        for source in part.find_all(exp.Table, exp.Subquery, exp.Lateral, exp.TableFromRows, exp.Values)
    }
    if any(
        column.table and column.table.upper() not in names for part in parts for column in part.find_all(exp.Column)
    ):
        return True
    first = select.args["from_"].this if select.args.get("from_") else None
    return isinstance(first, _ROWS) and first.find(exp.Column) is not None


def _unbound(made: exp.Expr) -> exp.Expr:
    """The object of a star whose columns only DuckDB can find: the form without filters, which fakesnow rewrites."""
    (star,) = _arguments(made)
    if any((star.this if isinstance(star, exp.Column) else star).args.values()):
        raise unsupported("a filtered wildcard of an object over a source that reads an outer query")
    return exp.StarMap(this=star.copy()) if isinstance(made, exp.Struct) else made


def _listed(value: exp.Expr | list[exp.Expr] | None) -> list[exp.Expr]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _object(made: exp.Expr, select: exp.Select, session: Session, runner: Runner) -> exp.Expr:
    (star,) = _arguments(made)
    table = star.args.get("table") if isinstance(star, exp.Column) else None
    filters = star.this if isinstance(star, exp.Column) else star
    columns = source_columns(select, table, session, runner)
    if len(set(columns)) < len(columns):
        raise failure(100_103, "22000", "Duplicate field key in OBJECT_CONSTRUCT")
    names = _kept(columns, filters)
    values = [exp.column(exp.to_identifier(name, quoted=True), table=table and table.copy()) for name in names]
    keys = [exp.Literal.string(name) for name in names]
    if isinstance(made, exp.JSONObject):
        pairs = [exp.JSONKeyValue(this=key, expression=value) for key, value in zip(keys, values, strict=True)]
        return exp.JSONObject(expressions=pairs)
    return exp.Struct(
        expressions=[exp.PropertyEQ(this=key, expression=value) for key, value in zip(keys, values, strict=True)]
    )


def _kept(names: list[str], star: exp.Expr) -> list[str]:
    excluded, pattern = star.args.get("except_"), star.args.get("ilike")
    if any(star.args.get(key) for key in ("rename", "replace")):
        raise unsupported("RENAME or REPLACE in a wildcard of an object")
    if excluded and pattern:
        raise compilation(1003, "42000", "syntax error: ILIKE and EXCLUDE cannot be combined.")
    if pattern:
        accepted = re.compile(like_pattern(pattern.name), re.IGNORECASE | re.DOTALL)
        return [name for name in names if accepted.fullmatch(name)]
    dropped = [stored(item.find(exp.Identifier)) for item in excluded or []]
    for name in dropped:
        if name not in names:
            raise invalid_identifier(name)
    return [name for name in names if name not in dropped]
