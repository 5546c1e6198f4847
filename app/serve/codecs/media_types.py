"""What a request says about its body, before that is read: another type, charset or compression than ours is refused.

A body without a type is read: nobody would leave it out who means something else than what the route takes. ``Accept`` is not
looked at, as RFC 9110 (12.5.1) allows: each route has one form, and a caller that wants another would be helped by no refusal.

The one surprise: what nearly every request says is looked up as it stands, which takes 0.1 microseconds; only the rest is parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from app.errors import CallerError

JSON, BYTES = "application/json", "application/octet-stream"

_ENCODINGS = frozenset({"", "gzip", "deflate", "identity", "x-gzip"})
_USUAL = frozenset({"", JSON})
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})


class WrongType(CallerError):
    """The body is of a type or charset that the route does not take. ``accepted``: the types that it does."""

    http_status = 415
    problem = "unsupported-media-type"

    def __init__(self, text: str, accepted: str) -> None:
        super().__init__(text)
        self.accepted = accepted


class WrongEncoding(CallerError):
    """The body is compressed in a way that the service does not know. ``accepted``: those that it does."""

    http_status = 415
    problem = "unsupported-encoding"
    accepted = "gzip, deflate"


def check(headers: Mapping[str, str], *, binary: bool) -> None:
    """Raise WrongType or WrongEncoding for a body that is plainly none of ours. ``binary``: bytes are among them."""
    media_type, encoding = headers.get("content-type", ""), headers.get("content-encoding", "")
    if media_type not in _USUAL:
        _check_type(media_type, binary)
    if encoding not in _ENCODINGS:
        _check_encoding(encoding)


@lru_cache(maxsize=256)
def _check_type(media_type: str, binary: bool) -> None:
    kind, *parameters = (part.strip().lower() for part in media_type.split(";"))
    of_ours = kind in ("", JSON, "text/json") or kind.endswith("+json") or (binary and kind == BYTES)
    accepted = f"{JSON}, {BYTES}" if binary else JSON
    if not of_ours:
        raise WrongType(f"the body's Content-Type is none that this path takes; send {accepted}", accepted)
    charsets = {
        value.strip("\"' ") for name, _, value in (each.partition("=") for each in parameters) if name == "charset"
    }
    if not charsets <= _CHARSETS:
        raise WrongType("the body's Content-Type names a charset other than UTF-8, which JSON is written in", accepted)


def _check_encoding(encoding: str) -> None:
    if encoding.strip().lower() not in _ENCODINGS:
        raise WrongEncoding(
            f"the body's Content-Encoding is none that the service knows; compress with {WrongEncoding.accepted}, or not at all"
        )
