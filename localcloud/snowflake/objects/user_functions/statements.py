"""DROP, ALTER, DESCRIBE and SHOW of functions, whatever their kind.

In: statements of the grammar. Out: Snowflake's answers. The kinds themselves stand in ``registry``.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import existing_object
from localcloud.snowflake.objects.user_functions import syntax as ast
from localcloud.snowflake.objects.user_functions.registry import UserFunction, UserFunctions
from localcloud.snowflake.result import DESCRIBE, Result, done, rows_result, status
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Scope, Show, Type

_HEAD = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("schema_name", "text"), ("is_builtin", "text")],
    *[("is_aggregate", "text"), ("is_ansi", "text"), ("min_num_arguments", "fixed"), ("max_num_arguments", "fixed")],
    *[("arguments", "text"), ("description", "text"), ("catalog_name", "text"), ("is_table_function", "text")],
    *[("valid_for_clustering", "text"), ("is_secure", "text")],
]
SHOWN_EXTERNAL = [*_HEAD, ("is_external_function", "text"), ("language", "text")]
SHOWN = [
    *_HEAD,
    *[("secrets", "text"), ("external_access_integrations", "text"), ("is_external_function", "text")],
    *[("language", "text"), ("is_memoizable", "text"), ("is_data_metric", "text")],
]
DESCRIBED = [("property", "text"), ("value", "text")]


def _names(types: tuple[Type, ...]) -> tuple[str, ...]:
    return tuple(type_.name for type_ in types)


def drop(session: Session, statement: ast.DropFunction) -> Result:
    path, types = session.path(statement.name), _names(statement.types)
    functions = session.account.state(UserFunctions).seen_by(session)
    if statement.if_exists and functions.find(path, types) is None:
        return status(f"Drop statement executed successfully ({path[2]} already dropped).")
    found = functions.require(path, types)
    transaction.commit_before_ddl(session)
    found.drop()
    return status(f"{path[2]} successfully dropped.")


def describe(session: Session, statement: ast.DescribeFunction) -> Result:
    found = (
        session.account.state(UserFunctions)
        .seen_by(session)
        .require(session.path(statement.name), _names(statement.types))
    )
    return rows_result(DESCRIBED, found.describe(session), DESCRIBE)


def alter(session: Session, statement: ast.AlterFunction) -> Result:
    path, types = session.path(statement.name), _names(statement.types)
    functions = session.account.state(UserFunctions).seen_by(session)
    if statement.if_exists and functions.find(path, types) is None:
        return done()
    found = functions.require(path, types)
    target = None if statement.new_name is None else session.path(statement.new_name)
    if target is not None:
        session.account.names.require_schema(target)
        if functions.find(target, types) is not None:
            raise existing_object(target[2])
    transaction.commit_before_ddl(session)
    found.alter(session, statement, target)
    return done()


def shown(session: Session, statement: Show) -> list[list[Any]]:
    """The rows of SHOW [USER | EXTERNAL] FUNCTIONS; without IN, those of the current database, external ones of the account."""
    external = statement.kind == "EXTERNAL FUNCTIONS"
    scope = statement.scope or Scope("ACCOUNT" if external or session.database is None else "DATABASE")
    return [
        _row(found, external=external)
        for found in session.account.state(UserFunctions).seen_by(session).all()
        if (found.external or not external) and _within(session, scope, found)
    ]


def _within(session: Session, scope: Scope, found: UserFunction) -> bool:
    if scope.kind == "ACCOUNT":
        return True
    name = scope.name
    if scope.kind == "DATABASE":
        return found.path[0] == (name.name if name else session.database)
    database = (name.schema if name else None) or session.database
    return found.path[:2] == (database, name.name if name else session.schema)


def _row(found: UserFunction, *, external: bool) -> list[Any]:
    count = len(found.arguments)
    returns = f"TABLE ({found.returns.name})" if found.table else found.returns.name
    optional = [
        f"DEFAULT {name}" if index >= count - found.optional else name for index, name in enumerate(found.types)
    ]
    arguments = f"{found.path[2]}({', '.join(optional)}) RETURN {returns}"
    description = found.comment or "user-defined function"
    head = [found.created, found.path[2], found.path[1], "N", "N", "N", count - found.optional, count, arguments]
    head += [description, found.path[0], "Y" if found.table else "N", "N", "Y" if found.secure else "N"]
    mark = "Y" if found.external else "N"
    return [*head, mark, found.language] if external else [*head, None, None, mark, found.language, "N", "N"]
