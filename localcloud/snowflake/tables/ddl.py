"""CREATE, DROP, ALTER and TRUNCATE where fakesnow and DuckDB deviate from Snowflake.

Keys are parsed and dropped, since Snowflake does not enforce them either. Clauses that only affect Snowflake's storage
are ignored. Temporary tables move to DuckDB's temporary schema.
"""

from __future__ import annotations

import itertools
import re

from sqlglot import exp

from localcloud.snowflake.copy import load_history
from localcloud.snowflake.failures import compilation, existing_object, missing_object, unsupported
from localcloud.snowflake.files import infer_schema
from localcloud.snowflake.result import Result, done, status
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import PUBLIC, Session
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.names import named, stored
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.tables import comments, declared_columns, letter_case, view_definitions
from localcloud.snowflake.tables.properties import TableProperties

_TEMPORARY_VIEW = "SELECT 1 FROM duckdb_views() WHERE temporary AND NOT internal AND view_name = ?"
_numbers = itertools.count()
# The keys of the object's comment and of its columns' comments among the facts that a statement carries to its end.
_COMMENT, _COLUMN_COMMENTS = "comment", "column comments"
_KINDS = ("TABLE", "VIEW", "SCHEMA", "DATABASE", "COLUMN")
# Names that DuckDB and fakesnow need for themselves.
_RESERVED = {
    "DATABASE": frozenset({"TEMP", "SYSTEM", "MEMORY", "MAIN", "_FS_GLOBAL", "_LOCALCLOUD_SAVED"}),
    "SCHEMA": frozenset({"MAIN", "PG_CATALOG", "_FS_INFORMATION_SCHEMA"}),
}
_CLUSTER_BY = re.compile(r"\bCLUSTER\s+BY\s*(?:LINEAR\s*)?\(", re.IGNORECASE)
_TABLE_KEYS = (exp.PrimaryKey, exp.ForeignKey, exp.UniqueColumnConstraint, exp.Constraint)


def check_name(expression: exp.Expr) -> None:
    """Refuse a new database or schema with a name that DuckDB reserves."""
    kind = str(expression.args.get("kind") or "").upper()
    if isinstance(expression, exp.Create) and object_name(expression).name.upper() in _RESERVED.get(kind, ()):
        names = ", ".join(sorted(_RESERVED[kind]))
        raise unsupported(f"a {kind.lower()} with a name that DuckDB reserves ({names}); choose another name")


def shortcut(session: Session, expression: exp.Expr) -> Result | None:
    """The result if nothing has to run: IF NOT EXISTS of an existing object, IF EXISTS of a missing one."""
    kind = str(expression.args.get("kind") or "").upper()
    if isinstance(expression, exp.Create | exp.Drop | exp.Alter) and kind not in _KINDS:
        raise unsupported(f"{expression.key.upper()} {kind}")
    if isinstance(expression, exp.Alter):
        if (renamed := _rename_temporary(session, expression)) is not None:
            return renamed
        if (commented := _comment_on_columns(session, expression)) is not None:
            return commented
    if isinstance(expression, exp.Drop) and kind == "DATABASE" and not expression.args.get("exists"):
        database = object_name(expression).name
        if not session.account.names.has_database(database):
            raise missing_object(database, "Database")
    if isinstance(expression, exp.Create) and (created := _create_schema(session, kind, expression)) is not None:
        return created
    if isinstance(expression, exp.Drop) and (dropped := _drop(session, kind, object_name(expression))) is not None:
        return dropped
    if not expression.args.get("exists") or not isinstance(expression, exp.Create | exp.Drop):
        return None
    name = object_name(expression)
    exists = _exists(session, kind, name)
    if isinstance(expression, exp.Create):
        return status(f"{name.name} already exists, statement succeeded.") if exists else None
    return None if exists else status(f"Drop statement executed successfully ({name.name} already dropped).")


def _create_schema(session: Session, kind: str, expression: exp.Create) -> Result | None:
    """Create a schema whose name fakesnow cannot make the current one; ``None`` for anything else."""
    if kind != "SCHEMA" or expression.args.get("clone"):
        return None
    name = object_name(expression)
    if not set(name.name) & set(".'\"") or _exists(session, kind, name):
        return None
    database = session.path(Name("", name.name, name.schema))[0]
    session.duck.execute(f"CREATE SCHEMA {quoted(database, name.name)}")
    session.use(database, name.name)
    return status(f"Schema {name.name} successfully created.")


def _drop(session: Session, kind: str, name: Name) -> Result | None:
    """Drops that DuckDB handles differently. Dropping a temporary table makes the permanent one of the same name
    visible again."""
    if kind == "SCHEMA":
        _leave_schema(session, name)
    if kind == "DATABASE" and session.account.names.has_database(name.name):
        if session.database == name.name:
            session.leave_database()
        session.duck.execute(f"DETACH {quoted(name.name)}")
        session.account.names.note_drop()
    elif kind == "TABLE" and (local := session.temporary.pop(session.path(name), None)) is not None:
        session.duck.execute(f'DROP TABLE temp.main."{local}"')
    else:
        return None
    return status(f"{name.name} successfully dropped.")


def _leave_schema(session: Session, name: Name) -> None:
    """PUBLIC becomes the current schema when the current one is dropped."""
    dropped = name.schema or session.database, name.name
    current = session.database, session.schema
    if session.database is None or dropped != current or name.name == PUBLIC:
        return
    if session.account.names.has_schema(session.database, PUBLIC):
        session.use(session.database, PUBLIC)


def _rename_temporary(session: Session, expression: exp.Alter) -> Result | None:
    """Rename a temporary table in the session, which alone stores its name."""
    rename = next((action for action in expression.args["actions"] if isinstance(action, exp.AlterRename)), None)
    if rename is None or session.path(object_name(expression)) not in session.temporary:
        return None
    local = session.temporary.pop(session.path(object_name(expression)))
    session.temporary[session.path(object_name(rename))] = local
    session.temporary_created[session.path(object_name(rename))] = session.temporary_created.pop(
        session.path(object_name(expression)), session.account.clock.now()
    )
    return done()


def _comment_on_columns(session: Session, expression: exp.Alter) -> Result | None:
    """ALTER .. ALTER COLUMN c COMMENT 'text'; None for other actions."""
    actions = expression.args["actions"]
    if not actions or not all(isinstance(action, exp.AlterColumn) and action.args.get("comment") for action in actions):
        return None
    path = session.path(object_name(expression))
    for action in actions:
        comments.on_column(session, path, stored(action.this), action.args["comment"].name)
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
    if isinstance(expression, exp.Alter):
        _take_column_comments(expression)
    if not isinstance(expression, exp.Create):
        return expression
    _reject_equal_names(expression)
    _drop_replaced(session, expression)
    expression = infer_schema.with_template(session, expression, runner)
    session.account.state(letter_case.Spellings).declare(item.name for item in expression.find_all(exp.ColumnDef))
    _record_kind(session, expression)
    _strip_properties(expression)
    _take_column_comments(expression)
    if expression.args.get("kind") == "TABLE":
        _strip_keys(expression)
        declared_columns.cast(expression)
        _to_temporary(session, expression)
    return expression


def _reject_equal_names(expression: exp.Create) -> None:
    """A table or view has no two columns of one name; a query may have."""
    query = expression.expression
    while isinstance(query, exp.Select) and len(query.selects) == 1 and isinstance(query.selects[0], exp.Star):
        source = query.args["from_"].this if query.args.get("from_") and not query.args.get("joins") else None
        query = source.this if isinstance(source, exp.Subquery) else None
    if isinstance(expression.this, exp.Schema) or not isinstance(query, exp.Select):
        return
    names = [named(column.copy()) for column in query.selects if not column.is_star]
    for name in names:
        if names.count(name) > 1:
            raise compilation(2025, "42S21", f"duplicate column name '{name}'")


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


def _record_clustering(session: Session, expression: exp.Create, path: Path) -> None:
    """Keep the text of CLUSTER BY, which GET_DDL and SHOW TABLES show as it was written."""
    clustering = session.account.state(TableProperties).clustering
    clustering.pop(path, None)
    found = _CLUSTER_BY.search(str(expression.meta.get(view_definitions.TEXT) or ""))
    if found is None or not expression.find(exp.ClusterProperty):
        return
    depth, at = 1, found.end()
    text = found.string
    while depth and at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    clustering[path] = text[found.end() : at - 1]


def _record_kind(session: Session, expression: exp.Create) -> None:
    """Record the kind of a new table for SHOW. A temporary view has no schema in DuckDB."""
    temporary, table = expression.find(exp.TemporaryProperty), expression.find(exp.Table)
    if expression.args.get("kind") not in ("TABLE", "VIEW") or table is None:
        return
    path = session.path(object_name(expression))
    if not temporary and expression.args.get("replace"):
        comments.forget(session, path)
    _record_clustering(session, expression, path)
    if not temporary:
        if expression.find(exp.TransientProperty) and session.account.names.kind(path) in (None, "TABLE"):
            session.account.state(TableProperties).transient.add(path)
    elif expression.args["kind"] == "VIEW":
        for key in ("db", "catalog"):
            table.set(key, None)


def _strip_properties(expression: exp.Create) -> None:
    """Keep only TEMPORARY; the comment moves to the statement's facts."""
    properties = expression.args.get("properties")
    if properties is None:
        return
    if described := expression.find(exp.SchemaCommentProperty):
        expression.meta[_COMMENT] = described.this.name
    left = [item for item in properties.expressions if isinstance(item, exp.TemporaryProperty)]
    expression.set("properties", exp.Properties(expressions=left) if left else None)


def _take_column_comments(expression: exp.Create | exp.Alter) -> None:
    """Move the columns' comments from the statement, in which DuckDB has none, to its facts."""
    found: dict[str, str] = {}
    for column in expression.find_all(exp.ColumnDef):
        for constraint in list(column.args.get("constraints") or []):
            if isinstance(constraint.args.get("kind"), exp.Tags):
                constraint.pop()
            elif isinstance(constraint.args.get("kind"), exp.CommentColumnConstraint):
                found[stored(column.this)] = constraint.kind.this.name
                constraint.pop()
    expression.meta[_COLUMN_COMMENTS] = found


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
    session.temporary_created[path] = session.account.clock.now()
    return session.temporary.setdefault(path, f"_temporary_{next(_numbers)}")


def _forget_loads(session: Session, expression: exp.TruncateTable) -> None:
    """Delete the table's load history, as TRUNCATE does in Snowflake."""
    path = session.path(object_name(expression))
    session.duck.execute(
        f'DELETE FROM "{path[0]}"._fs_information_schema._fs_load_history WHERE SCHEMA_NAME = ? AND TABLE_NAME = ?',
        list(path[1:]),
    )


def finish(session: Session, expression: exp.Expr) -> Result | None:
    """Complete a CREATE or ALTER: add PUBLIC and the load history to a new database, store a view's text and all comments, and use
    the original name of a temporary table in the status."""
    if not isinstance(expression, exp.Create | exp.Alter):
        return None
    if str(expression.args.get("kind")).upper() in ("TABLE", "VIEW"):
        _store_comments(session, expression)
    if isinstance(expression, exp.Alter):
        return None
    kind, name = str(expression.args.get("kind")).upper(), object_name(expression).name
    if kind == "DATABASE":
        session.duck.execute(f"CREATE SCHEMA {quoted(name)}.PUBLIC")
        session.duck.execute(load_history.CREATE_DETAILS.format(quoted(name)))
        view_definitions.show_in_information_schema(session, name)
        session.use(name, "PUBLIC")
    if kind == "TABLE":
        declared_columns.constrain(session, expression, object_name(expression))
    if kind == "VIEW":
        view_definitions.store(session, session.path(object_name(expression)), expression)
    written = {local: path[2] for path, local in session.temporary.items()}
    return status(f"Table {written[name]} successfully created.") if name in written else None


def rows_to_remove(session: Session, expression: exp.Expr) -> int:
    """The number of rows that TRUNCATE removes; 0 for any other statement."""
    return _row_count(session, expression.expressions[0]) if isinstance(expression, exp.TruncateTable) else 0


def changed_rows(session: Session, expression: exp.Expr, removed: int) -> dict[str, int]:
    """The rows that CREATE TABLE AS and TRUNCATE have changed, by the names of the statement's reply."""
    if removed:
        return {"numRowsDeleted": removed}
    made = isinstance(expression, exp.Create) and expression.args["kind"] == "TABLE" and expression.expression
    if not isinstance(made, exp.Query):
        return {}
    table = expression.find(exp.Table)
    return {} if table is None else {"numRowsInserted": _row_count(session, table)}


def _row_count(session: Session, table: exp.Table) -> int:
    """The rows of a table under its name in DuckDB."""
    name = object_name(exp.Create(this=table.copy()))
    path = ("temp", "main", name.name) if name.name in session.temporary.values() else session.path(name)
    return int(session.duck.execute(f"SELECT COUNT(*) FROM {quoted(*path)}").fetchall()[0][0])


def _store_comments(session: Session, expression: exp.Create | exp.Alter) -> None:
    name = object_name(expression)
    path = ("temp", "main", name.name) if name.name in session.temporary.values() else session.path(name)
    for column, text in expression.meta.get(_COLUMN_COMMENTS, {}).items():
        comments.on_column(session, path, column, text)
    if _COMMENT in expression.meta:
        comments.store(session, path, expression.meta[_COMMENT])
    rename = next(
        (action for action in expression.args.get("actions") or [] if isinstance(action, exp.AlterRename)), None
    )
    if rename is not None:
        comments.rename(session, path, session.path(object_name(rename)))
