"""External functions: CREATE, DROP and DESCRIBE, with their argument lists and types.

In: a token stream. Out: a value of ``syntax``. Types are resolved to Snowflake's own names: INT is NUMBER(38,0), DOUBLE is FLOAT.
"""

from __future__ import annotations

from typing import Any

from app.local.snowflake import syntax as ast
from app.local.snowflake.failures import compilation
from app.local.snowflake.token_stream import (
    OptionParser,
    TokenStream,
    choice_option,
    integer_option,
    name_option,
    text_option,
    wrong_value,
)

_INTEGERS = ("INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT")
_SYNONYMS = {
    **dict.fromkeys(("NUMBER", "DECIMAL", "NUMERIC", "DEC", *_INTEGERS), "NUMBER"),
    **dict.fromkeys(("FLOAT", "FLOAT4", "FLOAT8", "DOUBLE", "DOUBLE PRECISION", "REAL"), "FLOAT"),
    **dict.fromkeys(("VARCHAR", "STRING", "TEXT", "CHAR", "CHARACTER"), "VARCHAR"),
    **{name: name for name in ("BOOLEAN", "DATE", "TIME", "VARIANT", "OBJECT", "ARRAY", "BINARY")},
    **{name: name for name in ("TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ")},
    **dict.fromkeys(("TIMESTAMP", "DATETIME"), "TIMESTAMP_NTZ"),
}
CONTEXT_FUNCTIONS = (
    *("CURRENT_ACCOUNT", "CURRENT_CLIENT", "CURRENT_DATABASE", "CURRENT_DATE", "CURRENT_IP_ADDRESS", "CURRENT_REGION"),
    *("CURRENT_ROLE", "CURRENT_SCHEMA", "CURRENT_SCHEMAS", "CURRENT_SESSION", "CURRENT_STATEMENT", "CURRENT_TIME"),
    *("CURRENT_TIMESTAMP", "CURRENT_TRANSACTION", "CURRENT_USER", "CURRENT_VERSION", "CURRENT_WAREHOUSE"),
    *("LAST_QUERY_ID", "LAST_TRANSACTION", "LOCALTIME", "LOCALTIMESTAMP"),
)
# Names and values of HEADERS together, as Snowflake's limit says.
_HEADER_BYTES = 8192


def sql_type(stream: TokenStream) -> ast.Type:
    word = "DOUBLE PRECISION" if stream.accept("DOUBLE", "PRECISION") else stream.identifier()
    name = _SYNONYMS.get(word)
    if name is None:
        raise compilation(2040, "42601", f"Unsupported data type '{word}'.")
    sizes = _sizes(stream) if stream.words(1) == ("(",) else []
    if name == "NUMBER" and word not in _INTEGERS:
        precision = sizes[0] if sizes else 38
        return ast.Type(name, precision, sizes[1] if len(sizes) > 1 else 0)
    if len(sizes) > 1 or (sizes and name not in ("VARCHAR", "BINARY", "TIME") and "TIMESTAMP" not in name):
        raise stream.unexpected()
    if name == "NUMBER":
        return ast.Type(name, 38, 0)
    return ast.Type(name, sizes[0] if sizes and name in ("VARCHAR", "BINARY") else None)


def _sizes(stream: TokenStream) -> list[int]:
    stream.expect("(")
    sizes = [stream.integer()]
    while stream.accept(","):
        sizes.append(stream.integer())
    stream.expect(")")
    if len(sizes) > 2:
        raise stream.unexpected()
    return sizes


def _arguments(stream: TokenStream) -> tuple[ast.Argument, ...]:
    stream.expect("(")
    found: list[ast.Argument] = []
    while not stream.accept(")"):
        if found:
            stream.expect(",")
        name = stream.identifier()
        found.append(ast.Argument(name, sql_type(stream)))
    names = [argument.name for argument in found]
    if len(set(names)) != len(names):
        raise compilation(1003, "42000", "duplicate argument name in function signature.")
    return tuple(found)


def _types(stream: TokenStream) -> tuple[ast.Type, ...]:
    stream.expect("(")
    found: list[ast.Type] = []
    while not stream.accept(")"):
        if found:
            stream.expect(",")
        found.append(sql_type(stream))
    return tuple(found)


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


_OPTIONS: dict[str, OptionParser] = {
    "COMMENT": text_option,
    "API_INTEGRATION": name_option,
    "HEADERS": _headers,
    "CONTEXT_HEADERS": _context_headers,
    "MAX_BATCH_ROWS": integer_option(1, 2**31 - 1),
    "COMPRESSION": choice_option("NONE", "GZIP", "DEFLATE", "AUTO"),
}


def create_external_function(stream: TokenStream, common: dict[str, Any], *, secure: bool) -> ast.Statement:
    arguments = _arguments(stream)
    stream.expect("RETURNS")
    returns = sql_type(stream)
    not_null = stream.accept("NOT", "NULL")
    if not not_null:
        stream.accept("NULL")
    strict = _null_handling(stream)
    immutable = stream.accept("IMMUTABLE")
    if not immutable:
        stream.accept("VOLATILE")
    options = stream.options(_OPTIONS, until=("AS",))
    if "API_INTEGRATION" not in options:
        raise compilation(2029, "42601", "Missing option(s): [API_INTEGRATION]")
    stream.expect("AS")
    return ast.CreateExternalFunction(
        **common,
        **{name.lower(): value for name, value in options.items()},
        arguments=arguments,
        returns=returns,
        not_null=not_null,
        strict=strict,
        immutable=immutable,
        secure=secure,
        url=stream.string(),
    )


def _null_handling(stream: TokenStream) -> bool:
    if stream.accept("CALLED", "ON", "NULL", "INPUT"):
        return False
    return stream.accept("RETURNS", "NULL", "ON", "NULL", "INPUT") or stream.accept("STRICT")


def drop_function(stream: TokenStream) -> ast.Statement:
    stream.expect("DROP", "FUNCTION")
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    return ast.DropFunction(name, _types(stream), exists)


def describe_function(stream: TokenStream) -> ast.Statement:
    stream.one_of("DESCRIBE", "DESC")
    stream.expect("FUNCTION")
    name = stream.name()
    return ast.DescribeFunction(name, _types(stream))
