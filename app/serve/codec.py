"""The two wire formats: a JSON body -> float32 matrix [rows, features] in the contract's order; scores -> a JSON body.

``decode_batch`` and ``encode_batch`` speak Snowflake's external-function protocol, ``decode_named`` and
``encode_predictions`` the direct API. Pure: bytes in, values out. Numbers pass through whole-array operations only.

The one surprise: a row may hold its arguments or one object of them, and which it is shows only in the rows themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.body import TooLarge, parse_array
from app.serve.signature import Signature
from sagemaker_entry.contract import Contract, ContractViolation
from sagemaker_entry.model import Matrix, encode_rows

Scores = npt.NDArray[np.float32]

#: Snowflake's limit on the answer to one batch.
MAX_REPLY_BYTES = 10_000_000

_NAMES_SHOWN, _NAME_CHARS_SHOWN = 8, 64

_Pick = Callable[[Any], Sequence[Any]]


def decode_batch(body: bytes, live: LiveVersion, signature: Signature | None) -> Matrix:
    """``{"data": [[0, ...], [1, ...]]}`` -> matrix, rows in order.

    A row holds one argument a feature, before them the entity's key where ``live.key`` is set; with a ``signature`` the
    arguments are matched by its names, otherwise by position. Or a row holds one object of all these names, spelt as in
    the contract. Raises CallerError that names the row, the column or the count that is wrong, never a value.
    """
    rows = parse_array(body, "data")
    if not rows:
        return _no_rows(live)
    _check_row_numbers(rows)
    if _holds_objects(rows, signature):
        objects = [_object_of(row, number) for number, row in enumerate(rows)]
        return _decode_objects(live, objects, required=_arguments(live), optional=(), fold_case=False)
    return _decode_arguments(live, rows, signature)


def decode_named(body: bytes, live: LiveVersion) -> Matrix:
    """``{"rows": [{"COLUMN": value, ...}, ...]}`` -> matrix, rows in order.

    Every feature must be there in every row; the entity's key may be. A name that the contract does not have as it is
    written is tried in upper case. Raises CallerError as ``decode_batch`` does.
    """
    rows = parse_array(body, "rows")
    if not rows:
        return _no_rows(live)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise CallerError(f"row {number} must be an object of column names and values")
    optional = (live.key,) if live.key else ()
    return _decode_objects(live, rows, required=live.contract.names, optional=optional, fold_case=True)


def encode_batch(scores: Scores) -> bytes:
    """``{"data": [[0, score], ...]}``, each score the float32 widened to a double, as batch jobs write it.

    Raises TooLarge for an answer that Snowflake would refuse for its size: a 4xx, since a repetition would be as large.
    """
    body = orjson.dumps({"data": list(enumerate(_widened(scores)))})
    if len(body) > MAX_REPLY_BYTES:
        raise TooLarge(
            f"the answer for {len(scores)} rows is larger than {MAX_REPLY_BYTES} bytes, which Snowflake refuses; "
            "set MAX_BATCH_ROWS on the external function"
        )
    return body


def encode_predictions(scores: Scores, live: LiveVersion) -> bytes:
    """``{"model": ..., "version": ..., "predictions": [...]}`` in the order of the rows."""
    return orjson.dumps({"model": live.model, "version": live.version, "predictions": _widened(scores)})


def _widened(scores: Scores) -> list[float]:
    widened: list[float] = scores.astype(np.float64).tolist()
    return widened


def _no_rows(live: LiveVersion) -> Matrix:
    return np.empty((0, len(live.contract.names)), dtype=np.float32)


def _arguments(live: LiveVersion) -> tuple[str, ...]:
    return ((live.key,) if live.key else ()) + live.contract.names


def _check_row_numbers(rows: list[Any]) -> None:
    for number, row in enumerate(rows):
        # By `type`, for True is an int too, and equals 1.
        if type(row) is not list or not row or type(row[0]) is not int or row[0] != number:
            raise CallerError(
                f"row {number} must be an array that begins with the row number {number}; "
                "row numbers ascend from 0 by 1"
            )


def _holds_objects(rows: list[Any], signature: Signature | None) -> bool:
    if signature is not None:
        return signature.takes_object
    return any(len(row) == 2 and isinstance(row[1], dict) for row in rows)


def _object_of(row: list[Any], number: int) -> dict[str, Any]:
    if len(row) != 2 or not isinstance(row[1], dict):
        raise CallerError(
            f"row {number} must hold one object of named features, as OBJECT_CONSTRUCT_KEEP_NULL makes it"
        )
    features: dict[str, Any] = row[1]
    return features


def _decode_arguments(live: LiveVersion, rows: list[Any], signature: Signature | None) -> Matrix:
    wanted = _arguments(live)
    given = signature.names if signature is not None else wanted
    positions = _positions(given, wanted, (), fold_case=True, where="the function's signature")
    if set(map(len, rows)) != {1 + len(given)}:
        number, came = next((number, len(row) - 1) for number, row in enumerate(rows) if len(row) != 1 + len(given))
        raise CallerError(f"row {number} has {came} argument(s), {len(given)} are needed: {_shown(given)}")
    pick = _picker([1 + position for position in positions[-len(live.contract.names) :]])
    return _encode(live.contract, list(map(pick, rows)))


def _decode_objects(
    live: LiveVersion,
    objects: Sequence[dict[str, Any]],
    *,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    fold_case: bool,
) -> Matrix:
    def picker_for(number: int) -> _Pick:
        keys = list(objects[number])
        positions = _positions(keys, required, optional, fold_case=fold_case, where=f"row {number}")
        return _picker([keys[position] for position in positions[-len(live.contract.names) :]])

    first = objects[0].keys()
    if all(item.keys() == first for item in objects):
        rows = list(map(picker_for(0), objects))
    else:
        rows = [picker_for(number)(item) for number, item in enumerate(objects)]
    return _encode(live.contract, rows)


def _positions(
    given: Sequence[str], required: tuple[str, ...], optional: tuple[str, ...], *, fold_case: bool, where: str
) -> list[int]:
    """Where each of ``required`` stands among ``given``. CallerError names what is missing, unknown or there twice."""
    known = {*required, *optional}
    names = [name if name in known or not fold_case else name.upper() for name in given]
    at = {name: position for position, name in enumerate(names)}
    faults = {
        "missing": [name for name in required if name not in at],
        "unknown": [spelt for spelt, name in zip(given, names, strict=True) if name not in known],
        "given twice": [name for position, name in enumerate(names) if at[name] != position],
    }
    if any(faults.values()):
        listed = "; ".join(f"{word}: {_shown(found)}" for word, found in faults.items() if found)
        raise CallerError(f"{where} does not fit the model's features; {listed}")
    return [at[name] for name in required]


def _picker(keys: Sequence[Any]) -> _Pick:
    """A function from a row to its values at ``keys``: names, or positions, for which a slice is the quickest."""
    first = keys[0]
    if isinstance(first, int) and list(keys) == list(range(first, first + len(keys))):
        return itemgetter(slice(first, first + len(keys)))
    if len(keys) == 1:
        return lambda row: (row[first],)  # an itemgetter of one key gives the bare value
    return itemgetter(*keys)


def _encode(contract: Contract, rows: list[Sequence[Any]]) -> Matrix:
    try:
        return encode_rows(contract, rows)
    except ContractViolation as violation:
        raise CallerError(str(violation)) from None


def _shown(names: Sequence[str]) -> str:
    """Names for an error's text: bounded, since an object's keys are the caller's and may be anything."""
    texts = ["".join(filter(str.isprintable, name[:_NAME_CHARS_SHOWN])) for name in names[:_NAMES_SHOWN]]
    more = len(names) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
