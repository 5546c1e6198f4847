"""Request format of external functions, byte for byte as Snowflake documents it.

A header that may contain any text is sent twice: once with illegal characters replaced by spaces, once in full as
base64.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64encode
from dataclasses import dataclass
from gzip import compress, decompress
from operator import add

import urllib3

from localcloud.snowflake.objects.external_functions.function import ExternalFunction

_ILLEGAL = re.compile(r"[^\x21-\x7e]+")
# Snowflake chooses the batch size itself; this is about the maximum that it uses.
BATCH_ROWS = 4096
_NUMBERS = [f"[{number}" for number in range(BATCH_ROWS)]


@dataclass(frozen=True)
class Call:
    """One function within one query. ``context`` holds the values of CONTEXT_HEADERS by function name.

    ``api_key`` is the integration's API_KEY, which API Gateway reads as ``x-api-key``.
    """

    function: ExternalFunction
    query_id: str
    context: dict[str, str]
    api_key: str | None = None


def body_of(rows: list[str]) -> bytes:
    """``{"data":[[0,..],[1,..]]}`` from rows that lack only ``[<number>`` (see ``row_encoding``)."""
    return ('{"data":[' + ",".join(map(add, _NUMBERS, rows)) + "]}").encode()


def headers_of(call: Call, batch_id: str, encoding: str | None) -> dict[str, str]:
    """All headers of a batch; retries and polls use the same."""
    function, definition = call.function, call.function.definition
    headers = {
        "Accept": "*/*",
        "User-Agent": "snowflake/1.0",
        "Content-Type": "application/json",
        "sf-external-function-format": "json",
        "sf-external-function-format-version": "1.0",
        "sf-external-function-current-query-id": call.query_id,
        "sf-external-function-query-batch-id": batch_id,
        **_with_base64("sf-external-function-name", function.path[2]),
        **_with_base64("sf-external-function-signature", function.definition.signature),
        **_with_base64("sf-external-function-return-type", definition.returns.name),
        **{f"sf-custom-{name}": value for name, value in definition.headers},
    }
    if call.api_key is not None:
        headers["x-api-key"] = call.api_key
    for name, value in call.context.items():
        headers |= _with_base64(f"sf-context-{name.lower().replace('_', '-')}", value)
    if encoding is not None:
        headers |= {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    return headers


def _with_base64(name: str, value: str) -> dict[str, str]:
    """The header with each run of illegal characters replaced by a space, and its base64 counterpart."""
    return {name: _ILLEGAL.sub(" ", value), f"{name}-base64": b64encode(value.encode()).decode()}


def encoding_of(function: ExternalFunction) -> str | None:
    """AUTO means GZIP on AWS."""
    chosen = function.definition.compression
    return None if chosen == "NONE" else "deflate" if chosen == "DEFLATE" else "gzip"


def pack(body: bytes, encoding: str | None) -> bytes:
    if encoding is None:
        return body
    return compress(body, 1) if encoding == "gzip" else zlib.compress(body, 1)


def unpack(reply: urllib3.BaseHTTPResponse) -> bytes:
    encoding = reply.headers.get("Content-Encoding", "").lower()
    try:
        if encoding == "gzip":
            return decompress(reply.data)
        return zlib.decompress(reply.data) if encoding == "deflate" else bytes(reply.data)
    except (OSError, zlib.error):
        return bytes(reply.data)
