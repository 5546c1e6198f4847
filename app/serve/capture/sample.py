"""Which rows are captured: a hash of the batch's name or of the entity's key, so that every process chooses the same.

The one surprise: keys are hashed where they stand in the body, all rows of a batch beside each other, for a call for each key
would cost more than scoring it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.serve.chance import HASHES
from app.serve.rows import KeysInBody, Spans

Hashes = npt.NDArray[np.uint64]
Indexes = npt.NDArray[np.intp]

# Bytes of a key that count; its length counts too. A bound, for a key is the caller's and may be as long as the body.
_BYTES_HASHED = 64

# FNV-1a, and the end of MurmurHash3, which spreads short keys over all bits.
_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_SHIFT = np.uint64(33)


def chosen_keys(keys: Sequence[Any], share: float) -> Indexes:
    """The rows whose key is among the ``share`` of all keys, ascending. A key counts as it is spelt in JSON."""
    if share >= 1:
        return np.arange(len(keys))
    body, spans = (keys.body, keys.spans) if isinstance(keys, KeysInBody) else _spelt(keys)
    return np.flatnonzero(_hashes(body, spans) < np.uint64(share * HASHES))


def key_texts(keys: Sequence[Any], at: Indexes) -> list[str | None]:
    """The keys of the rows ``at``, as text: a string is itself, a number as it was spelt, None where it was NULL."""
    if isinstance(keys, KeysInBody):
        return [_text_of(keys.body[begin:end]) for begin, end in keys.spans[at].tolist()]
    return [_text_of(_token(keys[index])) for index in at.tolist()]


def _text_of(token: bytes) -> str | None:
    if token.startswith(b'"'):
        return str(orjson.loads(token))
    return None if token == b"null" else token.decode()


def _spelt(keys: Sequence[Any]) -> tuple[bytes, Spans]:
    tokens = [_token(key) for key in keys]
    lengths = np.array([len(token) for token in tokens], dtype=np.int64)
    ends = np.cumsum(lengths)
    return b"".join(tokens), np.stack([ends - lengths, ends], axis=1)


def _token(key: Any) -> bytes:
    # A whole number beyond 64 bits is refused by orjson, and is not worth losing.
    return str(key).encode() if type(key) is int else orjson.dumps(key, default=str)


def _hashes(body: bytes, spans: Spans) -> Hashes:
    text = np.frombuffer(body, np.uint8)
    begins, lengths = spans[:, 0], spans[:, 1] - spans[:, 0]
    found = _OFFSET ^ lengths.astype(np.uint64)
    for place in range(min(int(lengths.max(initial=0)), _BYTES_HASHED)):
        inside = np.flatnonzero(lengths > place)
        found[inside] = (found[inside] ^ text[begins[inside] + place]) * _PRIME
    for factor in _MIX:
        found = (found ^ (found >> _SHIFT)) * factor
    return found ^ (found >> _SHIFT)
