"""From Arrow's buffers to float32 columns, by numba: NULL becomes NaN, and rows with an infinite value are marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from sagemaker_entry.compilation import Compiler

compiled = Compiler(Path(__file__).parent)

#: A column in memory. ``values``: the address of its first value, a float64 with ``doubles``, else a float32. ``validity``: the
#: address of the bitmap in which bit ``bit`` belongs to the first value and 0 means NULL; 0 for a column without NULL.
SOURCE = np.dtype([("values", "<u8"), ("validity", "<u8"), ("bit", "<i8"), ("doubles", "<u8")])

_NAN, _INFINITY = np.float32(np.nan), np.float32(np.inf)
_WORD = 64


def _loaded(kind: Any, llvm: Any) -> Callable[..., Any]:
    """``load(address, index)``: the value at an address, which needs no alignment."""

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def load(_: Any, __: Any, ___: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001  # numba's signature
            pointer = builder.inttoptr(args[0], llvm.as_pointer())
            return builder.load(builder.gep(pointer, [args[1]]), align=1)

        return kind(types.uint64, types.int64), generate

    found: Callable[..., Any] = load
    return found


_double, _float = _loaded(types.float64, ir.DoubleType()), _loaded(types.float32, ir.FloatType())
_byte, _word = _loaded(types.uint8, ir.IntType(8)), _loaded(types.uint64, ir.IntType(64))


@intrinsic  # type: ignore[untyped-decorator]
def _lowest_bit(_: Any, __: Any) -> Any:
    """The number of the lowest bit of a uint64 that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001  # numba's signature
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@compiled
def fill(sources: Any, first: Any, faults: Any, table: Any) -> None:
    """Into ``table`` [blocks, features, rows of a block], the rows from ``first`` on, as many as ``faults`` has.

    ``faults``: where it is 0, it becomes 1 + the number of the row's first column with a value that is infinite as float32.
    """
    rows, size = len(faults), table.shape[2]
    for feature in range(len(sources)):
        source = sources[feature]
        for block in range((rows + size - 1) // size):
            start = block * size
            count = min(size, rows - start)
            infinite = _copy(source, first + start, count, table, block, feature)
            if source.validity != 0:
                _set_missing(source.validity, source.bit + first + start, count, table, block, feature)
            if infinite:  # perhaps only in memory that belongs to a NULL
                for row in range(count):
                    if abs(table[block, feature, row]) == _INFINITY and faults[start + row] == 0:
                        faults[start + row] = feature + 1


@compiled
def _copy(source: Any, first: Any, rows: Any, table: Any, block: Any, feature: Any) -> Any:
    """Whether any value is infinite as float32."""
    infinite = np.uint32(0)
    if source.doubles != 0:
        for row in range(rows):
            small = np.float32(_double(source.values, first + row))
            table[block, feature, row] = small
            infinite |= np.uint32(abs(small) == _INFINITY)
    else:
        for row in range(rows):
            small = _float(source.values, first + row)
            table[block, feature, row] = small
            infinite |= np.uint32(abs(small) == _INFINITY)
    return infinite != 0


@compiled
def _set_missing(validity: Any, bit: Any, rows: Any, table: Any, block: Any, feature: Any) -> None:
    row = 0
    while row < rows:
        at = bit + row
        if at % 8 == 0 and row + _WORD <= rows:
            missing = ~_word(np.uint64(validity + np.uint64(at // 8)), 0)
            while missing != 0:
                table[block, feature, row + _lowest_bit(missing)] = _NAN
                missing &= missing - np.uint64(1)
            row += _WORD
        else:
            if (_byte(validity, at // 8) >> np.uint8(at % 8)) & np.uint8(1) == 0:
                table[block, feature, row] = _NAN
            row += 1


@compiled
def look_up(codes: Any, indices: Any, found: Any) -> None:
    """Into ``found``, the codes at ``indices``; NaN for what is no index, which may stand for a NULL."""
    known = len(codes)
    for row in range(len(indices)):
        index = np.int64(indices[row])
        found[row] = codes[index] if index >= 0 and index < known else _NAN
