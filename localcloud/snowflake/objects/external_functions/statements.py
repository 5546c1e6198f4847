"""External functions as objects: CREATE, and what they are to the statements that all functions share.

In: statements of the grammar. Out: Snowflake's answers, and the DuckDB functions that stand behind an overload. How a call
runs is told in ``functions`` and ``calls``. The surprise: SECURE hides the URL and the headers from every role but the owner's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from localcloud.snowflake.objects.catalog import Catalog, ExternalFunction, check_prefix
from localcloud.snowflake.objects.external_functions import syntax as ast
from localcloud.snowflake.objects.external_functions.registry import Registry
from localcloud.snowflake.objects.user_functions.registry import UserFunction, UserFunctions
from localcloud.snowflake.objects.user_functions.syntax import AlterFunction
from localcloud.snowflake.result import Result, status
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Path


def create(session: Session, statement: ast.CreateExternalFunction) -> Result:
    account = session.account
    path = session.path(statement.name)
    account.names.require_schema(path)
    check_prefix(statement.url, account.state(Catalog).integration(statement.api_integration, "API"))
    types = tuple(argument.type.name for argument in statement.arguments)
    if not account.state(UserFunctions).make_room(path, types, statement):
        return status(f"{path[2]} already exists, statement succeeded.")
    transaction.commit_before_ddl(session)
    account.state(Registry).add(account.state(Catalog).put_function(path, statement, session.role))
    return status(f"Function {path[2]} successfully created.")


def overloads(account: Account) -> list[UserFunction]:
    """Every external function, as the statements of ``functions`` see it."""
    return [
        UserFunction(
            path=found.path,
            arguments=found.definition.arguments,
            returns=found.definition.returns,
            created=found.created,
            language="EXTERNAL",
            drop=partial(_drop, account, found),
            describe=partial(_describe, found),
            alter=partial(_alter, found),
            comment=found.definition.comment,
            secure=found.definition.secure,
            external=True,
        )
        for found in account.state(Catalog).functions()
    ]


def _drop(account: Account, found: ExternalFunction) -> None:
    account.state(Catalog).drop_function(found.path, found.types)
    account.state(Registry).remove(found)


def _alter(found: ExternalFunction, session: Session, statement: AlterFunction, new_path: Path | None) -> None:
    changes = {
        name.lower(): getattr(ast.UNSET, name.lower()) if value is None else value for name, value in statement.changes
    }
    definition = replace(found.definition, **changes)
    if "api_integration" in changes:
        check_prefix(definition.url, session.account.state(Catalog).integration(definition.api_integration, "API"))
    _drop(session.account, found)
    path = new_path or found.path
    session.account.state(Registry).add(
        session.account.state(Catalog).put_function(path, definition, found.owner, found.created)
    )


def _describe(found: ExternalFunction, session: Session) -> list[list[str | None]]:
    definition = found.definition
    hidden = definition.secure and session.role != found.owner
    rows: list[list[str | None]] = [
        ["signature", found.signature],
        ["returns", f"{definition.returns}{' NOT NULL' if definition.not_null else ''}"],
        ["language", "EXTERNAL"],
        ["null handling", "RETURNS NULL ON NULL INPUT" if definition.strict else "CALLED ON NULL INPUT"],
        ["volatility", "IMMUTABLE" if definition.immutable else "VOLATILE"],
    ]
    if hidden:
        return rows
    return [
        *rows,
        ["body", definition.url],
        ["headers", _headers(definition)],
        ["context_headers", ",".join(definition.context_headers) or None],
        ["max_batch_rows", str(definition.max_batch_rows or "not set")],
        ["compression", definition.compression],
        ["request_translator", None],
        ["response_translator", None],
    ]


def _headers(definition: ast.CreateExternalFunction) -> str | None:
    return ",".join(f"{name}={value}" for name, value in definition.headers) or None
