"""The request body: unpacks the received bytes to JSON, and parses the array that the JSON object holds.

API Gateway unpacks a body and leaves ``Content-Encoding: gzip`` on it, so that header proves nothing. Gzip is recognized by its
first two bytes. Deflate has no such mark; its header is trusted only if the body does not look like JSON.

Intel's ISA-L unpacks in a third to a half of zlib's time. Both accept the same streams, except that ISA-L ignores the reserved
bits of gzip's flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from isal import isal_zlib

from app.errors import CallerError
from app.serve.codecs.jit import json_limits

#: Streams that one compressed body may consist of: gzip allows several members, and each costs time whatever it holds. Blocked
#: gzip has one for each 64 KiB.
MAX_MEMBERS = 1024
#: Rows of a request without another limit: as many as the limit of its arrays and objects allows, two for each row.
MOST_ROWS = json_limits.MAX_CONTAINERS // 2
#: Bytes that are unpacked at a time. What follows a member is copied, so the piece bounds that copy.
_PIECE_BYTES = 64 * 1024

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 31, 15, -15


class TooLarge(CallerError):
    """The body is larger than the limit, as received or unpacked."""


class TooManyRows(TooLarge):
    """The request has more rows than the limit."""


def check_length(headers: Mapping[str, str], limit_bytes: int) -> None:
    """Raise TooLarge before the body is read, if its header says that it is larger than ``limit_bytes``."""
    length = headers.get("content-length", "")
    if length.isdecimal() and number_up_to(length, limit_bytes) is None:
        raise too_large(limit_bytes)


def number_up_to(digits: str, most: int) -> int | None:
    """The number that ``digits`` spell, None if they are no digits or it is beyond ``most``. They may be of any length."""
    if not (digits.isascii() and digits.isdecimal()):
        return None
    shortest = digits.lstrip("0") or "0"  # Python refuses to convert thousands of digits
    found = int(shortest) if len(shortest) <= len(str(most)) else most + 1
    return found if found <= most else None


def too_large(limit_bytes: int) -> TooLarge:
    """The error for a body beyond ``limit_bytes``."""
    return TooLarge(f"the request is larger than {limit_bytes} bytes; send fewer rows at a time (MAX_BATCH_ROWS)")


def unpack(raw: bytes, content_encoding: str, limit_bytes: int) -> bytes:
    """``raw`` without its compression, if any. Never unpacks more than ``limit_bytes``: raises TooLarge beyond it.

    Raises CallerError if a compressed body is damaged.
    """
    window = _window(raw, content_encoding)
    if window is not None:
        return _inflate(raw, window, limit_bytes)
    if len(raw) > limit_bytes:
        raise too_large(limit_bytes)
    return raw


def is_short(raw: bytes, content_encoding: str, limit_bytes: int) -> bool:
    """Whether ``raw`` is a body of at most ``limit_bytes``, both as received and unpacked. Takes microseconds."""
    if len(raw) > limit_bytes:
        return False
    window = _window(raw, content_encoding)
    if window is None:
        return True
    try:
        _inflate(raw, window, limit_bytes)
    except CallerError:
        return False
    return True


def refuse_many(rows: int, most: int) -> None:
    """Raise TooManyRows for more rows than ``most``."""
    if rows > most:
        raise TooManyRows(f"the request has {rows} rows, {most} are allowed; send fewer rows at a time")


def parse_array(body: bytes, field: str, most: int = MOST_ROWS) -> list[Any]:
    """The array ``field`` of the JSON object in ``body``, of at most ``most`` rows. Raises CallerError, which quotes nothing of the
    body.
    """
    json_limits.check(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise CallerError(f"the body is not valid JSON (at character {fault.pos})") from None
    if not isinstance(document, dict) or not isinstance(document.get(field), list):
        raise CallerError(f'the body must be a JSON object with an array "{field}"')
    rows: list[Any] = document[field]
    refuse_many(len(rows), most)
    return rows


def _inflate(raw: bytes, window: int, limit_bytes: int) -> bytes:
    pieces, room, at, members = list[bytes](), limit_bytes, 0, 0
    stream = None
    while at < len(raw):
        if stream is None:
            stream, members = isal_zlib.decompressobj(window), members + 1
            if members > MAX_MEMBERS:
                raise CallerError(f"the compressed body has more than {MAX_MEMBERS} members; compress it as one")
        given = raw[at : at + _PIECE_BYTES] if len(raw) > _PIECE_BYTES else raw[at:]
        try:
            # One byte more than allowed is enough to know that the body is too large.
            pieces.append(stream.decompress(given, room + 1))
        except isal_zlib.error:  # type: ignore[misc]  # a class, which its stub declares as a value
            raise CallerError("the compressed body is damaged") from None
        room -= len(pieces[-1])
        if room < 0:
            raise too_large(limit_bytes)
        at += len(given)
        if stream.eof:
            at -= len(stream.unused_data)
            stream = None
    if stream is not None:
        raise CallerError("the compressed body is cut short")
    return b"".join(pieces)  # a single piece is not copied


def _window(raw: bytes, content_encoding: str) -> int | None:
    """zlib's parameter for the compression of ``raw``; None if there is none."""
    if raw.startswith(_GZIP_MAGIC):
        return _GZIP_WINDOW
    if content_encoding.strip().lower() == "deflate" and not _looks_like_json(raw):
        return _ZLIB_WINDOW if _has_zlib_header(raw) else _RAW_WINDOW
    return None


def _looks_like_json(raw: bytes) -> bool:
    return raw[:64].lstrip().startswith(b"{")


def _has_zlib_header(raw: bytes) -> bool:
    # RFC 1950: the method is 8, and the first two bytes are a multiple of 31. Some senders leave the header out.
    return len(raw) > 1 and raw[0] & 0x0F == 8 and (raw[0] << 8 | raw[1]) % 31 == 0
