"""Reads tensors of the Open Inference Protocol: JSON lists or raw bytes to arrays.

A tensor's values are in the JSON as ``data``, flat or nested, or follow the JSON as little-endian bytes (the binary extension).

Raw FP32 is used in place, without a copy, if it starts at a word boundary. JSON numbers are checked by type first, because numpy
would read the text "1.5" as a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import CallerError

Array = npt.NDArray[Any]

#: The protocol's datatypes as numpy's; BYTES are texts.
DATATYPES: Mapping[str, str] = {
    "BOOL": "?",
    **{f"{word}{8 * size}": f"<{kind}{size}" for word, kind in (("INT", "i"), ("UINT", "u")) for size in (1, 2, 4, 8)},
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_JSON_TYPES: Mapping[str, set[type]] = {"B": {bool}, "I": {int}, "U": {int}, "F": {int, float, type(None)}}
_MAX_DIMENSIONS = 2
#: Rows or columns of a tensor without values, which no count of values bounds: numpy refuses arrays beyond 64 bits, empty or not.
_MAX_EXTENT = 2**31 - 1


@dataclass(frozen=True)
class Tensor:
    """One input: its values in row-major order, in the declared shape. ``raw``: numbers that were sent as bytes."""

    name: str
    datatype: str
    values: Array
    raw: bool = False


def read(fields: Mapping[str, Any], raw: memoryview, at: int) -> tuple[Tensor, int]:
    """The tensor described by ``fields``, and the end of its raw bytes, which start at ``at``. Raises CallerError."""
    name, datatype = fields.get("name"), fields.get("datatype")
    if not isinstance(name, str) or not name:
        raise CallerError("an input has no name")
    if not isinstance(datatype, str) or (datatype != "BYTES" and datatype not in DATATYPES):
        raise CallerError(f"input {_shown(name)}: the datatype must be one of {', '.join(DATATYPES)} or BYTES")
    shape = _shape(name, fields.get("shape"))
    size = _binary_size(name, fields.get("parameters"))
    if size is None:
        return Tensor(name, datatype, _from_json(name, datatype, shape, fields.get("data"))), at
    if "data" in fields:
        raise CallerError(f"input {_shown(name)} has both data and binary_data_size")
    if at + size > len(raw):
        raise CallerError(f"input {_shown(name)}: the body ends before its {size} bytes do")
    values = _from_bytes(name, datatype, shape, raw[at : at + size])
    return Tensor(name, datatype, values, raw=datatype != "BYTES"), at + size


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    fits = isinstance(shape, list) and 1 <= len(shape) <= _MAX_DIMENSIONS
    fits = fits and all(type(extent) is int and extent >= 0 for extent in shape)
    if not fits or (0 in shape and max(shape) > _MAX_EXTENT):
        raise CallerError(f"input {_shown(name)}: the shape must be [rows] or [rows, columns]")
    return tuple(shape)


def _binary_size(name: str, parameters: Any) -> int | None:
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        raise CallerError(f"input {_shown(name)}: parameters must be an object")
    if any(key.startswith("shared_memory") for key in parameters):
        raise CallerError(f"input {_shown(name)}: shared memory is not supported; send the values")
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise CallerError(f"input {_shown(name)}: binary_data_size must be a number of bytes")
    return size


def _from_bytes(name: str, datatype: str, shape: tuple[int, ...], raw: memoryview) -> Array:
    count = math.prod(shape)
    if datatype == "BYTES":
        return _texts(name, count, raw).reshape(shape)
    kind = np.dtype(DATATYPES[datatype])
    if len(raw) != count * kind.itemsize:
        raise CallerError(
            f"input {_shown(name)}: {len(raw)} bytes were sent, shape {list(shape)} of {datatype} needs {count * kind.itemsize}"
        )
    values = np.frombuffer(raw, dtype=kind).reshape(shape)
    # The JSON before them has any length, and XGBoost needs an array that starts at a word boundary.
    return values if values.flags.aligned else values.copy()


def _texts(name: str, count: int, raw: memoryview) -> Array:
    """Texts, each preceded by its length in four bytes."""
    found: list[str] = []
    at = 0
    while at + 4 <= len(raw) and len(found) < count:
        size = int.from_bytes(raw[at : at + 4], "little")
        text = raw[at + 4 : at + 4 + size]
        if len(text) != size:
            break
        try:
            found.append(bytes(text).decode())
        except UnicodeDecodeError:
            raise CallerError(f"input {_shown(name)} has bytes that are not UTF-8") from None
        at += 4 + size
    if len(found) != count or at != len(raw):
        raise CallerError(f"input {_shown(name)}: its bytes do not hold {count} texts")
    return np.array(found, dtype=object)


def _from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> Array:
    if not isinstance(data, list):
        raise CallerError(f'input {_shown(name)} has neither an array "data" nor binary_data_size')
    flat: list[Any] = list(chain.from_iterable(data)) if data and all(isinstance(row, list) for row in data) else data
    count = math.prod(shape)
    if len(flat) != count:
        raise CallerError(f"input {_shown(name)}: {len(flat)} values were sent, shape {list(shape)} needs {count}")
    types = {str, type(None)} if datatype == "BYTES" else _JSON_TYPES[datatype[0]]
    if not set(map(type, flat)) <= types:
        at = next(at for at, value in enumerate(flat) if type(value) not in types)
        raise CallerError(f"row {_row(at, shape)}: input {_shown(name)} has a value that is not {datatype}")
    if datatype == "BYTES":
        return np.array(flat, dtype=object).reshape(shape)
    try:
        # Through doubles, as in all formats: the nearest double, then the nearest value of the datatype.
        wide = np.array(flat, dtype=np.float64 if datatype[0] == "F" else DATATYPES[datatype])
    except OverflowError:
        raise CallerError(f"input {_shown(name)} has a value beyond {datatype}") from None
    return wide.reshape(shape)


def _row(at: int, shape: tuple[int, ...]) -> int:
    return at // shape[1] if len(shape) == _MAX_DIMENSIONS else at


def _shown(name: str) -> str:
    return "".join(filter(str.isprintable, name[:64]))


def columns(tensors: Sequence[Tensor]) -> tuple[dict[str, Array], int]:
    """Tensors of one column each, [rows] or [rows, 1], as arrays by name, and their number of rows."""
    found: dict[str, Array] = {}
    for tensor in tensors:
        values = tensor.values
        if values.ndim == _MAX_DIMENSIONS and values.shape[1] != 1:
            raise CallerError(f"input {_shown(tensor.name)} must have the shape [rows] or [rows, 1]")
        if tensor.name in found:
            raise CallerError(f"input {_shown(tensor.name)} is given twice")
        found[tensor.name] = values.reshape(-1)
    if len({len(values) for values in found.values()}) > 1:
        raise CallerError("the inputs have different numbers of rows")
    return found, len(next(iter(found.values())))
