"""CREATE, DROP, ALTER and TRUNCATE where fakesnow and DuckDB deviate from Snowflake.

Keys are parsed and dropped, since Snowflake does not enforce them either. Clauses that only affect Snowflake's storage
are ignored. Temporary tables move to DuckDB's temporary schema.
"""

from __future__ import annotations

import itertools

from sqlglot import exp

from localcloud.snowflake.copy import load_history
from localcloud.snowflake.failures import compilation, existing_object, unsupported
from localcloud.snowflake.files import infer_schema
from localcloud.snowflake.result import Result, done, status
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.names import stored
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.tables import comments
from localcloud.snowflake.tables.properties import TableProperties

_TEMPORARY_VIEW = "SELECT 1 FROM duckdb_views() WHERE temporary AND NOT internal AND view_name = ?"
_numbers = itertools.count()
_KINDS = ("TABLE", "VIEW", "SCHEMA", "DATABASE", "COLUMN")
_TABLE_KEYS = (exp.PrimaryKey, exp.ForeignKey, exp.UniqueColumnConstraint, exp.Constraint)


def shortcut(session: Session, expression: exp.Expr) -> Result | None:
    """The result if nothing has to run: IF NOT EXISTS of an existing object, IF EXISTS of a missing one."""
    kind = str(expression.args.get("kind") or "").upper()
    if isinstance(expression, exp.Create | exp.Drop | exp.Alter) and kind not in _KINDS:
        raise unsupported(f"{expression.key.upper()} {kind}")
    if isinstance(expression, exp.Alter) and (renamed := _rename_temporary(session, expression)) is not None:
        return renamed
    if isinstance(expression, exp.Drop) and (dropped := _drop(session, kind, object_name(expression))) is not None:
        return dropped
    if not expression.args.get("exists") or not isinstance(expression, exp.Create | exp.Drop):
        return None
    name = object_name(expression)
    exists = _exists(session, kind, name)
    if isinstance(expression, exp.Create):
        return status(f"{name.name} already exists, statement succeeded.") if exists else None
    return None if exists else status(f"Drop statement executed successfully ({name.name} already dropped).")


def _drop(session: Session, kind: str, name: Name) -> Result | None:
    """Drops that DuckDB handles differently. Dropping a temporary table makes the permanent one of the same name
    visible again."""
    if kind == "DATABASE" and session.account.names.has_database(name.name):
        if session.database == name.name:
            session.leave_database()
        session.duck.execute(f"DETACH {quoted(name.name)}")
    elif kind == "TABLE" and (local := session.temporary.pop(session.path(name), None)) is not None:
        session.duck.execute(f'DROP TABLE temp.main."{local}"')
    else:
        return None
    return status(f"{name.name} successfully dropped.")


def _rename_temporary(session: Session, expression: exp.Alter) -> Result | None:
    """Rename a temporary table in the session, which alone stores its name."""
    rename = next((action for action in expression.args["actions"] if isinstance(action, exp.AlterRename)), None)
    if rename is None or session.path(object_name(expression)) not in session.temporary:
        return None
    local = session.temporary.pop(session.path(object_name(expression)))
    session.temporary[session.path(object_name(rename))] = local
    return done()


def object_name(expression: exp.Expr) -> Name:
    table = expression.find(exp.Table)
    if table is None:
        raise compilation(1003, "42000", "syntax error: expected a name.")
    parts = [stored(part) for part in table.parts if isinstance(part, exp.Identifier)]
    padded: list[str | None] = [None] * (3 - len(parts)) + list(parts)
    return Name(parts[-1], padded[1], padded[0])


def _exists(session: Session, kind: str, name: Name) -> bool:
    lookup = session.account.names
    if kind == "DATABASE":
        return lookup.has_database(name.name)
    if kind == "SCHEMA":
        database = name.schema or session.database
        return database is not None and lookup.has_schema(database, name.name)
    if kind == "VIEW" and session.duck.execute(_TEMPORARY_VIEW, [name.name]).fetchall():
        return True
    path = session.path(name)
    return path in session.temporary or lookup.kind(path) == kind


def prepare(session: Session, runner: Runner, expression: exp.Expr) -> exp.Expr:
    """The statement without the parts that DuckDB does not support and Snowflake does not enforce."""
    if isinstance(expression, exp.TruncateTable):
        _forget_loads(session, expression)
    if isinstance(expression, exp.Drop) and expression.args.get("kind") in ("TABLE", "VIEW"):
        comments.forget(session, session.path(object_name(expression)))
    if not isinstance(expression, exp.Create):
        return expression
    _drop_replaced(session, expression)
    expression = infer_schema.with_template(session, expression, runner)
    _record_kind(session, expression)
    _strip_properties(expression)
    if expression.args.get("kind") == "TABLE":
        _strip_keys(expression)
        _cast_columns(expression)
        _to_temporary(session, expression)
    return expression


def _drop_replaced(session: Session, expression: exp.Create) -> None:
    """CREATE OR REPLACE of a schema or database, which DuckDB does not support: drop it first."""
    if not expression.args.get("replace"):
        return
    name = object_name(expression)
    if expression.args.get("kind") == "SCHEMA":
        database = name.schema or session.database or ""
        session.duck.execute(f"DROP SCHEMA IF EXISTS {quoted(database, name.name)} CASCADE")
    elif expression.args.get("kind") == "DATABASE":
        _drop(session, "DATABASE", name)
        expression.set("replace", False)


def _record_kind(session: Session, expression: exp.Create) -> None:
    """Record the kind of a new table for SHOW. A temporary view has no schema in DuckDB."""
    temporary, table = expression.find(exp.TemporaryProperty), expression.find(exp.Table)
    if expression.args.get("kind") not in ("TABLE", "VIEW") or table is None:
        return
    path = session.path(object_name(expression))
    if not temporary:
        if expression.args.get("replace"):
            comments.forget(session, path)
        if expression.find(exp.TransientProperty) and session.account.names.kind(path) in (None, "TABLE"):
            session.account.state(TableProperties).transient.add(path)
    elif expression.args["kind"] == "VIEW":
        for key in ("db", "catalog"):
            table.set(key, None)


def _strip_properties(expression: exp.Create) -> None:
    """Keep only TEMPORARY and a table's comment."""
    properties = expression.args.get("properties")
    if properties is None:
        return
    kept: tuple[type[exp.Expr], ...] = (exp.TemporaryProperty,)
    if expression.args.get("kind") == "TABLE":
        kept = (exp.TemporaryProperty, exp.SchemaCommentProperty)
    left = [item for item in properties.expressions if isinstance(item, kept)]
    expression.set("properties", exp.Properties(expressions=left) if left else None)


def _strip_keys(expression: exp.Create) -> None:
    schema = expression.this
    if not isinstance(schema, exp.Schema):
        return
    keyed = {part.name.upper() for key in schema.find_all(exp.PrimaryKey) for part in key.expressions}
    schema.set("expressions", [item for item in schema.expressions if not isinstance(item, _TABLE_KEYS)])
    for column in schema.expressions:
        if isinstance(column, exp.ColumnDef):
            _strip_column_keys(column, required=column.name.upper() in keyed)


def _strip_column_keys(column: exp.ColumnDef, *, required: bool) -> None:
    """A primary key column is NOT NULL in Snowflake, which does enforce this."""
    kept = []
    for constraint in column.args.get("constraints") or []:
        kind = constraint.args.get("kind")
        if isinstance(kind, exp.PrimaryKeyColumnConstraint) or (
            isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null")
        ):
            required = True
        elif not isinstance(kind, exp.UniqueColumnConstraint | exp.Reference):
            kept.append(constraint)
    if required:
        kept.append(exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))
    column.set("constraints", kept)


def _cast_columns(expression: exp.Create) -> None:
    """Apply the declared types of ``CREATE TABLE t (a FLOAT) AS SELECT ..`` as casts of the query's columns."""
    schema, query = expression.this, expression.expression
    if not isinstance(schema, exp.Schema) or not isinstance(query, exp.Query):
        return
    columns = [column for column in schema.expressions if isinstance(column, exp.ColumnDef | exp.Identifier)]
    inner = [exp.to_identifier(f"_{index}", quoted=True) for index in range(len(columns))]
    if not any(projection.is_star for projection in query.selects) and len(query.selects) != len(columns):
        raise compilation(2026, "42601", "Invalid column definition list")
    source = exp.Subquery(
        this=query, alias=exp.TableAlias(this=exp.to_identifier("_query", quoted=True), columns=inner)
    )
    expression.set(
        "expression", exp.Select(expressions=[_cast(*pair) for pair in zip(columns, inner, strict=True)]).from_(source)
    )
    expression.set("this", schema.this)


def _cast(column: exp.Expr, inner: exp.Identifier) -> exp.Expr:
    value: exp.Expr = exp.Column(this=inner.copy())
    if isinstance(column, exp.ColumnDef) and column.kind is not None:
        value = exp.Cast(this=value, to=column.kind.copy())
    name = column.this if isinstance(column, exp.ColumnDef) else column
    return exp.Alias(this=value, alias=name.copy())


def _to_temporary(session: Session, expression: exp.Create) -> None:
    """Give a temporary table a unique name in DuckDB's temporary schema."""
    table = expression.this.this if isinstance(expression.this, exp.Schema) else expression.this
    path = session.path(object_name(exp.Create(this=table.copy())))
    if not expression.find(exp.TemporaryProperty):
        return
    local = temporary_name(session, path, replace=bool(expression.args.get("replace")))
    for key in ("db", "catalog"):
        table.set(key, None)
    table.set("this", exp.to_identifier(local, quoted=True))


def temporary_name(session: Session, path: Path, *, replace: bool) -> str:
    """The name of a temporary table in DuckDB. Raises 2002 if the session already has such a table."""
    if path in session.temporary and not replace:
        raise existing_object(path[2])
    return session.temporary.setdefault(path, f"_temporary_{next(_numbers)}")


def _forget_loads(session: Session, expression: exp.TruncateTable) -> None:
    """Delete the table's load history, as TRUNCATE does in Snowflake."""
    path = session.path(object_name(expression))
    session.duck.execute(
        f'DELETE FROM "{path[0]}"._fs_information_schema._fs_load_history WHERE SCHEMA_NAME = ? AND TABLE_NAME = ?',
        list(path[1:]),
    )


def finish(session: Session, expression: exp.Expr) -> Result | None:
    """Complete a CREATE or DROP: add PUBLIC and the load history to a new database, and use the original name of a
    temporary table in the status."""
    if not isinstance(expression, exp.Create):
        return None
    kind, name = str(expression.args.get("kind")).upper(), object_name(expression).name
    if kind == "DATABASE":
        session.duck.execute(f"CREATE SCHEMA {quoted(name)}.PUBLIC")
        session.duck.execute(load_history.CREATE_DETAILS.format(quoted(name)))
        session.use(name, "PUBLIC")
    written = {local: path[2] for path, local in session.temporary.items()}
    return status(f"Table {written[name]} successfully created.") if name in written else None
