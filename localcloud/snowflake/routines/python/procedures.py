"""CREATE and ALTER PROCEDURE, and the rows of SHOW PROCEDURES. ``calls`` runs procedures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from localcloud.snowflake.objects.user_functions.statements import SHOWN_EXTERNAL
from localcloud.snowflake.routines.python import statements
from localcloud.snowflake.routines.python.objects import Procedure
from localcloud.snowflake.routines.python.runtime import packages
from localcloud.snowflake.routines.python.syntax import CreateProcedure
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Alter, Path

# The columns that SHOW PROCEDURES shares with SHOW FUNCTIONS; the remaining ones apply to functions only.
SHOWN = SHOWN_EXTERNAL[:14]


def make(session: Session, statement: CreateProcedure, path: Path, _runner: Runner) -> Procedure:
    return Procedure(
        path=path,
        owner=session.role,
        created=session.account.clock.now(),
        comment=statement.comment or "",
        session_id=session.id if statement.temporary else None,
        definition=checked(session, statement),
    )


def checked(session: Session, definition: CreateProcedure) -> CreateProcedure:
    packages.check_snowpark(definition.code.packages)
    return statements.checked(session, definition)


def alter(_session: Session, found: Procedure, statement: Alter, _runner: Runner) -> None:
    if statement.action == "EXECUTE AS":
        found.definition = replace(found.definition, as_caller=statement.options["CALLER"])


def row(_session: Session, made: Procedure) -> list[Any]:
    definition = made.definition
    count, optional = len(definition.types), len(definition.defaults)
    kinds = [f"DEFAULT {name}" if index >= count - optional else name for index, name in enumerate(definition.types)]
    returns = definition.returned if definition.table is not None else definition.returns.name
    arguments = f"{made.path[2]}({', '.join(kinds)}) RETURN {returns}"
    head = [made.created, made.path[2], made.path[1], "N", "N", "N", count - optional, count, arguments]
    table = "Y" if definition.table is not None else "N"
    secure = "Y" if definition.secure else "N"
    return [*head, made.comment or "user-defined procedure", made.path[0], table, "N", secure]
