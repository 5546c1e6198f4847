"""The properties of external functions, which CREATE EXTERNAL FUNCTION and ALTER FUNCTION set."""

from __future__ import annotations

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.sql.tokens import (
    OptionParser,
    TokenStream,
    choice_option,
    integer_option,
    name_option,
    text_option,
    wrong_value,
)

CONTEXT_FUNCTIONS = (
    *("CURRENT_ACCOUNT", "CURRENT_CLIENT", "CURRENT_DATABASE", "CURRENT_DATE", "CURRENT_IP_ADDRESS", "CURRENT_REGION"),
    *("CURRENT_ROLE", "CURRENT_SCHEMA", "CURRENT_SCHEMAS", "CURRENT_SESSION", "CURRENT_STATEMENT", "CURRENT_TIME"),
    *("CURRENT_TIMESTAMP", "CURRENT_TRANSACTION", "CURRENT_USER", "CURRENT_VERSION", "CURRENT_WAREHOUSE"),
    *("LAST_QUERY_ID", "LAST_TRANSACTION", "LOCALTIME", "LOCALTIMESTAMP"),
)
# Snowflake's limit on the total size of the names and values of HEADERS.
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
