"""DROP, DESCRIBE and ALTER FUNCTION.

In: a token stream. Out: a value of ``syntax``. The surprise: which properties ALTER may set is known before the function is,
because the statement is read first; the function's own kind refuses what it lacks.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.external_functions.grammar import OPTIONS
from localcloud.snowflake.objects.user_functions import syntax as ast
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import TokenStream
from localcloud.snowflake.sql.types import sql_types

_UNSUPPORTED = ("LOG_LEVEL", "TRACE_LEVEL", "TAG")
_UNSETTABLE = (
    *("COMMENT", "SECURE", "HEADERS", "CONTEXT_HEADERS", "MAX_BATCH_ROWS", "COMPRESSION"),
    *("REQUEST_TRANSLATOR", "RESPONSE_TRANSLATOR"),
)


def drop_function(stream: TokenStream) -> Statement:
    stream.expect("DROP", "FUNCTION")
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    return ast.DropFunction(name, sql_types(stream), exists)


def describe_function(stream: TokenStream) -> Statement:
    stream.one_of("DESCRIBE", "DESC")
    stream.expect("FUNCTION")
    name = stream.name()
    return ast.DescribeFunction(name, sql_types(stream))


def alter_function(stream: TokenStream) -> Statement:
    stream.expect("ALTER", "FUNCTION")
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    types = sql_types(stream)
    if stream.accept("RENAME", "TO"):
        return ast.AlterFunction(name, types, exists, new_name=stream.name())
    changes = _set(stream) if stream.accept("SET") else _unset(stream)
    return ast.AlterFunction(name, types, exists, tuple(changes.items()))


def _set(stream: TokenStream) -> dict[str, Any]:
    _refuse_unsupported(stream)
    if stream.accept("SECURE"):
        return {"SECURE": True}
    changes = stream.options(OPTIONS)
    if len(changes) != 1:
        raise stream.unexpected()
    return changes


def _unset(stream: TokenStream) -> dict[str, Any]:
    stream.expect("UNSET")
    _refuse_unsupported(stream)
    names = [stream.identifier()]
    while stream.accept(","):
        names.append(stream.identifier())
    for name in names:
        if name not in _UNSETTABLE:
            raise compilation(1420, "22023", f"invalid parameter '{name}'")
    return dict.fromkeys(names)


def _refuse_unsupported(stream: TokenStream) -> None:
    word = stream.words(1)
    if word and word[0] in _UNSUPPORTED:
        raise unsupported(f"{word[0]} of functions")
