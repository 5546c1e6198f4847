"""The compiled reader of a Snowflake batch with plain arguments: the hot path of decoding.

``parse`` reads the body once, byte by byte, without an object for a value or a row, and without the interpreter's lock. It
knows numbers, ``true``, ``false``, ``null``, the texts of categories and, in columns that are not features, short ASCII texts.
For any other body it returns None.

A number becomes the nearest double, and that double the nearest float32, exactly as ``float(text)`` and a cast do it.

The first call in a process compiles for a few seconds, unless an earlier process left the result in the cache (``compiler``);
``warm`` does it before the service reports that it is ready.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from app.serve.codecs.jit.categories import CategoryTable, code, table_of
from app.serve.codecs.jit.compiler import compiled, forced, inlined
from app.serve.codecs.jit.scanner import (
    DATA,
    END,
    after,
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

# Memory for so many rows costs less than counting them.
_FEW = 16

Found = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def parse(body: bytes, columns: npt.NDArray[np.int64], texts: CategoryTable) -> Found | None:
    """``{"data": [[0, value, ...], ...]}`` as (matrix [rows, width], spans [rows, 2]); None if the body is not that plain.

    ``columns``: for each argument its column in the matrix, or -1 for the one that is not a feature; ``spans``: the start and
    end in ``body`` of that argument's text. Row numbers must ascend from 0 by 1.
    """
    given = np.frombuffer(body + END, dtype=np.uint8)
    # Upper bounds: a row takes two bytes a value, and a text may contain brackets.
    most = len(body) // (2 * len(columns) + 2)
    if most > _FEW:
        most = min(int(np.count_nonzero(given == ord("["))) - 1, most)
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
    parse(b'{"data":[[0,1.5]]}', np.zeros(1, dtype=np.int64), table_of(Contract((Column("A"),), (), "L")))


@compiled
def _parse(begin: int, size: int, columns: Any, matrix: Any, spans: Any, texts: int) -> int:
    """The number of rows; -1 if the body is not plain."""
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
    """The address after the row at ``at``, 0 if it is not plain."""
    at = after(at, 91)  # [
    if at:
        at = row_number(at, row)
    for argument in range(columns.size):
        if at == 0:
            return 0
        at = after(at, 44)  # ,
        if at == 0:
            return 0
        column = columns[argument]
        # Decided here, because the compiled code is a quarter slower with all kinds of values in one function.
        at = _numeric(at, column, into) if column >= 0 else member(at, column, into, span, texts)
    if at:
        at = skip(at)
        if byte(at) == 93:  # ]
            return at + 1
    return 0


@forced
def _numeric(at: int, column: int, into: Any) -> int:
    """Store a number in its column; returns the address after it, 0 if it is not plain."""
    at, found = value(at)
    small = np.float32(found)
    if np.isinf(small):
        return 0
    into[column] = small
    return at


@inlined
def member(at: int, column: int, into: Any, span: Any, texts: int) -> int:
    """Store one value; returns the address after it, 0 if it is not plain.

    ``column``: a number's column; -1 for a value that is not a feature, whose position goes to ``span``; ``-2 - column`` for a
    category.
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
