"""The codes of category texts, compiled: a hash table over the bytes between two quotation marks.

A text is found if its bytes are a category's. Another text is NaN in a column where unknown categories count as NULL, if it is
plain ASCII. For any other text, such as one with an escape, the reader returns None; a category that needs an escape is not in the
table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.serve.codecs.jit.compiler import compiled
from app.serve.codecs.jit.scanner import byte, eight_bytes, integer, trailing_zeros
from sagemaker_entry.contract import Contract

_EIGHT_BYTES = bytes(8)
_MAX_TABLES = 256

_ONES, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _FACTOR = np.uint64(0x2222222222222222), np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass(frozen=True)
class CategoryTable:
    """The categories of a contract. ``table``: the number of slots less 1; the address of ``lenient``; the slots, each an entry's
    number or -1; the entries of four: the column, the address of the text in ``written``, its length in bytes, its code. One array,
    because the compiled readers take only its address. ``lenient`` [features]: 1 where an unknown category counts as NULL.
    ``columns`` [features]: whether each is a category.
    """

    table: npt.NDArray[np.int64]
    address: int
    written: npt.NDArray[np.uint8]
    lenient: npt.NDArray[np.int64]
    has_categories: bool
    columns: npt.NDArray[np.bool_]

    def marked(self, columns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """``columns`` with each category column as ``-2 - column``, by which the compiled readers recognize it."""
        if not self.has_categories:
            return columns
        return np.where((columns >= 0) & self.columns[columns], -2 - columns, columns)


_tables: dict[str, CategoryTable] = {}


def table_of(contract: Contract) -> CategoryTable:
    """The table of ``contract``, built once."""
    found = _tables.get(contract.fingerprint)
    if found is None:
        if len(_tables) >= _MAX_TABLES:
            _tables.clear()
        found = _tables[contract.fingerprint] = _make(contract)
    return found


def _make(contract: Contract) -> CategoryTable:
    joined, found = b"", []
    for at, column in enumerate(contract.columns):
        for number, category in enumerate(column.categories):
            body = category.encode("utf-8", "replace")
            if body.decode() == category and not any(each < 32 or each in b'"\\' for each in body):
                found.append((at, len(joined), len(body), number))
                joined += body + b'"'
    written = np.frombuffer(joined + 2 * _EIGHT_BYTES, dtype=np.uint8)
    entries = np.array(found, dtype=np.int64).reshape(-1, 4)
    entries[:, 1] += written.ctypes.data
    last = (1 << (2 * len(entries)).bit_length()) - 1
    slots = np.full(last + 1, -1, dtype=np.int64)
    for entry, (at, begin, _, _) in enumerate(entries.tolist()):
        slot = _hash(begin, at)[0] & last
        while slots[slot] >= 0:
            slot = (slot + 1) & last
        slots[slot] = entry
    is_category = np.array([column.dtype == "category" for column in contract.columns])
    lenient = np.array([column.unknown == "null" for column in contract.columns], dtype=np.int64)
    table = np.concatenate([[last, lenient.ctypes.data], slots, entries.ravel()])
    return CategoryTable(table, table.ctypes.data, written, lenient, contract.has_categories, is_category)


@compiled
def code(at: int, column: int, table: int) -> tuple[int, float]:
    """(address after, code) of the text at ``at``: NaN for one that counts as NULL; the address is 0 for anything else.

    ``table``: the address of ``CategoryTable.table``.
    """
    if byte(at) != 34:
        return 0, 0.0
    at += 1
    found, length = _hash(at, column)
    if length < 0:
        return 0, 0.0
    last = integer(table)
    slots, slot = table + 16, found & last
    entries = slots + 8 * (last + 1)
    while integer(slots + 8 * slot) >= 0:
        entry = entries + 32 * integer(slots + 8 * slot)
        if integer(entry) == column and integer(entry + 16) == length and same(at, integer(entry + 8), length):
            return at + length + 1, float(integer(entry + 24))
        slot = (slot + 1) & last
    if integer(integer(table + 8) + 8 * column) and _is_plain(at, length):
        return at + length + 1, np.nan
    return 0, 0.0


@compiled
def _is_plain(at: int, length: int) -> bool:
    """Whether ``length`` bytes are printable ASCII without a backslash, so that the text is what is written."""
    for position in range(at, at + length):  # noqa: SIM110  # compiled code has no generators
        if byte(position) < 32 or byte(position) > 126 or byte(position) == 92:
            return False
    return True


@compiled
def same(one: int, other: int, length: int) -> bool:
    """Whether ``length`` bytes are equal. Eight bytes after them must be readable."""
    while length >= 8:
        if eight_bytes(one) != eight_bytes(other):
            return False
        one, other, length = one + 8, other + 8, length - 8
    return length == 0 or (eight_bytes(one) ^ eight_bytes(other)) << np.uint64(64 - 8 * length) == 0


@compiled
def _hash(at: int, column: int) -> tuple[Any, int]:
    """(hash, length) of the bytes up to the next quotation mark; the length is -1 where a zero byte comes first."""
    mixed, length = np.uint64(column) * _FACTOR, 0
    while True:
        word = eight_bytes(at + length)
        quotes = word ^ _QUOTES
        quotes = (quotes - _ONES) & ~quotes & _HIGHS
        if quotes:
            count = trailing_zeros(quotes) >> 3
            if count:
                mixed = (mixed ^ (word << np.uint64(64 - 8 * count))) * _FACTOR
            mixed ^= mixed >> _HALF
            return np.int64(mixed & np.uint64(0x7FFFFFFF)), length + count
        if (word - _ONES) & ~word & _HIGHS:
            return 0, -1
        mixed = (mixed ^ word) * _FACTOR
        length += 8
