"""External functions as objects: CREATE, and what they are to the statements that all functions share.

In: statements of the grammar. Out: Snowflake's answers, and the DuckDB functions that stand behind an overload. How a call
runs is told in ``functions`` and ``calls``. The surprise: SECURE hides the URL and the headers from every role but the owner's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from localcloud.snowflake.objects.catalog import ExternalFunction, Path, check_prefix
from localcloud.snowflake.objects.external_functions import syntax as ast
from localcloud.snowflake.objects.user_functions.registry import UserFunction
from localcloud.snowflake.objects.user_functions.syntax import AlterFunction
from localcloud.snowflake.result import Result, status

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.account import Engine
    from localcloud.snowflake.sessions.session import Session


def create(session: Session, statement: ast.CreateExternalFunction) -> Result:
    engine = session.engine
    path = session.path(statement.name)
    engine.names.require_schema(path)
    check_prefix(statement.url, engine.catalog.integration(statement.api_integration, "API"))
    types = tuple(argument.type.name for argument in statement.arguments)
    if not engine.user_functions.make_room(path, types, statement):
        return status(f"{path[2]} already exists, statement succeeded.")
    session.transaction.commit_before_ddl()
    engine.functions.add(engine.catalog.put_function(path, statement, session.role))
    return status(f"Function {path[2]} successfully created.")


def overloads(engine: Engine) -> list[UserFunction]:
    """Every external function, as the statements of ``functions`` see it."""
    return [
        UserFunction(
            path=found.path,
            arguments=found.definition.arguments,
            returns=found.definition.returns,
            created=found.created,
            language="EXTERNAL",
            drop=partial(_drop, engine, found),
            describe=partial(_describe, found),
            alter=partial(_alter, found),
            comment=found.definition.comment,
            secure=found.definition.secure,
            external=True,
        )
        for found in engine.catalog.functions()
    ]


def _drop(engine: Engine, found: ExternalFunction) -> None:
    engine.catalog.drop_function(found.path, found.types)
    engine.functions.remove(found)


def _alter(found: ExternalFunction, session: Session, statement: AlterFunction, new_path: Path | None) -> None:
    changes = {
        name.lower(): getattr(ast.UNSET, name.lower()) if value is None else value for name, value in statement.changes
    }
    definition = replace(found.definition, **changes)
    if "api_integration" in changes:
        check_prefix(definition.url, session.engine.catalog.integration(definition.api_integration, "API"))
    _drop(session.engine, found)
    path = new_path or found.path
    session.engine.functions.add(session.engine.catalog.put_function(path, definition, found.owner, found.created))


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
