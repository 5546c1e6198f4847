"""Entities' keys -> a hash of each, the same in every process, all rows of a batch beside each other.

A key counts as it is spelt in JSON: 17 and "17" are two. Numbers with a fraction or an exponent, and whole numbers beyond 64 bits,
are spelt anew first, so that 17.5, 17.50 and 1.75e1 are one, whichever way the row was read.

The one surprise: keys are hashed where they stand in the body, for a call for each key would cost more than scoring it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import xxhash

from app.serve.rows import KeysInBody, Spans

Hashes = npt.NDArray[np.uint64]

# Bytes of a key that count; its length counts too. A bound, for a key is the caller's and may be as long as the body.
_BYTES_HASHED = 64
#: Whole numbers of so many characters surely fit 64 bits.
_SURELY_WHOLE = 18

# FNV-1a, and the end of MurmurHash3, which spreads short keys over all bits.
_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_SHIFT = np.uint64(33)

_QUOTE = ord('"')
_FRACTIONS = np.zeros(256, dtype=np.bool_)
_FRACTIONS[list(b".eE")] = True


def hashes(keys: Sequence[Any], salt: str = "") -> Hashes:
    """The hash of each key, evenly from 0 up to ``chance.HASHES``. Another ``salt``: hashes that say nothing of these."""
    body, spans = _in_body(keys) if isinstance(keys, KeysInBody) else _spelt([token(key) for key in keys])
    return _hashes(body, spans, np.uint64(xxhash.xxh3_64_intdigest(salt.encode()) if salt else 0))


def token(key: Any) -> bytes:
    """A key as JSON."""
    # A whole number beyond 64 bits is refused by orjson, and is not worth losing.
    return str(key).encode() if type(key) is int else orjson.dumps(key, default=str)


def _in_body(keys: KeysInBody) -> tuple[bytes, Spans]:
    body, spans = keys.body, keys.spans
    text = np.frombuffer(body, np.uint8)
    begins, lengths = spans[:, 0], spans[:, 1] - spans[:, 0]
    numbers = np.flatnonzero(text[begins] != _QUOTE) if len(spans) else begins
    if not len(numbers):
        return body, spans
    again = lengths[numbers] > _SURELY_WHOLE
    for place in range(min(int(lengths[numbers].max()), _SURELY_WHOLE)):
        inside = lengths[numbers] > place
        again |= inside & _FRACTIONS[text[begins[numbers] + np.where(inside, place, 0)]]
    if not again.any():
        return body, spans
    tokens = [body[begin:end] for begin, end in spans.tolist()]
    for row in numbers[again].tolist():
        if tokens[row] not in _WORDS:
            tokens[row] = orjson.dumps(orjson.loads(tokens[row]))
    return _spelt(tokens)


_WORDS = frozenset({b"true", b"false", b"null"})


def _spelt(tokens: Sequence[bytes]) -> tuple[bytes, Spans]:
    lengths = np.array([len(each) for each in tokens], dtype=np.int64)
    ends = np.cumsum(lengths)
    return b"".join(tokens), np.stack([ends - lengths, ends], axis=1)


def _hashes(body: bytes, spans: Spans, salt: np.uint64) -> Hashes:
    text = np.frombuffer(body, np.uint8)
    begins, lengths = spans[:, 0], spans[:, 1] - spans[:, 0]
    found = _OFFSET ^ salt ^ lengths.astype(np.uint64)
    for place in range(min(int(lengths.max(initial=0)), _BYTES_HASHED)):
        inside = np.flatnonzero(lengths > place)
        found[inside] = (found[inside] ^ text[begins[inside] + place]) * _PRIME
    for factor in _MIX:
        found = (found ^ (found >> _SHIFT)) * factor
    return found ^ (found >> _SHIFT)
