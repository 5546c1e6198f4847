"""CREATE EXTERNAL FUNCTION, and the properties that ALTER FUNCTION may change too.

In: a token stream. Out: a value of ``syntax``.
"""

from __future__ import annotations

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.external_functions import syntax as ast
from localcloud.snowflake.objects.feature import CreateHead
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import (
    OptionParser,
    TokenStream,
    choice_option,
    integer_option,
    name_option,
    text_option,
    wrong_value,
)
from localcloud.snowflake.sql.types import sql_arguments, sql_type

CONTEXT_FUNCTIONS = (
    *("CURRENT_ACCOUNT", "CURRENT_CLIENT", "CURRENT_DATABASE", "CURRENT_DATE", "CURRENT_IP_ADDRESS", "CURRENT_REGION"),
    *("CURRENT_ROLE", "CURRENT_SCHEMA", "CURRENT_SCHEMAS", "CURRENT_SESSION", "CURRENT_STATEMENT", "CURRENT_TIME"),
    *("CURRENT_TIMESTAMP", "CURRENT_TRANSACTION", "CURRENT_USER", "CURRENT_VERSION", "CURRENT_WAREHOUSE"),
    *("LAST_QUERY_ID", "LAST_TRANSACTION", "LOCALTIME", "LOCALTIMESTAMP"),
)
# Names and values of HEADERS together, as Snowflake's limit says.
_HEADER_BYTES = 8192


def _headers(stream: TokenStream, name: str) -> tuple[tuple[str, str], ...]:
    stream.expect("(")
    pairs: list[tuple[str, str]] = []
    while not pairs or stream.accept(","):
        key = stream.string()
        stream.expect("=")
        pairs.append((key, stream.string()))
    stream.expect(")")
    for key, _ in pairs:
        if "_" in key or not key.replace("-", "").isalnum():
            raise wrong_value(name, key)
    if sum(len(key) + len(value) for key, value in pairs) > _HEADER_BYTES:
        raise wrong_value(name, "more than 8 KB")
    return tuple(pairs)


def _context_headers(stream: TokenStream, name: str) -> tuple[str, ...]:
    stream.expect("(")
    names = [stream.identifier()]
    while stream.accept(","):
        names.append(stream.identifier())
    stream.expect(")")
    for found in names:
        if found not in CONTEXT_FUNCTIONS:
            raise wrong_value(name, found)
    return tuple(names)


def _translator(_stream: TokenStream, name: str) -> str:
    raise unsupported(f"{name}: a translator is a JavaScript function that runs inside Snowflake")


OPTIONS: dict[str, OptionParser] = {
    "COMMENT": text_option,
    "API_INTEGRATION": name_option,
    "HEADERS": _headers,
    "CONTEXT_HEADERS": _context_headers,
    "MAX_BATCH_ROWS": integer_option(1, 2**31 - 1),
    "COMPRESSION": choice_option("NONE", "GZIP", "DEFLATE", "AUTO"),
    "REQUEST_TRANSLATOR": _translator,
    "RESPONSE_TRANSLATOR": _translator,
}


def create_external_function(stream: TokenStream, head: CreateHead) -> Statement:
    arguments = sql_arguments(stream)
    stream.expect("RETURNS")
    returns = sql_type(stream)
    not_null = stream.accept("NOT", "NULL")
    if not not_null:
        stream.accept("NULL")
    strict = _null_handling(stream)
    immutable = stream.accept("IMMUTABLE")
    if not immutable:
        stream.accept("VOLATILE")
    options = stream.options(OPTIONS, until=("AS",))
    if "API_INTEGRATION" not in options:
        raise compilation(2029, "42601", "Missing option(s): [API_INTEGRATION]")
    stream.expect("AS")
    return head.make(
        ast.CreateExternalFunction,
        **{name.lower(): value for name, value in options.items()},
        arguments=arguments,
        returns=returns,
        not_null=not_null,
        strict=strict,
        immutable=immutable,
        secure=bool(head.modifiers),
        url=stream.string(),
    )


def _null_handling(stream: TokenStream) -> bool:
    if stream.accept("CALLED", "ON", "NULL", "INPUT"):
        return False
    return stream.accept("RETURNS", "NULL", "ON", "NULL", "INPUT") or stream.accept("STRICT")
