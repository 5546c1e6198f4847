"""GET_DDL: the CREATE statement of an object; of a schema or database with all that it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation, missing_object, unsupported
from localcloud.snowflake.objects.dynamic_tables.feature import DYNAMIC_TABLE
from localcloud.snowflake.objects.policies.references import PolicyReferences
from localcloud.snowflake.objects.sequences import SEQUENCE
from localcloud.snowflake.objects.stages.feature import FILE_FORMAT
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.streams.feature import STREAM
from localcloud.snowflake.objects.table_keys import Key, TableKeys
from localcloud.snowflake.objects.tags.feature import TAG
from localcloud.snowflake.objects.tasks.feature import TASK
from localcloud.snowflake.objects.user_functions.feature import FUNCTION
from localcloud.snowflake.routines.python.feature import PROCEDURE
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.sql.tokens import TokenStream
from localcloud.snowflake.sql.types import sql_types
from localcloud.snowflake.statements import ddl_texts
from localcloud.snowflake.statements.ddl_texts import shown_name, text_of
from localcloud.snowflake.tables import comments, view_definitions
from localcloud.snowflake.tables.properties import TableProperties

Text = Callable[[str, Any], str]

_KINDS: dict[str, tuple[Any, Text]] = {
    "SEQUENCE": (SEQUENCE, ddl_texts.sequence),
    "STREAM": (STREAM, ddl_texts.stream),
    "TASK": (TASK, ddl_texts.task),
    "TAG": (TAG, ddl_texts.tag),
    "DYNAMIC_TABLE": (DYNAMIC_TABLE, ddl_texts.dynamic_table),
    "FILE_FORMAT": (
        FILE_FORMAT,
        lambda name, found: ddl_texts.file_format(name, found.format.type, found.format.options),
    ),
}
_ROUTINES: dict[str, Any] = {"FUNCTION": FUNCTION, "PROCEDURE": PROCEDURE}
# What Snowflake answers too; it knows no STAGE.
_UNSUPPORTED = ("EVENT_TABLE", "ICEBERG_TABLE", "INTEGRATION", "PIPE", "POLICY", "WAREHOUSE", "ALERT")
_TABLES = (
    "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? "
    "UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND NOT internal ORDER BY 1"
)
_SCHEMAS = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? AND NOT internal ORDER BY 1"
_HIDDEN = ("_fs_information_schema", "SNOWSAGE_LOCAL", "main")


def rewrite(node: exp.Expr, session: Session, runner: Runner) -> exp.Expr:
    if not isinstance(node, exp.Anonymous) or str(node.this).upper() != "GET_DDL":
        return node
    if not 2 <= len(node.expressions) <= 3 or not all(value.is_string for value in node.expressions[:2]):
        raise compilation(1044, "42P13", "Invalid argument types for function 'GET_DDL'")
    kind, written = node.expressions[0].name.upper(), node.expressions[1].name
    full = len(node.expressions) == 3 and str(node.expressions[2]).upper() == "TRUE"
    return exp.Literal.string(_text(session, runner, kind, written, full))


def _text(session: Session, runner: Runner, kind: str, written: str, full: bool) -> str:
    stream = TokenStream(written)
    name = stream.name()
    if kind in _ROUTINES:
        types = tuple(type_.name for type_ in sql_types(stream))
        path = session.path(name)
        store = session.account.state(SchemaObjects).of(_ROUTINES[kind])
        return ddl_texts.routine(kind, path, full, store.require(session.id, path, types))
    stream.end()
    if kind == "DATABASE":
        return _database(session, runner, name.name, full)
    if kind == "SCHEMA":
        database, schema, _ = session.path(Name("", name.name, name.schema))
        return _schema(session, runner, (database, schema), full)
    path = session.path(name)
    if kind in ("TABLE", "VIEW"):
        return _table_or_view(session, runner, kind, path, full)
    if kind in _KINDS:
        found, text = _KINDS[kind]
        return text(_name(path, full), session.account.state(SchemaObjects).of(found).require(session.id, path))
    if kind in _UNSUPPORTED:
        raise unsupported(f"GET_DDL of a {kind}")
    raise compilation(2, "22023", f"Invalid object type: '{kind}'")


def _name(path: tuple[str, ...], full: bool) -> str:
    return shown_name(*(path if full else path[-1:]))


def _table_or_view(session: Session, runner: Runner, kind: str, path: Path, full: bool) -> str:
    """Snowflake takes TABLE for views, and VIEW for tables too."""
    known = "TABLE" if path in session.temporary else session.account.names.kind(path)
    if known is None:
        raise missing_object(path[2], kind.capitalize())
    if path in session.account.state(PolicyReferences).protected():
        raise unsupported(f"GET_DDL of {path[2]}, which has policies")
    if known == "VIEW":
        return ddl_texts.view(_name(path, full), view_definitions.texts(session).get(path, ""))
    if session.account.state(SchemaObjects).of(DYNAMIC_TABLE).at(path) is not None:
        return _text(session, runner, "DYNAMIC_TABLE", quoted(*path), full)
    return _table(session, runner, path, full)


def _table(session: Session, runner: Runner, path: Path, full: bool) -> str:
    rows = runner.run_expression(session, parsing.parse(f"DESCRIBE TABLE {quoted(*path)}")).table.to_pylist()
    parts = [_column(row) for row in rows] + [_key(key) for key in session.account.state(TableKeys).of(path)]
    listed = ",\n".join(f"\t{part}" for part in parts)
    properties = session.account.state(TableProperties)
    made = "TEMPORARY " if path in session.temporary else "TRANSIENT " if path in properties.transient else ""
    clustering = properties.clustering.get(path)
    clustered = "" if clustering is None else f"cluster by ({clustering})"
    comment = comments.of_table(session, path)
    commented = f"COMMENT={text_of(comment)}\n" if comment else ""
    return f"create or replace {made}TABLE {_name(path, full)} {clustered}(\n{listed}\n){commented};"


def _column(row: dict[str, str | None]) -> str:
    required = " NOT NULL" if row["null?"] == "N" else ""
    default = f" DEFAULT {row['default']}" if row.get("default") else ""
    comment = f" COMMENT {text_of(row['comment'])}" if row.get("comment") else ""
    return f"{shown_name(row['name'] or '')} {row['type']}{required}{default}{comment}"


def _key(key: Key) -> str:
    name = "" if key.name.startswith("SYS_CONSTRAINT_") else f"constraint {shown_name(key.name)} "
    listed = ", ".join(map(shown_name, key.columns))
    if key.target is None:
        return f"{name}{key.kind.lower()} ({listed})"
    columns = ", ".join(map(shown_name, key.target_columns))
    return f"{name}foreign key ({listed}) references {shown_name(*key.target)}({columns})"


def _schema(session: Session, runner: Runner, schema: tuple[str, str], full: bool) -> str:
    if not session.account.names.has_schema(*schema):
        raise missing_object(".".join(schema), "Schema")
    found = [f"create or replace schema {_name(schema, full)};"]
    names = session.duck.execute(_TABLES, [*schema, *schema]).fetchall()
    found += [_table_or_view(session, runner, "TABLE", (*schema, name), full) for (name,) in names]
    objects = session.account.state(SchemaObjects)
    for word, (kind, text) in _KINDS.items():
        if word != "DYNAMIC_TABLE":
            found += [text(_name(one.path, full), one) for one in objects.of(kind).all() if one.path[:2] == schema]
    for word, kind in _ROUTINES.items():
        found += [
            ddl_texts.routine(word, one.path, full, one) for one in objects.of(kind).all() if one.path[:2] == schema
        ]
    return "\n\n".join(found)


def _database(session: Session, runner: Runner, database: str, full: bool) -> str:
    if not session.account.names.has_database(database):
        raise missing_object(database, "Database")
    schemas = [name for (name,) in session.duck.execute(_SCHEMAS, [database]).fetchall() if name not in _HIDDEN]
    inside = [_schema(session, runner, (database, schema), full) for schema in schemas]
    return "\n\n".join([f"create or replace database {shown_name(database)};", *inside])
