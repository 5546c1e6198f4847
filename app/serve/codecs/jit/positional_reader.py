"""A Snowflake batch of plain arguments -> float32 matrix, compiled: the hot path of decoding.

``parse`` walks the body once, byte by byte, without an object for a value or a row, and without the interpreter's lock. It
knows numbers, ``true``, ``false``, ``null``, the texts of categories and, in the columns that are no features, short ASCII texts;
the first thing that it does not know ends it with None, and the general path decides what that is and what to say about it. So
there is one place that words errors, and this one can only be quick or stand aside.

A number becomes the nearest double, and that double the nearest float32, exactly as ``float(text)`` and a cast do it.

The one surprise: the first call of a process compiles for a few seconds unless an earlier process left the result in the cache
folder beside this file (or in NUMBA_CACHE_DIR); ``warm`` does it before the service says that it is ready.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from app.serve.codecs.jit.categories import Texts, code, of
from app.serve.codecs.jit.compiler import compiled, forced, inlined
from app.serve.codecs.jit.scanner import (
    DATA,
    END,
    behind,
    byte,
    closed,
    is_null,
    opening,
    row_number,
    skip,
    text,
    value,
)
from sagemaker_entry.contract import Column, Contract

Found = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def parse(body: bytes, columns: npt.NDArray[np.int64], texts: Texts) -> Found | None:
    """``{"data": [[0, value, ...], ...]}`` -> (matrix [rows, width], spans [rows, 2]); None where it is not that plain.

    ``columns``: for every argument its column in the matrix, or -1 for the one that is no feature; ``spans`` says where in
    ``body`` that argument's text stands, from and to. Row numbers ascend from 0 by 1, or the answer is None.
    """
    given = np.frombuffer(body + END, dtype=np.uint8)
    # At most so many: a bracket may stand in a text, and a row takes two bytes a value.
    most = min(int(np.count_nonzero(given == ord("["))) - 1, len(body) // (2 * len(columns) + 2))
    if most < 0:
        return None
    matrix = np.empty((most, len(texts.columns)), dtype=np.float32)
    spans = np.zeros((most, 2), dtype=np.int64)
    rows = _parse(
        given.ctypes.data,
        len(body),
        texts.marked(columns),
        matrix,
        spans,
        texts.address,
    )
    return (matrix[:rows], spans[:rows]) if rows >= 0 else None


def warm() -> None:
    """Compile now."""
    parse(b'{"data":[[0,1.5]]}', np.zeros(1, dtype=np.int64), of(Contract((Column("A"),), (), "L")))


@compiled
def _parse(begin: int, size: int, columns: Any, matrix: Any, spans: Any, texts: int) -> int:
    """How many rows there are; -1 where the body is not plain."""
    at = opening(begin, DATA)
    if at == 0:
        return -1
    row = 0
    if byte(at) != 93:  # ]
        while True:
            if row == matrix.shape[0]:
                return -1
            at = _row(at, row, columns, matrix[row], spans[row], texts)
            if at == 0:
                return -1
            if spans[row, 0]:
                spans[row] -= begin
            row += 1
            at = skip(at)
            if byte(at) != 44:  # ,
                break
            at = skip(at + 1)
    return row if closed(at, begin + size) else -1


@compiled
def _row(at: int, row: int, columns: Any, into: Any, span: Any, texts: int) -> int:
    """The address behind the row that begins at ``at``, 0 where it is not plain."""
    at = behind(at, 91)  # [
    if at:
        at = row_number(at, row)
    for argument in range(columns.size):
        if at == 0:
            return 0
        at = behind(at, 44)  # ,
        if at == 0:
            return 0
        column = columns[argument]
        # Asked here, for the compiler makes a quarter slower code of it where all kinds of values are told apart.
        at = _numeric(at, column, into) if column >= 0 else member(at, column, into, span, texts)
    if at:
        at = skip(at)
        if byte(at) == 93:  # ]
            return at + 1
    return 0


@forced
def _numeric(at: int, column: int, into: Any) -> int:
    """Put a number into its column, and give the address behind it, 0 where it is not plain."""
    at, found = value(at)
    small = np.float32(found)
    if np.isinf(small):
        return 0
    into[column] = small
    return at


@inlined
def member(at: int, column: int, into: Any, span: Any, texts: int) -> int:
    """Put one value where it belongs, and give the address behind it, 0 where it is not plain.

    ``column``: a number's column; -1 for what is no feature, whose place goes to ``span``; ``-2 - column`` for a category's.
    """
    if column >= 0:
        at = _numeric(at, column, into)
    elif column == -1:
        span[0] = at
        at = text(at) if byte(at) == 34 else value(at)[0]
        span[1] = at
    elif is_null(at):
        into[-2 - column] = np.nan
        at += 4
    else:
        at, found = code(at, -2 - column, texts)
        into[-2 - column] = found
    return at
