"""Parses the function signature that Snowflake sends with each batch: the arguments' names and types, in order.

The signature matches arguments to features, so that an external function whose arguments have another order than the contract's
columns still gets the right scores. The base64 header is preferred, because the plain one has some characters replaced by
blanks. A signature that cannot be read is an error, because otherwise the arguments would be taken by position.
"""

from __future__ import annotations

import base64
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
        """True if the only argument is an object of named features."""
        return len(self.kinds) == 1 and self.kinds[0] in _NESTED_KINDS


def from_headers(headers: Mapping[str, str]) -> Signature | None:
    """The signature in ``headers`` (lower-case names), None if there is none. Raises CallerError if it cannot be parsed."""
    if encoded := headers.get(BASE64_HEADER):
        try:
            return parse(base64.b64decode(encoded, validate=True).decode())
        except ValueError:  # also for characters beyond ASCII, and for bytes that are not UTF-8
            raise CallerError(f"the header {BASE64_HEADER} is not base64") from None
    plain = headers.get(PLAIN_HEADER)
    return parse(plain) if plain else None


@lru_cache(maxsize=256)
def parse(text: str) -> Signature:
    """Parse ``(CUSTOMER_ID NUMBER, TOTAL_SPENT NUMBER(38,2))`` to names and kinds; double quotes around a name are removed."""
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
    if "".join(pieces) != inner:  # an unclosed quotation mark
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
