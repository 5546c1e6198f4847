"""The request body: unpacks the received bytes to JSON, and parses the array that the JSON object holds.

API Gateway unpacks a body and leaves ``Content-Encoding: gzip`` on it, so that header proves nothing. Gzip is recognized by its
first two bytes. Deflate has no such mark; its header is trusted only if the body does not look like JSON.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from app.errors import CallerError
from app.serve.codecs.jit import json_limits

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 31, 15, -15


class TooLarge(CallerError):
    """The body is larger than the limit, as received or unpacked."""


class TooManyRows(TooLarge):
    """The request has more rows than the limit."""


def check_length(headers: Mapping[str, str], limit_bytes: int) -> None:
    """Raise TooLarge before the body is read, if its header says that it is larger than ``limit_bytes``."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit_bytes:
        raise too_large(limit_bytes)


def too_large(limit_bytes: int) -> TooLarge:
    """The error for a body beyond ``limit_bytes``."""
    return TooLarge(f"the request is larger than {limit_bytes} bytes; send fewer rows at a time (MAX_BATCH_ROWS)")


def unpack(raw: bytes, content_encoding: str, limit_bytes: int) -> bytes:
    """``raw`` without its compression, if any. Never unpacks more than ``limit_bytes``: raises TooLarge beyond it.

    Raises CallerError if a compressed body is damaged.
    """
    if raw.startswith(_GZIP_MAGIC):
        return _inflate(raw, _GZIP_WINDOW, limit_bytes)
    if content_encoding.strip().lower() == "deflate" and not _looks_like_json(raw):
        return _inflate(raw, _ZLIB_WINDOW if _has_zlib_header(raw) else _RAW_WINDOW, limit_bytes)
    if len(raw) > limit_bytes:
        raise too_large(limit_bytes)
    return raw


def parse_array(body: bytes, field: str) -> list[Any]:
    """The array ``field`` of the JSON object in ``body``. Raises CallerError, which quotes nothing of the body."""
    json_limits.check(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise CallerError(f"the body is not valid JSON (at character {fault.pos})") from None
    if not isinstance(document, dict) or not isinstance(document.get(field), list):
        raise CallerError(f'the body must be a JSON object with an array "{field}"')
    rows: list[Any] = document[field]
    return rows


def _inflate(raw: bytes, window: int, limit_bytes: int) -> bytes:
    pieces, room = list[bytes](), limit_bytes
    while raw:  # gzip allows several members one after the other
        stream = zlib.decompressobj(window)
        try:
            # One byte more than allowed is enough to know that the body is too large.
            pieces.append(stream.decompress(raw, room + 1))
        except zlib.error:
            raise CallerError("the compressed body is damaged") from None
        room -= len(pieces[-1])
        if room < 0:
            raise too_large(limit_bytes)
        if not stream.eof:
            raise CallerError("the compressed body is cut short")
        raw = stream.unused_data
    return b"".join(pieces)  # a single piece is not copied


def _looks_like_json(raw: bytes) -> bool:
    return raw[:64].lstrip().startswith(b"{")


def _has_zlib_header(raw: bytes) -> bool:
    # RFC 1950: the method is 8, and the first two bytes are a multiple of 31. Some senders leave the header out.
    return len(raw) > 1 and raw[0] & 0x0F == 8 and (raw[0] << 8 | raw[1]) % 31 == 0
