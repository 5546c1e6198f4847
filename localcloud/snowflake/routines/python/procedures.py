"""Procedures as objects: CREATE, DROP, SHOW, DESCRIBE. How one runs is told in ``calls``.

In: statements of the grammar. Out: Snowflake's answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.user_functions.statements import DESCRIBED, SHOWN_EXTERNAL
from localcloud.snowflake.result import DESCRIBE, Result, done, rows_result, status
from localcloud.snowflake.routines.python import statements
from localcloud.snowflake.routines.python.runtime import packages
from localcloud.snowflake.routines.python.state import Python
from localcloud.snowflake.routines.python.store import Made
from localcloud.snowflake.routines.python.syntax import (
    CommentProcedure,
    CreateProcedure,
    DescribeProcedure,
    DropProcedure,
)
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name, Scope, Show, Type

# The columns that procedures share with functions; those after them are of functions only.
SHOWN = SHOWN_EXTERNAL[:14]


def create(session: Session, statement: CreateProcedure) -> Result:
    path = session.path(statement.name)
    session.account.names.require_schema(path)
    made = session.account.state(Python).procedures.put(session, path, checked(session, statement))
    if made is None:
        return status(f"{path[2]} already exists, statement succeeded.")
    transaction.commit_before_ddl(session)
    return status(f"Function {path[2]} successfully created.")


def checked(session: Session, definition: CreateProcedure) -> CreateProcedure:
    packages.check_snowpark(definition.code.packages)
    return statements.checked(session, definition)


def drop(session: Session, statement: DropProcedure) -> Result:
    found = session.account.state(Python).procedures.find(
        session, session.path(statement.name), _names(statement.types)
    )
    if found is None and statement.if_exists:
        return status(f"Drop statement executed successfully ({statement.name.name} already dropped).")
    session.account.state(Python).procedures.drop(found or _require(session, statement.name, statement.types))
    transaction.commit_before_ddl(session)
    return status(f"{statement.name.name} successfully dropped.")


def describe(session: Session, statement: DescribeProcedure) -> Result:
    found = _require(session, statement.name, statement.types)
    mode = "CALLER" if found.definition.as_caller else "OWNER"
    return rows_result(DESCRIBED, [*statements.described(found, session), ["execute as", mode]], DESCRIBE)


def comment(session: Session, statement: CommentProcedure) -> Result:
    found = _require(session, statement.name, statement.types)
    definition = replace(found.definition, comment=statement.text)
    session.account.state(Python).procedures.change(found, definition, found.path)
    return done()


def shown(session: Session, statement: Show) -> list[list[Any]]:
    scope = statement.scope or Scope("ACCOUNT" if session.database is None else "DATABASE")
    return [
        _row(made) for made in session.account.state(Python).procedures.all(session) if _within(session, scope, made)
    ]


def _names(types: tuple[Type, ...]) -> tuple[str, ...]:
    return tuple(type_.name for type_ in types)


def _require(session: Session, name: Name, types: tuple[Type, ...]) -> Made[CreateProcedure]:
    path = session.path(name)
    found = session.account.state(Python).procedures.find(session, path, _names(types))
    if found is None:
        shown_name = f"{'.'.join(path)}({', '.join(_names(types))})"
        raise compilation(2003, "02000", f"Procedure '{shown_name}' does not exist or not authorized.")
    return found


def _within(session: Session, scope: Scope, made: Made[CreateProcedure]) -> bool:
    name = scope.name
    if scope.kind == "ACCOUNT":
        return True
    if scope.kind == "DATABASE":
        return made.path[0] == (name.name if name else session.database)
    database = (name.schema if name else None) or session.database
    return made.path[:2] == (database, name.name if name else session.schema)


def _row(made: Made[CreateProcedure]) -> list[Any]:
    definition = made.definition
    count, optional = len(definition.types), len(definition.defaults)
    kinds = [f"DEFAULT {name}" if index >= count - optional else name for index, name in enumerate(definition.types)]
    returns = definition.returned if definition.table is not None else definition.returns.name
    arguments = f"{made.path[2]}({', '.join(kinds)}) RETURN {returns}"
    head = [made.created, made.path[2], made.path[1], "N", "N", "N", count - optional, count, arguments]
    table = "Y" if definition.table is not None else "N"
    secure = "Y" if definition.secure else "N"
    return [*head, definition.comment or "user-defined procedure", made.path[0], table, "N", secure]
