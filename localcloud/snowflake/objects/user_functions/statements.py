"""Rows of SHOW FUNCTIONS and DESCRIBE FUNCTION for functions of every kind."""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.objects.user_functions.function import UserFunction
from localcloud.snowflake.sessions.session import Session

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


def row(_session: Session, found: UserFunction) -> list[Any]:
    return [*_head(found), None, None, _yes(found.external), found.language, "N", "N"]


def external_row(_session: Session, found: UserFunction) -> list[Any]:
    return [*_head(found), _yes(found.external), found.language]


def _head(found: UserFunction) -> list[Any]:
    count = len(found.types)
    optional = [
        f"DEFAULT {name}" if index >= count - found.optional else name for index, name in enumerate(found.types)
    ]
    arguments = f"{found.path[2]}({', '.join(optional)}) RETURN {found.definition.returns.name}"
    description = found.comment or "user-defined function"
    head = [found.created, found.path[2], found.path[1], "N", "N", "N", count - found.optional, count, arguments]
    table = found.definition.returns.name == "TABLE"
    return [*head, description, found.path[0], _yes(table), "N", _yes(found.definition.secure)]


def _yes(condition: bool) -> str:
    return "Y" if condition else "N"
