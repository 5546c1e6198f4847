"""Reads Universal Binary JSON (ubjson.org, draft 12) in the subset that XGBoost writes; anything else is an error.

XGBoost's own reader trusts its input. This one checks each length against the bytes that are there before it uses it, so any
bytes end in a value or in ``UbjsonError``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Objects and arrays inside each other; a model has six levels.
MAX_DEPTH = 16

_INTEGERS = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8}
_REALS = {b"d": ">f4", b"D": ">f8"}
_ELEMENTS = {**_REALS, b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8"}
_WORDS = {b"T": True, b"F": False, b"Z": None}


class UbjsonError(ValueError):
    """The bytes are not what XGBoost writes. The text says where, never what is there."""


def read(body: bytes) -> Any:
    """The value of a whole document: objects as dicts, typed arrays as numpy arrays (big-endian), other arrays as lists."""
    reader = _Reader(body)
    value = reader.value(0)
    if reader.at != len(body):
        raise reader.fault("bytes follow the end")
    return value


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body, self.at = body, 0

    def fault(self, what: str) -> UbjsonError:
        return UbjsonError(f"{what} at byte {self.at}")

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self.fault("the values nest too deep")
        marker = self._take(1)
        if marker == b"{":
            return self._object(depth)
        if marker == b"[":
            return self._array(depth)
        if marker == b"S":
            return self._text()
        if (size := _INTEGERS.get(marker)) is not None:
            return int.from_bytes(self._take(size), "big", signed=marker != b"U")
        if (kind := _REALS.get(marker)) is not None:
            return float(np.frombuffer(self._take(int(kind[-1])), dtype=kind)[0])
        if marker in _WORDS:
            return _WORDS[marker]
        raise self.fault("an unknown type is")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._body[self.at : self.at + 1] != b"}":
            name = self._text()
            if name in found:
                raise self.fault("a name is repeated")
            found[name] = self.value(depth + 1)
        self.at += 1
        return found

    def _array(self, depth: int) -> Any:
        marker = self._take(1)
        kind = self._take(1) if marker == b"$" else None
        if kind is not None:
            marker = self._take(1)
        if marker != b"#":
            raise self.fault("an array has no length")
        count = self._length()
        if kind is None:
            return [self.value(depth + 1) for _ in range(count)]
        if kind not in _ELEMENTS:
            raise self.fault("an array of an unknown type is")
        dtype = np.dtype(_ELEMENTS[kind])
        return np.frombuffer(self._take(count * dtype.itemsize), dtype=dtype)

    def _text(self) -> str:
        raw = self._take(self._length())
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.fault("a text is not UTF-8") from None

    def _length(self) -> int:
        """A count of bytes or values. Each value takes a byte at least, so none exceeds the bytes that are left."""
        if self._take(1) != b"L":
            raise self.fault("a length is missing")
        count = int.from_bytes(self._take(8), "big", signed=True)
        if not 0 <= count <= len(self._body) - self.at:
            raise self.fault("a length is beyond the end")
        return count

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._body):
            raise self.fault("the file is cut short")
        taken = self._body[self.at : end]
        self.at = end
        return taken
