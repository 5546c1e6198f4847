"""Snowflake's external-function format: a batch's JSON -> rows; scores -> the answer's JSON.

A row is ``[number, argument, ...]`` with one argument a feature, or ``[number, {name: value, ...}]``. Plain numbers, which is
nearly every batch, are read by ``numbers``; whatever else stands in a body, and every fault in it, is the general path's, which
is also the one place that words what is wrong.

The one surprise: a row may hold its arguments or one object of them, and which it is shows only in the rows themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.forms import numbers
from app.serve.forms.body import TooLarge, parse_array
from app.serve.forms.columns import decode_objects, encode, no_rows, picker, positions, shown
from app.serve.forms.signature import Signature, from_headers
from app.serve.rows import KeysInBody, Reply, Rows, Scored

#: Snowflake's limit on the answer to one batch.
MAX_REPLY_BYTES = 10_000_000


def decode(body: bytes, live: LiveVersion, headers: Mapping[str, str]) -> Rows:
    """``{"data": [[0, ...], [1, ...]]}`` -> rows in order.

    A row holds one argument a feature, before them the entity's key where ``live.key`` is set; with the signature header the
    arguments are matched by its names, otherwise by position. Or a row holds one object of all these names, spelt as in
    the contract. Raises CallerError that names the row, the column or the count that is wrong, never a value.
    """
    return decode_batch(body, live, from_headers(headers))


def decode_batch(body: bytes, live: LiveVersion, signature: Signature | None) -> Rows:
    """As ``decode``, with the signature already read."""
    if signature is not None and signature.takes_object:
        return _decode_rows(body, live, signature)
    given = signature.names if signature is not None else _arguments(live)
    columns = _columns(given, live.key, live.contract.names)
    found = None if live.contract.has_categories else numbers.parse(body, columns, len(live.contract.names))
    if found is None:
        return _decode_rows(body, live, signature)
    matrix, spans = found
    return Rows(matrix, KeysInBody(body, spans) if live.key else None, compiled=True)


def encode_reply(scored: Scored, _: Rows, __: LiveVersion) -> Reply:
    """``{"data": [[0, score], ...]}``, each score the float32 widened to a double, as batch jobs write it.

    Raises TooLarge for an answer that Snowflake would refuse for its size: a 4xx, since a repetition would be as large.
    """
    body = orjson.dumps({"data": list(enumerate(scored.scores.astype(np.float64).tolist()))})
    if len(body) > MAX_REPLY_BYTES:
        raise TooLarge(
            f"the answer for {len(scored.scores)} rows is larger than {MAX_REPLY_BYTES} bytes, which Snowflake refuses; "
            "set MAX_BATCH_ROWS on the external function"
        )
    return Reply(body)


@lru_cache(maxsize=256)
def _columns(given: tuple[str, ...], key: str | None, names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """For each argument its column in the matrix, -1 for the key. CallerError where they do not fit the contract."""
    wanted = (key, *names) if key else names
    at = positions(given, wanted, (), fold_case=True, where="the function's signature")
    columns = np.empty(len(given), dtype=np.int64)
    columns[at] = np.arange(len(wanted)) - bool(key)
    return columns


def _arguments(live: LiveVersion) -> tuple[str, ...]:
    return (live.key, *live.contract.names) if live.key else live.contract.names


def _decode_rows(body: bytes, live: LiveVersion, signature: Signature | None) -> Rows:
    rows = parse_array(body, "data")
    if not rows:
        return no_rows(live)
    _check_row_numbers(rows)
    if _holds_objects(rows, signature):
        objects = [_object_of(row, number) for number, row in enumerate(rows)]
        return decode_objects(live, objects, key_required=True, fold_case=False)
    return _decode_arguments(live, rows, signature)


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


def _decode_arguments(live: LiveVersion, rows: list[Any], signature: Signature | None) -> Rows:
    given = signature.names if signature is not None else _arguments(live)
    at = positions(given, _arguments(live), (), fold_case=True, where="the function's signature")
    if set(map(len, rows)) != {1 + len(given)}:
        number, came = next((number, len(row) - 1) for number, row in enumerate(rows) if len(row) != 1 + len(given))
        raise CallerError(f"row {number} has {came} argument(s), {len(given)} are needed: {shown(given)}")
    pick = picker([1 + position for position in at[-len(live.contract.names) :]])
    keys = [row[1 + at[0]] for row in rows] if live.key else None
    return Rows(encode(live.contract, list(map(pick, rows))), keys)
