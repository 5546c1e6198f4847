"""The columns of a record batch as values in memory: numbers as they are, other types as arrays of numbers.

A value that the model does not take, such as a text where a number belongs, becomes infinite, which the model does not take either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sagemaker_entry.arrow.kernels import SOURCE, fill, look_up
from sagemaker_entry.contract import Column, Contract, ContractViolation
from sagemaker_entry.model import Matrix, category_fault, infinite_fault, not_a_number_fault

Faults = npt.NDArray[np.uint32]

#: Integers up to this, and powers of ten up to ``_EXACT_POWER``, are exact as float64, so that their quotient is rounded once.
_EXACT, _EXACT_POWER = 2**53, 22


@dataclass(frozen=True)
class Columns:
    """The features of ``rows`` rows. ``sources``: where they are in memory; ``owners``: what keeps that memory.

    ``reasons``: by feature, what is wrong with a value of it that the model does not take.
    """

    rows: int
    sources: npt.NDArray[np.void]
    reasons: tuple[str, ...]
    owners: tuple[Any, ...]

    @classmethod
    def of(cls, contract: Contract, rows: Any) -> Columns:
        """The features of a record batch or table, which may have more columns. Raises ContractViolation if it lacks one."""
        names = rows.schema.names
        if missing := [name for name in contract.names if name not in names]:
            raise ContractViolation(f"the rows lack the columns {', '.join(missing)}")
        found = [_found(column, _in_one_piece(rows.column(column.name))) for column in contract.columns]
        sources = np.array([one.source for one in found], SOURCE)
        return cls(len(rows), sources, tuple(one.reason for one in found), tuple(found))

    def fill(self, first: int, faults: Faults, table: Matrix) -> None:
        """As ``kernels.fill``. Thread-safe for different rows."""
        fill(self.sources, first, faults, table)


@dataclass(frozen=True)
class _Found:
    """A column in memory: ``values``, a pointer and what it belongs to, and the array whose bitmap says what is NULL."""

    values: Any
    address: int
    doubles: bool
    nulls: Any
    reason: str

    @property
    def source(self) -> tuple[int, int, int, int]:
        """As ``kernels.SOURCE``."""
        bitmap = self.nulls.buffers()[0] if self.nulls is not None and self.nulls.null_count else None
        return (
            (self.address, bitmap.address, self.nulls.offset, self.doubles)
            if bitmap
            else (self.address, 0, 0, self.doubles)
        )


def _in_one_piece(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks)
        if column.num_chunks
        else pa.array([], column.type)
    )


def _found(column: Column, array: Any) -> _Found:
    if column.dtype == "category":
        codes, nulls = _codes(column, array)
        return _in_array(codes, nulls, category_fault(column))
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    reason = infinite_fault(column.name)
    if pa.types.is_float64(kind) or pa.types.is_float32(kind):
        data, width = array.buffers()[1], kind.bit_width // 8
        address = data.address + array.offset * width if data is not None and len(array) else 0
        return _Found(array, address, width == 8, array, reason)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_float16(kind):
        return _found(column, array.cast(pa.float64(), safe=False))  # a large integer is rounded, as numpy rounds it
    if pa.types.is_decimal(kind):
        return _in_array(_decimals(array), array, reason)
    return _in_array(_refused(array), None, not_a_number_fault(column.name))


def _in_array(values: npt.NDArray[Any], nulls: Any, reason: str) -> _Found:
    values = np.ascontiguousarray(values)
    return _Found(values, values.ctypes.data, values.dtype == np.float64, nulls, reason)


def _refused(array: Any) -> Matrix:
    """NULL as NaN, anything else as infinity."""
    return np.where(array.is_valid().to_numpy(zero_copy_only=False), np.float32(np.inf), np.float32(np.nan))


def _codes(column: Column, array: Any) -> tuple[Matrix, Any]:
    """Codes, and the array that says which are NULL. A text that is no category is NaN or infinite, by the column's rule."""
    if not pa.types.is_dictionary(array.type):
        return (_codes_of_texts(column, array), array) if _is_text(array.type) else (_refused(array), None)
    known = array.dictionary
    if not _is_text(known.type) or len(known) == 0:
        return _refused(array), None
    codes = _codes_of_texts(column, known)
    codes[known.is_null().to_numpy(zero_copy_only=False)] = np.nan
    indices = array.indices
    found = np.empty(len(array), np.float32)
    look_up(codes, _values(indices), found)
    return found, indices


def _codes_of_texts(column: Column, array: Any) -> Matrix:
    if pa.types.is_string_view(array.type):  # which Arrow cannot look up
        array = array.cast(pa.large_string())
    positions = pc.index_in(array, value_set=pa.array(column.categories, array.type))
    unknown = len(column.categories)
    other = np.float32(np.nan if column.unknown == "null" else np.inf)
    codes = np.append(np.arange(unknown, dtype=np.float32), other)
    return codes.take(_values(pc.fill_null(positions, unknown)))


def _is_text(kind: Any) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _values(array: Any) -> npt.NDArray[Any]:
    """The values of an array of integers; any number for NULL."""
    found = np.frombuffer(array.buffers()[1], array.type.to_pandas_dtype())
    return found[array.offset : array.offset + len(array)]


def _decimals(array: Any) -> npt.NDArray[np.float64]:
    """Each the float64 that is nearest, any number for NULL: by one division if both numbers are exact, else by Python."""
    kind = array.type
    scale, words = kind.scale, kind.bit_width // 32
    if len(array) == 0:
        return np.empty(0)
    parts = np.frombuffer(array.buffers()[1], np.int32).reshape(-1, words)[array.offset : array.offset + len(array)]
    low = (
        np.ascontiguousarray(parts[:, : min(2, words)]).view(np.int64 if words > 1 else np.int32)[:, 0].astype(np.int64)
    )
    exact = (np.abs(low) <= _EXACT) & (low != np.iinfo(np.int64).min)
    if words > 2:
        exact &= (parts[:, 2:] == (low >> 63).astype(np.int32)[:, None]).all(axis=1)
    if not -_EXACT_POWER <= scale <= _EXACT_POWER:
        exact[:] = False
    power = np.float64(10.0 ** abs(scale)) if abs(scale) <= _EXACT_POWER else np.float64(1)
    numbers = low / power if scale >= 0 else low * power
    rest = np.flatnonzero(~exact & array.is_valid().to_numpy(zero_copy_only=False))
    if len(rest):
        to_float: Callable[[Decimal], float] = float
        numbers[rest] = [to_float(value) for value in array.take(pa.array(rest)).to_pylist()]
    return numbers
