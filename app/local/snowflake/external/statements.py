"""External functions as objects: CREATE, DROP, SHOW, DESCRIBE.

In: statements of the grammar. Out: Snowflake's answers, and the DuckDB function that stands behind an overload. How a call
runs is told in ``external_functions`` and ``external_calls``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snowflake.connector.errors import ProgrammingError

from app.local.snowflake.catalog import ExternalFunction, check_prefix
from app.local.snowflake.external import syntax as ast
from app.local.snowflake.failures import compilation
from app.local.snowflake.result import DESCRIBE, Result, rows_result, status
from app.local.snowflake.syntax import Show, Type

if TYPE_CHECKING:
    from app.local.snowflake.session import Session

SHOWN = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("schema_name", "text"), ("is_builtin", "text")],
    *[("is_aggregate", "text"), ("is_ansi", "text"), ("min_num_arguments", "fixed"), ("max_num_arguments", "fixed")],
    *[("arguments", "text"), ("description", "text"), ("catalog_name", "text"), ("is_table_function", "text")],
    *[("valid_for_clustering", "text"), ("is_secure", "text"), ("is_external_function", "text"), ("language", "text")],
]
DESCRIBED = [("property", "text"), ("value", "text")]


def create(session: Session, statement: ast.CreateExternalFunction) -> Result:
    engine = session.engine
    path = session.path(statement.name)
    engine.names.require_schema(path)
    check_prefix(statement.url, engine.catalog.integration(statement.api_integration, "API"))
    session.commit_before_ddl()
    made = engine.catalog.create_function(path, statement)
    if made is None:
        return status(f"{path[2]} already exists, statement succeeded.")
    engine.functions.add(made)
    return status(f"Function {path[2]} successfully created.")


def drop(session: Session, statement: ast.DropFunction) -> Result:
    path = session.path(statement.name)
    gone = session.engine.catalog.drop_function(path, tuple(type_.name for type_ in statement.types))
    if gone is None:
        if statement.if_exists:
            return status(f"Drop statement executed successfully ({path[2]} already dropped).")
        raise _missing(path, statement.types)
    session.engine.functions.remove(gone)
    return status(f"{path[2]} successfully dropped.")


def _missing(path: tuple[str, str, str], types: tuple[Type, ...]) -> ProgrammingError:
    shown = f"{'.'.join(path)}({', '.join(type_.name for type_ in types)})"
    return compilation(2003, "02000", f"Function '{shown}' does not exist or not authorized.")


def describe(session: Session, statement: ast.DescribeFunction) -> Result:
    path = session.path(statement.name)
    wanted = tuple(type_.name for type_ in statement.types)
    found = next((one for one in session.engine.catalog.overloads(path) if one.types == wanted), None)
    if found is None:
        raise _missing(path, statement.types)
    definition = found.definition
    rows = [
        ["signature", found.signature],
        ["returns", str(definition.returns)],
        ["language", "EXTERNAL"],
        ["null handling", "RETURNS NULL ON NULL INPUT" if definition.strict else "CALLED ON NULL INPUT"],
        ["volatility", "IMMUTABLE" if definition.immutable else "VOLATILE"],
        ["body", definition.url],
        ["headers", _headers(definition)],
        ["context_headers", ",".join(definition.context_headers)],
        ["max_batch_rows", str(definition.max_batch_rows or "not set")],
        ["compression", definition.compression],
    ]
    return rows_result(DESCRIBED, rows, DESCRIBE)


def _headers(definition: ast.CreateExternalFunction) -> str:
    return ",".join(f"{name}={value}" for name, value in definition.headers)


def shown(session: Session, _statement: Show) -> list[list[Any]]:
    """The rows of SHOW EXTERNAL FUNCTIONS in the session's database."""
    return [_row(found) for found in session.engine.catalog.functions() if session.database in (None, found.path[0])]


def _row(found: ExternalFunction) -> list[Any]:
    definition, count = found.definition, len(found.types)
    arguments = f"{found.path[2]}({', '.join(found.types)}) RETURN {definition.returns.name}"
    secure = "Y" if definition.secure else "N"
    description = definition.comment or "user-defined function"
    head = [found.created, found.path[2], found.path[1], "N", "N", "N", count, count, arguments, description]
    return [*head, found.path[0], "N", "N", secure, "Y", "EXTERNAL"]
