"""Rows that are objects of named values -> float32 matrix, compiled, where every row has the first one's keys in its order.

The first row's keys are read by themselves and matched with the features once; after that a key only has to be the same bytes
as the first row's. The first thing that is not so plain ends it with None, and the general path takes over.

The one surprise: an object's key may stand in it twice, and JSON's readers then keep the last; that is not so plain either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from app.serve.codecs.jit.categories import Texts, of, same
from app.serve.codecs.jit.compiler import compiled
from app.serve.codecs.jit.positional_reader import Found, member
from app.serve.codecs.jit.scanner import DATA, END, ROWS, behind, byte, closed, opening, row_number, skip, text, value
from sagemaker_entry.contract import Column, Contract

#: From the keys of the first row to each one's column, -1 for the entity's key; None where they do not fit.
Match = Callable[[tuple[str, ...]], npt.NDArray[np.int64] | None]


def parse(body: bytes, numbered: bool, match: Match, texts: Texts) -> Found | None:
    """``{"data": [[0, {...}], ...]}``, or ``{"rows": [{...}, ...]}`` where rows are not ``numbered`` -> (matrix, spans).

    As ``numbers.parse`` gives them; a feature that ``match`` finds no key for is NaN.
    """
    given = np.frombuffer(body + END, dtype=np.uint8)
    begin = given.ctypes.data
    places = np.empty((len(texts.columns) + 1, 2), dtype=np.int64)
    count = _keys(begin, numbered, places)
    if count <= 0:
        return None
    places = places[:count]
    names = tuple(body[place + 1 : end - 1].decode("ascii") for place, end in (places - begin).tolist())
    columns = match(names)
    if columns is None:
        return None
    # At most so many: a brace may stand in a text, and a row takes its keys and two bytes a value.
    row_bytes = int((places[:, 1] - places[:, 0]).sum()) + 2 * count
    most = min(int(np.count_nonzero(given == ord("{"))) - 1, len(body) // row_bytes)
    matrix = np.empty((most, len(texts.columns)), dtype=np.float32)
    spans = np.zeros((most, 2), dtype=np.int64)
    rows = _parse(
        begin,
        len(body),
        numbered,
        places,
        texts.marked(columns),
        int(np.count_nonzero(columns >= 0)) < len(texts.columns),
        matrix,
        spans,
        texts.address,
    )
    return (matrix[:rows], spans[:rows]) if rows >= 0 else None


def warm() -> None:
    """Compile now."""
    texts = of(Contract((Column("A"),), (), "L"))
    parse(b'{"rows":[{"A":1}]}', False, lambda _: np.zeros(1, dtype=np.int64), texts)


@compiled
def _keys(at: int, numbered: bool, places: Any) -> int:
    """How many keys the first row has; where each stands, quotation marks and all, goes to ``places``. 0 where it is not plain."""
    at = opening(at, DATA if numbered else ROWS)
    if at:
        at = _brace(at, 0, numbered)
    for count in range(places.shape[0]):
        if at == 0 or byte(at) != 34:
            return 0
        places[count, 0] = at
        at = text(at)
        places[count, 1] = at
        if at:
            at = behind(at, 58)  # :
        if at:
            at = _behind_text(at) if byte(at) == 34 else value(at)[0]
        if at == 0:
            return 0
        at = skip(at)
        if byte(at) == 125:  # }
            return count + 1
        at = behind(at, 44)  # ,
    return 0


@compiled
def _behind_text(at: int) -> int:
    """The address behind a text without escapes, in whatever script; 0 for any other."""
    at += 1
    while byte(at) >= 32 and byte(at) != 92:
        if byte(at) == 34:
            return at + 1
        at += 1
    return 0


@compiled
def _brace(at: int, row: int, numbered: bool) -> int:
    """The address behind the beginning of a row up to its object's brace and white space, 0 where it begins otherwise."""
    if numbered:
        at = behind(at, 91)  # [
        if at:
            at = row_number(at, row)
        if at:
            at = behind(at, 44)  # ,
    return behind(at, 123) if at else 0  # {


@compiled
def _parse(
    begin: int,
    size: int,
    numbered: bool,
    places: Any,
    columns: Any,
    partial: bool,
    matrix: Any,
    spans: Any,
    texts: int,
) -> int:
    """How many rows there are; -1 where the body is not plain."""
    at, row = opening(begin, DATA if numbered else ROWS), 0
    while True:
        if at == 0 or row == matrix.shape[0]:
            return -1
        if partial:
            matrix[row] = np.nan
        at = _brace(at, row, numbered)
        for key in range(columns.size):
            if at and key:
                at = behind(at, 44)  # ,
            length = places[key, 1] - places[key, 0]
            if at == 0 or not same(at, places[key, 0], length):
                return -1
            at = behind(at + length, 58)  # :
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
            at = behind(at, 93)  # ]
            if at == 0:
                return -1
        if spans[row, 0]:
            spans[row] -= begin
        row += 1
        if byte(at) != 44:  # ,
            break
        at = skip(at + 1)
    return row if closed(at, begin + size) else -1
