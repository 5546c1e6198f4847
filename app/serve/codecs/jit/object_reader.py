"""The compiled reader of rows that are objects of named values, if every row has the first row's keys in its order.

The first row's keys are read and matched with the features once; after that a key only has to be the same bytes as the first
row's. For any other body ``parse`` returns None, also if a key appears twice in an object, where JSON readers use the last value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from app.serve.codecs.jit.categories import CategoryTable, same, table_of
from app.serve.codecs.jit.compiler import compiled
from app.serve.codecs.jit.positional_reader import Found, member
from app.serve.codecs.jit.scanner import DATA, END, ROWS, after, byte, closed, opening, row_number, skip, text, value
from sagemaker_entry.contract import Column, Contract

#: The keys of the first row -> the column of each, -1 for the entity key; None if they do not fit.
Match = Callable[[tuple[str, ...]], npt.NDArray[np.int64] | None]


def parse(body: bytes, numbered: bool, match: Match, texts: CategoryTable, most_rows: int) -> Found | None:
    """``{"data": [[0, {...}], ...]}``, or ``{"rows": [{...}, ...]}`` if rows are not ``numbered``, as (matrix, spans).

    Both as from ``positional_reader.parse``; a feature for which ``match`` finds no key is NaN. None also for more than
    ``most_rows``: where features may be absent, the matrix can be far larger than the body.
    """
    given = np.frombuffer(body + END, dtype=np.uint8)
    begin = given.ctypes.data
    key_spans = np.empty((len(texts.columns) + 1, 2), dtype=np.int64)
    count = _keys(begin, numbered, key_spans)
    if count <= 0:
        return None
    key_spans = key_spans[:count]
    names = tuple(body[start + 1 : end - 1].decode("ascii") for start, end in (key_spans - begin).tolist())
    columns = match(names)
    if columns is None:
        return None
    # An upper bound: a text may contain braces, and a row takes its keys and two bytes a value.
    row_bytes = int((key_spans[:, 1] - key_spans[:, 0]).sum()) + 2 * count
    most = min(int(np.count_nonzero(given == ord("{"))) - 1, len(body) // row_bytes, most_rows)
    matrix = np.empty((most, len(texts.columns)), dtype=np.float32)
    spans = np.zeros((most, 2), dtype=np.int64)
    rows = _parse(
        begin,
        len(body),
        numbered,
        key_spans,
        texts.marked(columns),
        int(np.count_nonzero(columns >= 0)) < len(texts.columns),
        matrix,
        spans,
        texts.address,
    )
    return (matrix[:rows], spans[:rows]) if rows >= 0 else None


def warm() -> None:
    """Compile now."""
    texts = table_of(Contract((Column("A"),), (), "L"))
    parse(b'{"rows":[{"A":1}]}', False, lambda _: np.zeros(1, dtype=np.int64), texts, 1)


@compiled
def _keys(at: int, numbered: bool, key_spans: Any) -> int:
    """The number of keys of the first row, whose positions, with quotation marks, go to ``key_spans``. 0 if it is not plain."""
    at = opening(at, DATA if numbered else ROWS)
    if at:
        at = _brace(at, 0, numbered)
    for count in range(key_spans.shape[0]):
        if at == 0 or byte(at) != 34:
            return 0
        key_spans[count, 0] = at
        at = text(at)
        key_spans[count, 1] = at
        if at:
            at = after(at, 58)  # :
        if at:
            at = _after_text(at) if byte(at) == 34 else value(at)[0]
        if at == 0:
            return 0
        at = skip(at)
        if byte(at) == 125:  # }
            return count + 1
        at = after(at, 44)  # ,
    return 0


@compiled
def _after_text(at: int) -> int:
    """The address after a text without escapes, in any script; 0 for any other."""
    at += 1
    while byte(at) >= 32 and byte(at) != 92:
        if byte(at) == 34:
            return at + 1
        at += 1
    return 0


@compiled
def _brace(at: int, row: int, numbered: bool) -> int:
    """The address after a row's start, up to its object's brace and white space; 0 for another start."""
    if numbered:
        at = after(at, 91)  # [
        if at:
            at = row_number(at, row)
        if at:
            at = after(at, 44)  # ,
    return after(at, 123) if at else 0  # {


@compiled
def _parse(
    begin: int,
    size: int,
    numbered: bool,
    key_spans: Any,
    columns: Any,
    partial: bool,
    matrix: Any,
    spans: Any,
    texts: int,
) -> int:
    """The number of rows; -1 if the body is not plain."""
    at, row = opening(begin, DATA if numbered else ROWS), 0
    while True:
        if at == 0 or row == matrix.shape[0]:
            return -1
        if partial:
            matrix[row] = np.nan
        at = _brace(at, row, numbered)
        for key in range(columns.size):
            if at and key:
                at = after(at, 44)  # ,
            length = key_spans[key, 1] - key_spans[key, 0]
            if at == 0 or not same(at, key_spans[key, 0], length):
                return -1
            at = after(at + length, 58)  # :
            if at == 0:
                return -1
            at = member(at, columns[key], matrix[row], spans[row], texts)
            if at == 0:
                return -1
        at = skip(at)
        if byte(at) != 125:  # }
            return -1
        at = skip(at + 1)
        if numbered:
            at = after(at, 93)  # ]
            if at == 0:
                return -1
        if spans[row, 0]:
            spans[row] -= begin
        row += 1
        if byte(at) != 44:  # ,
            break
        at = skip(at + 1)
    return row if closed(at, begin + size) else -1
