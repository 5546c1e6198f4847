"""Hashes of entity keys, the same in every process; compiled, because a Python call for each key would cost more than scoring
it.

A key is hashed as it is written in JSON, so 17 and "17" differ. Numbers with a fraction or an exponent, and whole numbers that may
not fit 64 bits, are normalized first, so that 17.5, 17.50 and 1.75e1 are the same key, however the row was read. Keys are
hashed where they are in the body, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import xxhash

from app.serve.codecs.jit.compiler import compiled
from app.serve.rows import KeysInBody, Spans

Hashes = npt.NDArray[np.uint64]

# Bytes of a key that are hashed, and its length. A bound, because a caller's key may be as long as the body.
_BYTES_HASHED = 64
#: Whole numbers of so many characters always fit 64 bits.
_SAFE_DIGITS = 18

# FNV-1a, and the finalizer of MurmurHash3, which spreads short keys over all bits.
_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


def hashes(keys: Sequence[Any], salt: str = "") -> Hashes:
    """The hash of each key, uniform from 0 up to ``sampling.HASHES``. Another ``salt`` gives independent hashes."""
    number = np.uint64(xxhash.xxh3_64_intdigest(salt.encode()) if salt else 0)
    if not isinstance(keys, KeysInBody):
        return _hashed(*_as_body([token(key) for key in keys]), number)[0]
    found, inexact = _hashed(keys.body, keys.spans, number)
    if inexact.any():
        tokens = [keys.body[begin:end] for begin, end in keys.spans[inexact].tolist()]
        found[inexact] = _hashed(*_as_body([orjson.dumps(orjson.loads(each)) for each in tokens]), number)[0]
    return found


def token(key: Any) -> bytes:
    """A key as JSON."""
    # orjson does not write whole numbers beyond 64 bits.
    return str(key).encode() if type(key) is int else orjson.dumps(key, default=str)


def warm() -> None:
    """Compile now."""
    hashes([0])


def _as_body(tokens: Sequence[bytes]) -> tuple[bytes, Spans]:
    lengths = np.array([len(each) for each in tokens], dtype=np.int64)
    ends = np.cumsum(lengths)
    return b"".join(tokens), np.stack([ends - lengths, ends], axis=1)


def _hashed(body: bytes, spans: Spans, salt: np.uint64) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """The hash of each key, and which keys are numbers that can be written in other ways."""
    found, inexact = np.empty(len(spans), dtype=np.uint64), np.empty(len(spans), dtype=np.bool_)
    _hash(np.frombuffer(body, np.uint8), np.ascontiguousarray(spans), salt, found, inexact)
    return found, inexact


@compiled
def _hash(text: Any, spans: Any, salt: Any, found: Any, inexact: Any) -> None:
    for row in range(spans.shape[0]):
        begin, end = spans[row]
        number = begin < end and (text[begin] == 45 or 48 <= text[begin] <= 57)  # a sign or a digit
        other = number and end - begin > _SAFE_DIGITS
        mixed = _OFFSET ^ salt ^ np.uint64(end - begin)
        for position in range(begin, min(end, begin + _BYTES_HASHED)):
            letter = text[position]
            mixed = (mixed ^ np.uint64(letter)) * _PRIME
            other |= number and (letter == 46 or letter == 69 or letter == 101)  # . E e
        mixed = (mixed ^ (mixed >> _SHIFT)) * _MIX_1
        mixed = (mixed ^ (mixed >> _SHIFT)) * _MIX_2
        found[row] = mixed ^ (mixed >> _SHIFT)
        inexact[row] = other
