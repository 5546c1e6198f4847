"""Execution of the statements that all kinds of schema objects share, and effects of other DDL on schema objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import existing_object
from localcloud.snowflake.objects import privileges
from localcloud.snowflake.objects.feature import Columns, Listing, SchemaCreated, SchemaKind, Shown
from localcloud.snowflake.objects.privileges import Privileges
from localcloud.snowflake.objects.store import SchemaObject, SchemaObjects, Store, within
from localcloud.snowflake.objects.table_names import dropped_container, path_of
from localcloud.snowflake.result import DESCRIBE, SHOW, Result, done, rows_result, status
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.identifiers import like_pattern, quoted
from localcloud.snowflake.sql.syntax import Alter, Clone, Creation, Describe, Drop, Path, Scope, Show, Type

O = TypeVar("O", bound=SchemaObject)  # noqa: E741

# Kinds whose replacement gets the future grants even with COPY GRANTS.
_ALWAYS_FUTURE = ("STREAM", "FUNCTION", "PROCEDURE")


def already_exists(statement: Creation) -> Result:
    """The result for an object that exists: a status with IF NOT EXISTS, otherwise code 2002."""
    name = statement.name.name
    if not statement.if_not_exists:
        raise existing_object(name)
    return status(f"{name} already exists, statement succeeded.")


def create(session: Session, created: SchemaCreated[O], statement: Creation, runner: Runner) -> Result:
    kind, path = created.kind, session.path(statement.name)
    if (answer := _existing(session, kind, statement, path)) is not None:
        return answer
    return _add(session, kind, statement, created.make(session, statement, path, runner))


def clone(session: Session, kind: SchemaKind[O], statement: Clone) -> Result:
    path = session.path(statement.name)
    source = _store(session, kind).require(session.id, session.path(statement.source))
    if (answer := _existing(session, kind, statement, path)) is not None:
        return answer
    assert kind.clone is not None
    return _add(session, kind, statement, kind.clone(session, source, statement, path))


def _existing(session: Session, kind: SchemaKind[O], statement: Creation, path: Path) -> Result | None:
    """The result if IF NOT EXISTS finds the object; raises if the object must not be created; otherwise ``None``."""
    if not statement.temporary:
        transaction.commit_before_ddl(session)
    names = session.account.names
    names.require_schema(path)
    if kind.among_tables:
        table = path in session.temporary or names.kind(path) is not None
        if owner_of_name(session, path) not in (None, kind) or (table and not kind.rows):
            raise existing_object(path[2])
        if table and not statement.or_replace:
            return already_exists(statement)
    own = session.id if statement.temporary else None
    if _store(session, kind).at(path, statement.types, own) is not None and not statement.or_replace:
        return already_exists(statement)
    return None


def _add(session: Session, kind: SchemaKind[O], statement: Creation, made: O) -> Result:
    account = session.account
    try:
        replaced = _store(session, kind).put(made, replace=statement.or_replace)
    except ProgrammingError:
        # Another session has created the object since the check.
        kind.released(account, made)
        raise
    if replaced is not None:
        kind.withdrawn(account, replaced)
        kind.released(account, replaced)
    kind.published(account, made)
    if made.session_id is None:
        _grant_on_new(session, kind, statement, made, replaced=replaced is not None)
    return status(f"{kind.created_title or kind.title} {made.path[2]} successfully created.")


def _grant_on_new(session: Session, kind: SchemaKind[O], statement: Creation, made: O, *, replaced: bool) -> None:
    given = session.account.state(Privileges)
    copies = statement.copy_grants and replaced
    if not copies:
        given.forget(made.path, made.types)
    if made.takes_future_grants and (not copies or kind.word in _ALWAYS_FUTURE):
        given.apply_future(kind.word, made.path, made.types)


def alter(session: Session, kind: SchemaKind[O], statement: Alter, runner: Runner) -> Result:
    store, path, types = _store(session, kind), session.path(statement.name), _names(statement.types)
    found = store.find(session.id, path, types)
    if found is None:
        if statement.if_exists:
            return done()
        raise store.missing(path, types)
    if found.session_id is None:
        transaction.commit_before_ddl(session)
    if statement.action == "RENAME TO":
        _rename(session, kind, found, session.path(statement.options["NAME"]))
        return done()
    result = kind.alter(session, found, statement, runner) if kind.alter is not None else None
    if "COMMENT" in statement.options:
        found.comment = statement.options["COMMENT"] or ""
    return result or done()


def _rename(session: Session, kind: SchemaKind[O], found: O, path: Path) -> None:
    session.account.names.require_schema(path)
    store = _store(session, kind)
    if store.at(path, found.types, found.session_id) is not None:
        raise existing_object(path[2])
    kind.withdrawn(session.account, found)
    session.account.state(Privileges).move(found.path, path, found.types)
    store.move(found, path)
    kind.published(session.account, found)


def drop(session: Session, kind: SchemaKind[O], statement: Drop) -> Result:
    store, path, types = _store(session, kind), session.path(statement.name), _names(statement.types)
    found = store.find(session.id, path, types)
    if found is None:
        if statement.if_exists:
            return status(f"Drop statement executed successfully ({path[2]} already dropped).")
        raise store.missing(path, types)
    if found.session_id is None:
        transaction.commit_before_ddl(session)
    if kind.drop_check is not None:
        kind.drop_check(session, found)
    if kind.rows:
        session.duck.execute(f"DROP TABLE IF EXISTS {quoted(*path)}")
    session.account.state(SchemaObjects).drop(kind, lambda one: one is found)
    if found.session_id is None:
        session.account.state(Privileges).forget(path, types)
    return status(f"{path[2]} successfully dropped.")


def describe(session: Session, kind: SchemaKind[O], statement: Describe, runner: Runner) -> Result:
    found = _store(session, kind).require(session.id, session.path(statement.name), _names(statement.types))
    if kind.description is None:
        return runner.run_expression(session, parsing.parse(f"DESCRIBE TABLE {quoted(*found.path)}"))
    return rows_result(kind.description.columns, kind.description.rows(session, found), DESCRIBE)


def show(session: Session, kind: SchemaKind[O], listing: Listing[O], statement: Show) -> Result:
    default = Scope(listing.scope if session.database is not None else "ACCOUNT")
    scope = _container(session, statement.scope or default)
    found = [
        one
        for one in _store(session, kind).visible(session.id)
        if listing.where(one) and within(one.path, scope) and _matches(statement, one.path[2])
    ]
    return _shown(listing.columns, [listing.row(session, one) for one in found[: statement.limit]])


def show_rows(shown: Shown, rows: list[list[Any]], statement: Show) -> Result:
    """SHOW of account objects."""
    name = [column for column, _ in shown.columns].index(shown.named)
    found = [row for row in rows if _matches(statement, row[name])]
    return _shown(shown.columns, found[: statement.limit])


def _shown(columns: Columns, rows: list[list[Any]]) -> Result:
    return rows_result(list(columns), rows, SHOW)


def _container(session: Session, scope: Scope) -> tuple[str, ...]:
    """The path of the database or schema that IN names; empty for the account."""
    name = scope.name
    if scope.kind == "ACCOUNT":
        return ()
    if scope.kind == "DATABASE":
        return ((name.name if name else session.database) or "",)
    database = (name.schema if name else None) or session.database
    return database or "", (name.name if name else session.schema) or ""


def _matches(statement: Show, name: str) -> bool:
    """Whether SHOW lists the name. LIKE ignores case, STARTS WITH does not; LIMIT .. FROM lists the names after the given text."""
    if statement.like is not None and not re.fullmatch(like_pattern(statement.like), name, re.IGNORECASE):
        return False
    if statement.starts_with is not None and not name.startswith(statement.starts_with):
        return False
    return statement.after is None or name > statement.after


def _names(types: tuple[Type, ...] | None) -> tuple[str, ...] | None:
    return None if types is None else tuple(type_.name for type_ in types)


def _store(session: Session, kind: SchemaKind[O]) -> Store[O]:
    return session.account.state(SchemaObjects).of(kind)


def owner_of_name(session: Session, path: Path) -> SchemaKind[Any] | None:
    """The kind of the object that has this name in the namespace of tables and views; ``None`` if there is none."""
    for kind, store in session.account.state(SchemaObjects).stores():
        if isinstance(kind, SchemaKind) and kind.among_tables and store.at(path) is not None:
            return kind
    return None


def check_table_name(session: Session, expression: exp.Expr) -> None:
    """Raise code 2002 if the name of a new table or view belongs to an object that shares the namespace of tables."""
    table = expression.find(exp.Table)
    if not isinstance(expression, exp.Create) or expression.args.get("kind") not in ("TABLE", "VIEW") or table is None:
        return
    path = path_of(session, table)
    owner = owner_of_name(session, path) if path is not None else None
    if path is not None and owner is not None and not owner.rows:
        raise existing_object(path[2])


def follow_ddl(session: Session, expression: exp.Expr) -> Callable[[], None]:
    """A function to call after the DDL statement has run.

    It drops the objects of a dropped or replaced schema or database, and objects whose rows were in a table that no longer exists.
    """
    container = dropped_container(session, expression)
    follow_grants = privileges.follow_ddl(session, expression)
    table = expression.find(exp.Table)
    creates = isinstance(expression, exp.Create)
    replaces = creates and expression.args.get("replace")
    replaced = path_of(session, table) if table is not None and replaces else None

    def is_within(found: SchemaObject) -> bool:
        return container is not None and within(found.path, container)

    def drop_without_table(objects: SchemaObjects, kind: SchemaKind[Any]) -> None:
        tables = session.account.names.tables()
        objects.drop(kind, lambda found: found.path == replaced or found.path not in tables)

    def follow() -> None:
        follow_grants()
        objects = session.account.state(SchemaObjects)
        for kind, store in objects.stores():
            objects.drop(kind, is_within)
            if (replaces or not creates) and isinstance(kind, SchemaKind) and kind.rows and not store.empty:
                drop_without_table(objects, kind)

    return follow
