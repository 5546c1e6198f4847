"""CREATE FUNCTION in Python, and the checks that functions and procedures share."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from localcloud.snowflake.routines.python.objects import PythonFunction
from localcloud.snowflake.routines.python.runtime import imports, packages
from localcloud.snowflake.routines.python.state import Python
from localcloud.snowflake.routines.python.syntax import CreateFunction, Routine
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name, Path, StagePath

_R = TypeVar("_R", bound=Routine)


def make(session: Session, statement: CreateFunction, path: Path, _runner: Runner) -> PythonFunction:
    definition = checked(session, statement)
    # In DuckDB, a transaction does not see functions that are registered after it began.
    transaction.commit_before_ddl(session)
    return PythonFunction(
        path=path,
        owner=session.role,
        created=session.account.clock.now(),
        comment=statement.comment or "",
        session_id=session.id if statement.temporary else None,
        registry=session.account.state(Python).registry,
        definition=definition,
    )


def checked(session: Session, definition: _R) -> _R:
    """Validate packages and imports; return the definition with fully qualified stages."""
    code = definition.code
    packages.check_runtime(code.runtime)
    packages.check(code.packages)
    full = tuple(_qualified(session, path) for path in code.imports)
    imports.check(session, full)
    return replace(definition, code=replace(code, imports=full))


def _qualified(session: Session, path: StagePath) -> StagePath:
    if path.kind == "USER":
        return path
    database, schema, own = session.path(path.stage)
    return replace(path, stage=Name(own, schema, database))
