"""A slow reference decoder of the service's formats: bytes -> the matrix, or ``Refusal``.

It shares no code with the service: it uses Python's ``json`` and decodes value by value.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import prod
from typing import Any, NoReturn

import numpy as np

from app.deploy.live import LiveVersion
from app.serve.codecs.jit.json_limits import MAX_DEPTH
from app.serve.codecs.signature import Signature
from sagemaker_entry.contract import Column

Matrix = list[list[float]]


class Refusal(Exception):
    """The reference decoder rejects the body."""


def _refuse(*_: object) -> NoReturn:
    raise Refusal


def _document(body: bytes, deepest: int | None) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
        found = json.loads(text, parse_constant=_refuse, parse_float=_double, parse_int=_integer)
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a surrogate is no character
    except (ValueError, RecursionError):
        _refuse()
    if not isinstance(found, dict) or (deepest is not None and _depth(found) > deepest):
        _refuse()
    return found


def _double(text: str) -> float:
    """A number beyond a double is rejected anywhere, even if a later key of the same name overrides it."""
    return _refuse() if np.isinf(found := float(text)) else found


def _integer(text: str) -> int:
    _double(text)
    return int(text)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _cell(column: Column, value: Any) -> float:
    if value is None:
        return np.nan
    if column.dtype == "category":
        if column.unknown == "null" and type(value) is str and value not in column.categories:
            return np.nan
        return float(column.categories.index(value)) if type(value) is str and value in column.categories else _refuse()
    if type(value) not in (bool, int, float):
        _refuse()
    with np.errstate(over="ignore"):
        small = np.float32(np.float64(float(value)))
    return _refuse() if np.isinf(small) else float(small)


def _in_order(
    live: LiveVersion, names: Sequence[str], values: Sequence[Any], required: bool, fold: bool
) -> list[float]:
    known = (*live.contract.names, *([live.key] if live.key else []))
    found = dict(zip(_spelled(names, known, fold), values, strict=True))
    needed = known if required else live.contract.names
    if not set(needed) <= set(found) <= set(known) or len(found) != len(names):
        _refuse()
    return [_cell(column, found[column.name]) for column in live.contract.columns]


def _spelled(names: Sequence[str], known: Sequence[str], fold: bool) -> list[str]:
    return [name.upper() if fold and name not in known else name for name in names]


def batch(body: bytes, live: LiveVersion, signature: Signature | None) -> Matrix:
    names = signature.names if signature else ((live.key,) if live.key else ()) + live.contract.names
    as_object = signature is not None and signature.takes_object
    if signature and not as_object:
        _in_order(live, names, [None] * len(names), True, True)
    rows = _document(body, MAX_DEPTH).get("data")
    if not isinstance(rows, list):
        _refuse()
    for number, row in enumerate(rows):
        if type(row) is not list or not row or type(row[0]) is not int or row[0] != number:
            _refuse()
    if signature is None:
        as_object = any(len(row) == 2 and type(row[1]) is dict for row in rows)
    if as_object:
        return _objects(live, [row[1] if len(row) == 2 else None for row in rows], True, False)
    if any(len(row) != 1 + len(names) for row in rows):
        _refuse()
    return [_in_order(live, names, row[1:], True, True) for row in rows]


def _objects(live: LiveVersion, objects: list[Any], required: bool, fold: bool) -> Matrix:
    if any(type(item) is not dict for item in objects):
        _refuse()
    return [_in_order(live, list(item), list(item.values()), required, fold) for item in objects]


def named(body: bytes, live: LiveVersion) -> Matrix:
    rows = _document(body, MAX_DEPTH).get("rows")
    return _objects(live, rows, False, True) if isinstance(rows, list) else _refuse()


def inference(body: bytes, live: LiveVersion) -> Matrix:
    tensors = _document(body, None).get("inputs")
    if not isinstance(tensors, list) or not tensors or any(type(tensor) is not dict for tensor in tensors):
        _refuse()
    read = [_tensor(tensor) for tensor in tensors]
    if len(read) == 1 and read[0][0] == "features":
        _, kind, shape, values = read[0]
        categories = any(column.dtype == "category" for column in live.contract.columns)
        if categories or kind == "BYTES" or len(shape) != 2 or shape[1] != len(live.contract.columns):
            _refuse()
        return [_table_row(live, values[at * shape[1] : (at + 1) * shape[1]]) for at in range(shape[0])]
    names = [name for name, *_ in read]
    lengths = {len(values) for *_, values in read}
    if len(set(names)) != len(names) or len(lengths) > 1 or any(shape[1:] not in ([], [1]) for _, _, shape, _ in read):
        _refuse()
    _in_order(live, names, [None] * len(names), False, False)
    return [_in_order(live, names, row, False, False) for row in zip(*(values for *_, values in read), strict=True)]


def _table_row(live: LiveVersion, values: list[Any]) -> list[float]:
    return [_cell(column, value) for column, value in zip(live.contract.columns, values, strict=True)]


def _tensor(tensor: dict[str, Any]) -> tuple[str, str, list[int], list[Any]]:
    name, kind, shape, data = (tensor.get(field) for field in ("name", "datatype", "shape", "data"))
    if type(name) is not str or not name or kind not in ("FP32", "FP64", "INT8", "INT64", "BOOL", "BYTES"):
        _refuse()
    if type(shape) is not list or len(shape) not in (1, 2) or any(type(at) is not int or at < 0 for at in shape):
        _refuse()
    if type(data) is not list:
        _refuse()
    if data and all(type(row) is list for row in data):
        data = [value for row in data for value in row]
    if len(data) != prod(shape) or not all(_fits(kind, value) for value in data):
        _refuse()
    if kind.startswith("FP"):
        data = [np.nan if value is None else value for value in data]  # a tensor of numbers has no NULL of a text
    return name, kind, shape, data


def _fits(kind: str, value: Any) -> bool:
    if kind == "BYTES":
        return value is None or type(value) is str
    if kind == "BOOL":
        return type(value) is bool
    if kind.startswith("INT"):
        return type(value) is int and -(2 ** (int(kind[3:]) - 1)) <= value < 2 ** (int(kind[3:]) - 1)
    return value is None or type(value) in (int, float)
