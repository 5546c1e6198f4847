"""The sample: rows are chosen by a hash of the batch's id or of the entity key, so that every process chooses the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.serve.codecs.jit.key_hash import hashes, token
from app.serve.rows import KeysInBody
from app.serve.sampling import HASHES

Indexes = npt.NDArray[np.intp]


def chosen_keys(keys: Sequence[Any], share: float) -> Indexes:
    """The rows whose key is among the ``share`` of all keys, ascending."""
    if share >= 1:
        return np.arange(len(keys))
    return np.flatnonzero(hashes(keys) < np.uint64(share * HASHES))


def key_texts(keys: Sequence[Any], at: Indexes) -> list[str | None]:
    """The keys of the rows ``at``, as text: a string as it is, a number as it was written, None for NULL."""
    if isinstance(keys, KeysInBody):
        return [_text_of(keys.body[begin:end]) for begin, end in keys.spans[at].tolist()]
    return [_text_of(token(keys[index])) for index in at.tolist()]


def _text_of(written: bytes) -> str | None:
    if written.startswith(b'"'):
        return str(orjson.loads(written))
    return None if written == b"null" else written.decode()
