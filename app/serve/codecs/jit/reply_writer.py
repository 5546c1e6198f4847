"""The compiled writer of Snowflake's reply: ``{"data":[[0,0.5],[1,0.25]]}`` from scores, without an object for a row or a number.

Thousands of small objects for each reply would also be memory that Python takes from the system and returns each time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.serve.codecs.jit.compiler import compiled

_BEGIN = np.frombuffer(b'{"data":[', np.uint8)
# Around each score: a bracket, a comma after the row number, a bracket. The comma between rows is counted with the scores.
_AROUND_BYTES = 3
_END_BYTES = len("]}")
# Fewer rows are faster without arrays.
_MANY = 8


def write(scores: npt.NDArray[np.float64]) -> bytes:
    """The reply for finite ``scores`` [rows], each in the shortest text that reads as the same double."""
    if len(scores) < _MANY:
        return orjson.dumps({"data": list(enumerate(scores.tolist()))})
    texts = np.frombuffer(orjson.dumps(scores, option=orjson.OPT_SERIALIZE_NUMPY), np.uint8)[1:-1]
    size = len(_BEGIN) + _digits(len(scores)) + _AROUND_BYTES * len(scores) + len(texts) + _END_BYTES
    answer = np.empty(size, dtype=np.uint8)
    answer[: len(_BEGIN)] = _BEGIN
    _number(texts, answer, len(_BEGIN))
    return answer.tobytes()


def warm() -> None:
    """Compile now."""
    write(np.zeros(_MANY))


def _digits(rows: int) -> int:
    """Characters of all numbers below ``rows``."""
    count, first = rows, 10
    while first < rows:
        count, first = count + rows - first, first * 10
    return count


@compiled
def _number(texts: Any, answer: Any, at: int) -> None:
    """Write comma-separated ``texts`` into ``answer`` from ``at`` on, each in brackets with its row number, and the end."""
    row = 0
    at = _open(answer, at, row)
    for letter in texts:
        if letter == 44:  # ,
            row += 1
            answer[at], answer[at + 1] = 93, 44  # ],
            at = _open(answer, at + 2, row)
        else:
            answer[at] = letter
            at += 1
    answer[at], answer[at + 1], answer[at + 2] = 93, 93, 125  # ]]}


@compiled
def _open(answer: Any, at: int, row: int) -> int:
    """Write ``[row,``; returns its end."""
    answer[at] = 91  # [
    digits, first = 1, 10
    while first <= row:
        digits, first = digits + 1, first * 10
    for position in range(at + digits, at, -1):
        answer[position] = 48 + row % 10
        row //= 10
    answer[at + digits + 1] = 44  # ,
    return at + digits + 2
