"""The signature that Snowflake sends with each batch: the header's text -> the arguments' names and types, in order.

It is how arguments find their features, so that an external function whose arguments stand in another order than the
contract's columns still gives the right scores. The base64 header is preferred: the plain one has characters blanked.

The one surprise: a signature that cannot be read is refused and not ignored, for arguments would then be taken by position.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from app.errors import CallerError

PLAIN_HEADER = "sf-external-function-signature"
BASE64_HEADER = "sf-external-function-signature-base64"

_PIECE = re.compile(r'"(?:[^"]|"")*"|[(),]|[^"(),]+')
_ARGUMENT = re.compile(r'(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^\s"]+))\s+(?P<kind>[A-Za-z]\w*).*', re.DOTALL)
_NESTED_KINDS = frozenset({"OBJECT", "VARIANT"})


@dataclass(frozen=True)
class Signature:
    """Names as Snowflake stores them, and types without their parameters, one for each argument."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def takes_object(self) -> bool:
        """True for the form whose only argument holds the named features."""
        return len(self.kinds) == 1 and self.kinds[0] in _NESTED_KINDS


def from_headers(headers: Mapping[str, str]) -> Signature | None:
    """The signature among ``headers`` (lower-case names), None where none was sent. CallerError for an unreadable one."""
    if encoded := headers.get(BASE64_HEADER):
        try:
            return parse(base64.b64decode(encoded, validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            raise CallerError(f"the header {BASE64_HEADER} is not base64") from None
    plain = headers.get(PLAIN_HEADER)
    return parse(plain) if plain else None


@lru_cache(maxsize=256)
def parse(text: str) -> Signature:
    """``(CUSTOMER_ID NUMBER, TOTAL_SPENT NUMBER(38,2))`` -> names and kinds; a name in double quotes loses them."""
    text = text.strip()
    if not (text.startswith("(") and text.endswith(")")):
        raise _unreadable()
    names, kinds = [], []
    for piece in _split(text[1:-1]):
        found = _ARGUMENT.fullmatch(piece.strip())
        if not found:
            raise _unreadable()
        names.append(found["plain"] or found["quoted"].replace('""', '"'))
        kinds.append(found["kind"].upper())
    return Signature(tuple(names), tuple(kinds))


def _split(inner: str) -> Iterator[str]:
    depth, pending = 0, ""
    pieces = _PIECE.findall(inner)
    if "".join(pieces) != inner:  # a quotation mark that is never closed
        raise _unreadable()
    for piece in pieces:
        depth += (piece == "(") - (piece == ")")
        if piece == "," and depth == 0:
            yield pending
            pending = ""
        else:
            pending += piece
    if pending.strip() or "," in inner:
        yield pending


def _unreadable() -> CallerError:
    return CallerError(
        "the external function's signature could not be read; it must look like (NAME TYPE, NAME TYPE): "
        "create the function again with plain argument names"
    )
