"""COMMENT ON a table, view or column, and the rows of SHOW TABLES, SHOW VIEWS and SHOW OBJECTS.

Adds comments, kinds and the session's temporary tables to fakesnow's rows. fakesnow stores table comments in its own
table, from which INFORMATION_SCHEMA reads them.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.failures import missing_object, unsupported
from localcloud.snowflake.result import Result, done
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted, text_literal
from localcloud.snowflake.sql.names import stored, table_name
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.tables import view_definitions
from localcloud.snowflake.tables.properties import TableProperties

_EXT = "_fs_global._fs_information_schema._fs_tables_ext"
_PUT = f"INSERT OR REPLACE INTO {_EXT} VALUES (?, ?, ?, ?)"
_GET = f"SELECT ext_table_catalog, ext_table_schema, ext_table_name, comment FROM {_EXT}"
_AT = "(ext_table_catalog, ext_table_schema, ext_table_name) = (?, ?, ?)"
_FORGET = f"DELETE FROM {_EXT} WHERE {_AT}"
_COLUMN = (
    "SELECT 1 FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? AND column_name = ?"
)


def run(session: Session, expression: exp.Comment) -> Result:
    kind = str(expression.args["kind"]).upper()
    text = expression.args["expression"].name
    if kind == "COLUMN":
        return _on_column(session, expression, text)
    if kind not in ("TABLE", "VIEW"):
        raise unsupported(f"COMMENT ON {kind}")
    name = table_name(expression.this)
    path = session.path(name)
    if path not in session.temporary and session.account.names.kind(path) != kind:
        return _missing(expression, name, kind.capitalize())
    store(session, _stored(session, path), text)
    return done()


def store(session: Session, path: Path, text: str) -> None:
    """Set the comment of a table or view."""
    write_metadata(session, _PUT, [*path, text])


def _on_column(session: Session, expression: exp.Comment, text: str) -> Result:
    column = expression.this
    parts = [stored(part) for part in column.parts]
    if len(parts) < 2:
        return _missing(expression, Name(parts[-1]), "Column")
    padded = [None] * (4 - len(parts)) + parts
    path = session.path(Name(padded[2] or "", padded[1], padded[0]))
    if not session.duck.execute(_COLUMN, [*_stored(session, path), parts[-1]]).fetchall():
        return _missing(expression, Name(parts[-1]), "Column")
    on_column(session, path, parts[-1], text)
    return done()


def on_column(session: Session, path: Path, column: str, text: str) -> None:
    """Set the comment of a column of a table or view. Raises 2003 if there is no such column."""
    path = _stored(session, path)
    if not session.duck.execute(_COLUMN, [*path, column]).fetchall():
        raise missing_object(column, "Column")
    session.duck.execute(f"COMMENT ON COLUMN {quoted(*path, column)} IS {text_literal(text)}")


def _stored(session: Session, path: Path) -> Path:
    """Where DuckDB has the table; temporary ones are in its temporary schema."""
    return ("temp", "main", session.temporary[path]) if path in session.temporary else path


def rename(session: Session, path: Path, new: Path) -> None:
    """Move the comment and the kind of a renamed table or view."""
    transient = session.account.state(TableProperties).transient
    clustering = session.account.state(TableProperties).clustering
    if path in clustering:
        clustering[new] = clustering.pop(path)
    if path in transient:
        transient.discard(path)
        transient.add(new)
    for *_, text in session.duck.execute(f"{_GET} WHERE {_AT}", list(path)).fetchall():
        write_metadata(session, _FORGET, list(path))
        store(session, new, text)


def _missing(expression: exp.Comment, name: Name, kind: str) -> Result:
    if expression.args.get("exists"):
        return done()
    raise missing_object(name.name, kind)


def of_table(session: Session, path: Path) -> str:
    """The comment of a table or view; empty without one."""
    comments = {tuple(row[:3]): row[3] for row in session.duck.execute(_GET).fetchall()}
    return str(comments.get(_stored(session, path)) or "")


def write_metadata(session: Session, sql: str, params: list[Any] | None = None) -> None:
    """Write to fakesnow's tables of comments and lengths. They are in a database of their own, and DuckDB's transactions write to
    one database, so inside a transaction another connection writes them."""
    if not session.transaction.open:
        session.duck.execute(sql, params)
        return
    with session.duck.cursor() as duck:
        duck.execute(sql, params)


def forget(session: Session, path: Path) -> None:
    """Remove the comment, kind and nested types of a dropped object."""
    session.account.state(TableProperties).transient.discard(path)
    session.account.state(TableProperties).nested_types.pop(path, None)
    session.account.state(TableProperties).clustering.pop(path, None)
    write_metadata(session, _FORGET, list(path))


def shown(session: Session, expression: exp.Show, result: Result) -> Result:
    """The rows of SHOW TABLES, VIEWS or OBJECTS with comments, kinds and temporary tables."""
    what = expression.name.upper()
    if what not in ("TABLES", "VIEWS", "OBJECTS"):
        return result
    comments = {tuple(row[:3]): row[3] for row in session.duck.execute(_GET).fetchall()}
    texts = view_definitions.texts(session) if what == "VIEWS" else {}
    rows = result.table.to_pylist()
    if what != "VIEWS":
        rows = _with_temporary(session, expression, rows, result.table.column_names)
    for row in rows:
        path = (row["database_name"], row["schema_name"], row["name"])
        if "comment" in row:
            row["comment"] = comments.get(_stored(session, path)) or ""
        if "cluster_by" in row and path in session.account.state(TableProperties).clustering:
            row["cluster_by"] = f"LINEAR({session.account.state(TableProperties).clustering[path]})"
        if path in texts:
            row["text"] = texts[path]
        if path in session.account.state(TableProperties).transient and row.get("kind") == "TABLE":
            row["kind"] = "TRANSIENT"
    return Result(pa.Table.from_pylist(rows, schema=result.table.schema), result.types, result.type_id)


def _with_temporary(
    session: Session, expression: exp.Show, rows: list[dict[str, Any]], columns: list[str]
) -> list[dict[str, Any]]:
    """Replace permanent tables with the temporary tables that hide them."""
    wanted = [path for path in session.temporary if _is_requested(session, expression, path)]
    kept = [row for row in rows if (row["database_name"], row["schema_name"], row["name"]) not in wanted]
    template: dict[str, Any] = dict.fromkeys(columns)
    if "owner" in template:
        template.update({"owner": session.role, "cluster_by": "", "rows": 0, "bytes": 0, "retention_time": 0})
        template.update(dict.fromkeys(("automatic_clustering", "change_tracking", "search_optimization"), "OFF"))
        template.update(dict.fromkeys((name for name in columns if name.startswith("is_")), "N"))
        template.update({"owner_role_type": "ROLE", "enable_schema_evolution": "N"})
    template = {name: value for name, value in template.items() if name in columns}
    for path in wanted:
        identity = {"name": path[2], "database_name": path[0], "schema_name": path[1], "kind": "TEMPORARY"}
        created = session.temporary_created.get(path) or session.account.clock.now()
        kept.append({**template, "created_on": created, **identity})
    return sorted(kept, key=lambda row: (row["database_name"], row["schema_name"], row["name"]))


def _is_requested(session: Session, expression: exp.Show, path: Path) -> bool:
    like = expression.args.get("like")
    if like is not None:
        (found,) = session.duck.execute("SELECT ? ILIKE ?", [path[2], like.name]).fetchall()[0]
        if not found:
            return False
    kind, scope = expression.args.get("scope_kind"), expression.find(exp.Table)
    if kind == "ACCOUNT":
        return True
    if kind == "DATABASE":
        return path[0] == (stored(scope.this) if scope is not None else session.database)
    if scope is not None:
        name = table_name(scope)
        return path[:2] == (name.schema or session.database, name.name)
    return path[:2] == (session.database, session.schema)
