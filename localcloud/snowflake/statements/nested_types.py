"""Which JSON columns are OBJECT or ARRAY rather than VARIANT; DuckDB has one type for the three.

The types are derived from the query's text, through subqueries, views and tables. Columns whose type is not found are VARIANT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import named, stored, table_name
from localcloud.snowflake.sql.syntax import Path
from localcloud.snowflake.tables.properties import TableProperties

# Types by column name.
Kinds = Mapping[str, str]

_ARRAYS = (
    *(exp.Array, exp.ArrayAgg, exp.ArrayAppend, exp.ArrayCompact, exp.ArrayConcat, exp.ArrayConstructCompact),
    *(exp.ArrayDistinct, exp.ArrayExcept, exp.ArrayInsert, exp.ArrayIntersect, exp.ArrayPrepend, exp.ArrayRemove),
    *(exp.ArrayRemoveAt, exp.ArrayReverse, exp.ArraySlice, exp.ArrayUniqueAgg, exp.Flatten, exp.GenerateSeries),
    *(exp.JSONKeys, exp.SortArray, exp.Split, exp.StrtokToArray, exp.ToArray),
)
_OBJECTS = (exp.Struct, exp.StarMap, exp.JSONObject, exp.ObjectAgg, exp.ObjectInsert)
_NAMED = {
    **dict.fromkeys(("TO_OBJECT", "AS_OBJECT", "OBJECT_DELETE", "OBJECT_PICK"), "OBJECT"),
    "AS_ARRAY": "ARRAY",
}
_DECLARED = {exp.DataType.Type.ARRAY: "ARRAY", exp.DataType.Type.OBJECT: "OBJECT"}


def of_query(session: Session, query: exp.Expr, ctes: Mapping[str, Kinds] | None = None) -> Kinds:
    """The OBJECT and ARRAY columns of a query's result."""
    known = dict(ctes or {})
    for cte in query.args["with_"].expressions if query.args.get("with_") else ():
        known[_name(cte.args["alias"].this)] = of_query(session, cte.this, known)
    if isinstance(query, exp.SetOperation | exp.Subquery):
        return of_query(session, query.this, known)
    if not isinstance(query, exp.Select):
        return {}
    sources = _sources(session, query, known)
    found: dict[str, str] = {}
    for projection in query.expressions:
        if projection.is_star:
            found.update(_starred(projection, sources))
        elif (kind := _of_value(projection, sources)) is not None:
            found[named(projection.copy())] = kind
    return found


def _sources(session: Session, query: exp.Select, ctes: Mapping[str, Kinds]) -> dict[str, Kinds]:
    start = query.args.get("from_")
    items = [start.this] if start is not None else []
    items += [join.this for join in query.args.get("joins") or []]
    found: dict[str, Kinds] = {}
    for item in items:
        alias = _name(item.args["alias"].this) if item.args.get("alias") and item.args["alias"].this else ""
        if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
            name = stored(item.this)
            local = ctes.get(name) if not item.args.get("db") else None
            found[alias or name] = local if local is not None else of_table(session, item)
        elif isinstance(item, exp.Subquery):
            found[alias or f"#{len(found)}"] = of_query(session, item.this, ctes)
    return found


def of_table(session: Session, table: exp.Table) -> Kinds:
    name = table_name(table)
    if (name.database or session.database) is None or (name.schema or session.schema) is None:
        return {}
    found: Kinds = session.account.state(TableProperties).nested_types.get(_key(session, session.path(name)), {})
    return found


def _key(session: Session, path: Path) -> Path:
    local = session.temporary.get(path)
    return path if local is None else ("temp", "main", local)


def _starred(star: exp.Expr, sources: Mapping[str, Kinds]) -> Kinds:
    if isinstance(star, exp.Column) and star.args.get("table"):
        return sources.get(_name(star.args["table"]), {})
    return {column: kind for kinds in sources.values() for column, kind in kinds.items()}


def _of_value(value: exp.Expr, sources: Mapping[str, Kinds]) -> str | None:
    if isinstance(value, exp.Alias | exp.Paren | exp.Window | exp.WithinGroup | exp.Filter | exp.Coalesce):
        return _of_value(value.this, sources)
    if isinstance(value, exp.Cast):
        return _DECLARED.get(value.to.this)
    if isinstance(value, exp.Column) and isinstance(value.this, exp.Identifier):
        owner = _name(value.args["table"]) if value.args.get("table") else None
        tables = sources.values() if owner is None else (sources.get(owner, {}),)
        return next((kinds[stored(value.this)] for kinds in tables if stored(value.this) in kinds), None)
    if isinstance(value, exp.Anonymous):
        return _NAMED.get(str(value.this).upper())
    return "ARRAY" if isinstance(value, _ARRAYS) else "OBJECT" if isinstance(value, _OBJECTS) else None


def _name(identifier: exp.Expr) -> str:
    return stored(identifier) if isinstance(identifier, exp.Identifier) else str(identifier.name).upper()


def of_statement(session: Session, expression: exp.Expr) -> Kinds:
    """The OBJECT and ARRAY columns of a query's result, or those that CREATE TABLE or CREATE VIEW defines."""
    if isinstance(expression, exp.Query):
        return of_query(session, expression)
    if not isinstance(expression, exp.Create) or expression.args.get("kind") not in ("TABLE", "VIEW"):
        return {}
    declared, query = expression.this, expression.expression
    made = of_query(session, query) if isinstance(query, exp.Query) else {}
    if not isinstance(declared, exp.Schema):
        return made
    columns = [column for column in declared.expressions if isinstance(column, exp.ColumnDef | exp.Identifier)]
    selected = query.selects if isinstance(query, exp.Query) and len(query.selects) == len(columns) else []
    found = {}
    for at, column in enumerate(columns):
        type_ = column.kind if isinstance(column, exp.ColumnDef) else None
        given = made.get(named(selected[at].copy())) if selected and not selected[at].is_star else None
        if (kind := given if type_ is None else _DECLARED.get(type_.this)) is not None:
            found[stored(column if isinstance(column, exp.Identifier) else column.this)] = kind
    return found


def keep(session: Session, expression: exp.Expr, kinds: Kinds) -> None:
    """Store the OBJECT and ARRAY columns of a new, altered or renamed table or view."""
    table = expression.find(exp.Table)
    if not isinstance(expression, exp.Create | exp.Alter) or expression.args.get("kind") not in ("TABLE", "VIEW"):
        return
    if table is None:
        return
    known, path = session.account.state(TableProperties).nested_types, session.path(table_name(table))
    if isinstance(expression, exp.Create):
        made = expression.args["kind"] == "TABLE" and expression.find(exp.TemporaryProperty)
        known[("temp", "main", table.name) if made else path] = kinds
        return
    for action in expression.args.get("actions") or []:
        if isinstance(action, exp.AlterRename):
            known[session.path(table_name(action.this))] = known.pop(path, {})
        elif isinstance(action, exp.ColumnDef) and action.kind is not None and action.kind.this in _DECLARED:
            known[_key(session, path)] = {**known.get(path, {}), stored(action.this): _DECLARED[action.kind.this]}


def shown(session: Session, expression: exp.Expr, result: Result, kinds: Kinds) -> Result:
    """The result with OBJECT and ARRAY column types, also in the rows of DESC TABLE and DESC VIEW."""
    if isinstance(expression, exp.Describe) and isinstance(expression.this, exp.Table):
        return _described(result, of_table(session, expression.this))
    return replace(result, nested=dict(kinds)) if kinds else result


def _described(result: Result, kinds: Kinds) -> Result:
    if not kinds or "type" not in result.table.column_names:
        return result
    rows = result.table.to_pylist()
    for row in rows:
        row["type"] = kinds.get(row["name"], row["type"])
    return replace(result, table=pa.Table.from_pylist(rows, schema=result.table.schema))
