"""Python functions as objects: CREATE, and what they are to the statements that all functions share.

In: statements of the grammar. Out: Snowflake's answers, and the DuckDB function that stands behind an overload.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TypeVar

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.objects.user_functions.registry import UserFunction, UserFunctions
from localcloud.snowflake.objects.user_functions.syntax import AlterFunction
from localcloud.snowflake.result import Result, status
from localcloud.snowflake.routines.python.runtime import imports, packages
from localcloud.snowflake.routines.python.state import Python
from localcloud.snowflake.routines.python.store import Made, Path
from localcloud.snowflake.routines.python.syntax import CreateFunction, Routine
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name, StagePath

_R = TypeVar("_R", bound=Routine)


def create(session: Session, statement: CreateFunction) -> Result:
    if statement.table is not None:
        raise unsupported("table functions in Python; return an ARRAY or a VARIANT, or write a procedure")
    path = session.path(statement.name)
    session.account.names.require_schema(path)
    definition = checked(session, statement)
    if not statement.temporary and not session.account.state(UserFunctions).seen_by(session).make_room(
        path, statement.types, statement
    ):
        return status(f"{path[2]} already exists, statement succeeded.")
    made = session.account.state(Python).functions.put(session, path, definition)
    if made is None:
        return status(f"{path[2]} already exists, statement succeeded.")
    transaction.commit_before_ddl(session)
    session.account.state(Python).registry.add(made)
    return status(f"Function {path[2]} successfully created.")


def checked(session: Session, definition: _R) -> _R:
    """The definition with the full names of its imports; refused where a package or an import is missing."""
    code = definition.code
    packages.check_runtime(code.runtime)
    packages.check(code.packages)
    full = tuple(_full(session, path) for path in code.imports)
    imports.check(session, full)
    return replace(definition, code=replace(code, imports=full))


def _full(session: Session, path: StagePath) -> StagePath:
    if path.kind == "USER":
        return path
    database, schema, own = session.path(path.stage)
    return replace(path, stage=Name(own, schema, database))


def overloads(account: Account) -> list[UserFunction]:
    """Every Python function, as the statements of ``functions`` see it."""
    return [
        UserFunction(
            path=made.path,
            arguments=made.definition.arguments,
            returns=made.definition.returns,
            created=made.created,
            language="PYTHON",
            drop=partial(_drop, account, made),
            describe=partial(_describe, made),
            alter=partial(_alter, made),
            comment=made.definition.comment,
            secure=made.definition.secure,
            optional=len(made.definition.defaults),
            session_id=made.session_id,
        )
        for made in account.state(Python).functions.all()
    ]


def _drop(account: Account, made: Made[CreateFunction]) -> None:
    account.state(Python).functions.drop(made)
    account.state(Python).registry.remove(made)


def _alter(made: Made[CreateFunction], session: Session, statement: AlterFunction, new_path: Path | None) -> None:
    changes = dict(statement.changes)
    if unknown := set(changes) - {"COMMENT", "SECURE"}:
        raise unsupported(f"ALTER FUNCTION with {', '.join(sorted(unknown))} for a function in Python")
    definition = made.definition
    if "COMMENT" in changes:
        definition = replace(definition, comment=changes["COMMENT"])
    if "SECURE" in changes:
        definition = replace(definition, secure=bool(changes["SECURE"]))
    session.account.state(Python).registry.remove(made)
    session.account.state(Python).registry.add(
        session.account.state(Python).functions.change(made, definition, new_path or made.path)
    )


def _describe(made: Made[CreateFunction], session: Session) -> list[list[str | None]]:
    return [*described(made, session), ["is_aggregate", "false"]]


def described(made: Made[_R], session: Session) -> list[list[str | None]]:
    """The rows that DESCRIBE FUNCTION and DESCRIBE PROCEDURE have in common; SECURE hides the code from other roles."""
    definition, code = made.definition, made.definition.code
    hidden = definition.secure and session.role != made.owner
    inside: list[list[str | None]] = [
        ["body", code.body],
        ["imports", _listed([f"@{path.stage}/{path.path}" for path in code.imports])],
        ["handler", code.handler],
        ["runtime_version", code.runtime],
        ["packages", _listed(list(code.packages))],
        ["installed_packages", _listed(packages.resolved(code.packages))],
    ]
    return [
        ["signature", definition.signature],
        ["returns", f"{definition.returned}{' NOT NULL' if definition.not_null else ''}"],
        ["language", "PYTHON"],
        ["null handling", "RETURNS NULL ON NULL INPUT" if definition.strict else "CALLED ON NULL INPUT"],
        ["volatility", "IMMUTABLE" if definition.immutable else "VOLATILE"],
        *([[name, None] for name, _ in inside] if hidden else inside),
    ]


def _listed(values: list[str]) -> str:
    return json.dumps(values).replace('"', "'")
