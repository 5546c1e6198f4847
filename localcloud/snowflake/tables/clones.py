"""CREATE .. CLONE, CREATE TABLE .. LIKE and ALTER TABLE .. SWAP WITH.

A table is copied from the definition text in DuckDB's catalog, which includes defaults and NOT NULL. Unqualified names
in a cloned view refer to the cloned tables.
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.snowflake.failures import compilation, existing_object, failure, missing_object, unsupported
from localcloud.snowflake.objects.privileges import Privileges
from localcloud.snowflake.objects.streams.state import Streams
from localcloud.snowflake.objects.table_keys import TableKeys
from localcloud.snowflake.objects.table_names import path_of
from localcloud.snowflake.result import Result, done, status
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted, text_literal
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.tables.ddl import object_name, temporary_name
from localcloud.snowflake.tables.properties import TableProperties

_PART = r'(?:"(?:[^"]|"")+"|\w+)'
_HEAD = re.compile(rf"CREATE (?:TEMP(?:ORARY)? )?(?:TABLE|VIEW) {_PART}(?:\.{_PART})*", re.IGNORECASE)
# Schemas that DuckDB, fakesnow and the records of external function calls keep in every database.
_INTERNAL_SCHEMAS = ("main", "information_schema", "pg_catalog", "_fs_information_schema", "SNOWSAGE_LOCAL")
_EXTENSIONS = ("_fs_tables_ext", "_fs_columns_ext")


def run(session: Session, runner: Runner, expression: exp.Expr) -> Result | None:
    """The result of a statement that clones, copies or swaps; ``None`` for any other statement."""
    if isinstance(expression, exp.Alter):
        swap = next((action for action in expression.args["actions"] if isinstance(action, exp.SwapTable)), None)
        return _swap(session, expression.this, swap.this) if swap is not None else None
    if not isinstance(expression, exp.Create):
        return None
    like = expression.find(exp.LikeProperty)
    if like is not None:
        return _table(session, expression, like.this, rows=False)
    clone = expression.args.get("clone")
    if clone is None:
        return None
    if clone.this.args.get("when") is not None:
        raise unsupported("CLONE with AT or BEFORE; only the current state can be cloned")
    kind = str(expression.args["kind"]).upper()
    if kind == "TABLE":
        return _table(session, expression, clone.this, rows=True)
    if kind not in ("SCHEMA", "DATABASE"):
        raise unsupported(f"CREATE {kind} .. CLONE")
    return _container(session, runner, expression, clone.this, kind)


def _table(session: Session, expression: exp.Create, source: exp.Table, *, rows: bool) -> Result:
    target, origin = session.path(object_name(expression)), session.path(object_name(exp.Create(this=source.copy())))
    if origin not in session.temporary and session.account.names.kind(origin) != "TABLE":
        raise missing_object(".".join(origin), "Table")
    temporary = expression.find(exp.TemporaryProperty) is not None
    if origin in session.temporary and rows and not temporary and not expression.find(exp.TransientProperty):
        text = "Temp table cannot be cloned to a permanent table; clone to a transient table instead."
        raise compilation(2, "0A000", text)
    replace = bool(expression.args.get("replace"))
    found = _duck_path(session, origin)
    if temporary:
        stored: Path = ("temp", "main", temporary_name(session, target, replace=replace))
    else:
        session.account.names.require_schema(target)
        if session.account.names.kind(target) is not None and not replace:
            raise existing_object(target[2])
        stored = target
    if stored != found:
        transaction.atomically(session, lambda: _copy(session, found, stored, rows=rows))
        _copy_extensions(session, found, stored)
    if not temporary:
        _grant_on_copy(session, expression, origin, target)
    return status(f"Table {target[2]} successfully created.")


def _grant_on_copy(session: Session, expression: exp.Create, origin: Path, target: Path) -> None:
    given = session.account.state(Privileges)
    if origin != target:
        given.forget(target)
    if expression.find(exp.CopyGrantsProperty):
        given.copy(origin, target)
    else:
        given.apply_future("TABLE", target)


def _duck_path(session: Session, path: Path) -> Path:
    """The table's path in DuckDB."""
    local = session.temporary.get(path)
    return ("temp", "main", local) if local is not None else path


def _copy(session: Session, origin: Path, target: Path, *, rows: bool) -> None:
    (definition,) = session.duck.execute(
        "SELECT sql FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?", list(origin)
    ).fetchall()[0]
    temporary = "TEMPORARY " if target[0] == "temp" else ""
    made = _HEAD.sub(lambda _: f"CREATE OR REPLACE {temporary}TABLE {quoted(*target)}", definition, count=1)
    session.duck.execute(made)
    if rows:
        session.duck.execute(f"INSERT INTO {quoted(*target)} SELECT * FROM {quoted(*origin)}")
    _copy_comments(session, origin, target)
    keys = session.account.state(TableKeys)
    keys.put(target, keys.of(origin))
    session.account.state(TableProperties).nested_types[target] = session.account.state(
        TableProperties
    ).nested_types.get(origin, {})


def _copy_comments(session: Session, origin: Path, target: Path) -> None:
    session.duck.execute(
        "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? "
        "AND table_name = ? AND comment IS NOT NULL",
        list(origin),
    )
    for column, comment in session.duck.fetchall():
        session.duck.execute(f"COMMENT ON COLUMN {quoted(*target, column)} IS {text_literal(comment)}")


def _copy_extensions(session: Session, origin: Path, target: Path) -> None:
    """Copy what fakesnow stores outside DuckDB's catalog: comments and text lengths."""
    for table in _EXTENSIONS:
        name = f"_fs_global._fs_information_schema.{table}"
        where = "ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?"
        session.duck.execute(f"DELETE FROM {name} WHERE {where}", list(target))
        replaced = "? AS ext_table_catalog, ? AS ext_table_schema, ? AS ext_table_name"
        session.duck.execute(
            f"INSERT INTO {name} SELECT * REPLACE ({replaced}) FROM {name} WHERE {where}", [*target, *origin]
        )


def _container(session: Session, runner: Runner, expression: exp.Create, source: exp.Table, kind: str) -> Result:
    name, origin = object_name(expression), object_name(exp.Create(this=source.copy()))
    if kind == "DATABASE":
        if not session.account.names.has_database(origin.name):
            raise missing_object(origin.name, "Database")
        schemas = _schemas(session, origin.name)
        pairs = [((origin.name, schema), (name.name, schema)) for schema in schemas]
    else:
        pairs = [(_schema_path(session, origin), _schema_path(session, name))]
        if not session.account.names.has_schema(*pairs[0][0]):
            raise missing_object(".".join(pairs[0][0]), "Schema")
    if any(old == new for old, new in pairs):
        raise existing_object(name.name)
    bare = expression.copy()
    bare.set("clone", None)
    answer = runner.run_expression(session, bare)
    for old, new in pairs:
        session.duck.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(*new)}")
        session.use(*new)
        _clone_contents(session, old, new)
    session.use(*((name.name, "PUBLIC") if kind == "DATABASE" else pairs[0][1]))
    return answer


def _schema_path(session: Session, name: Name) -> tuple[str, str]:
    database, schema, _ = session.path(Name("", name.name, name.schema))
    return database, schema


def _schemas(session: Session, database: str) -> list[str]:
    session.duck.execute("SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? ORDER BY 1", [database])
    return [schema for (schema,) in session.duck.fetchall() if schema not in _INTERNAL_SCHEMAS]


def _clone_contents(session: Session, old: tuple[str, str], new: tuple[str, str]) -> None:
    """Clone all tables, then the views in order of creation, because a view may read an earlier one."""
    session.duck.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?", list(old)
    )
    tables = [name for (name,) in session.duck.fetchall()]
    session.duck.execute(
        "SELECT view_name, sql FROM duckdb_views() WHERE database_name = ? AND schema_name = ? ORDER BY view_oid",
        list(old),
    )
    views = session.duck.fetchall()

    def work() -> None:
        for table in tables:
            _copy(session, (*old, table), (*new, table), rows=True)
        for view, definition in views:
            session.duck.execute(_HEAD.sub(lambda _: f"CREATE VIEW {quoted(*new, view)}", definition, count=1))  # noqa: B023

    transaction.atomically(session, work)
    for table in [*tables, *(view for view, _ in views)]:
        _copy_extensions(session, (*old, table), (*new, table))


def _swap(session: Session, one: exp.Table, other: exp.Table) -> Result:
    left, right = path_of(session, one), path_of(session, other)
    assert left is not None
    assert right is not None
    for path in (left, right):
        if path not in session.temporary and session.account.names.kind(path) != "TABLE":
            raise missing_object(".".join(path), "Table")
        if session.account.state(Streams).tracked(path) is not None:
            raise unsupported("SWAP WITH of a table that has streams")
    if (left in session.temporary) != (right in session.temporary):
        raise failure(2, "0A000", "A temporary table can only be swapped with a temporary one.")
    if left in session.temporary:
        session.temporary[left], session.temporary[right] = session.temporary[right], session.temporary[left]
        return done()
    if left[:2] != right[:2]:
        raise unsupported("SWAP WITH of a table in another schema")
    between: Path = (*left[:2], "_fs_swapped")
    moves = ((left, between), (right, left), (between, right))

    def work() -> None:
        for old, new in moves:
            session.duck.execute(f"ALTER TABLE {quoted(*old)} RENAME TO {quoted(*new[2:])}")

    transaction.atomically(session, work)
    for old, new in moves:
        _copy_extensions(session, old, new)
    session.account.state(Privileges).swap(left, right)
    return done()
