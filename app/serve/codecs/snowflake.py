"""Snowflake's external-function format: decodes batches, encodes replies.

A row is ``[number, argument, ...]`` with one argument a feature, or ``[number, {name: value, ...}]``. Without a signature only
the rows show which form it is. Plain bodies, which nearly all are, are read by the compiled readers in ``jit``; all other bodies
take the general path.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.codecs.body import MOST_ROWS, TooLarge, parse_array
from app.serve.codecs.columns import decode_objects, no_rows, picker, positions, read_plain, settled, shown
from app.serve.codecs.jit import categories, positional_reader, reply_writer
from app.serve.codecs.outputs import answers
from app.serve.codecs.signature import Signature, from_headers
from app.serve.rows import KeysInBody, Reply, Rows, Scored

#: Snowflake's limit on the reply to one batch.
MAX_REPLY_BYTES = 10_000_000


def decode(body: bytes, live: LiveVersion, headers: Mapping[str, str], most: int = MOST_ROWS) -> Rows:
    """``{"data": [[0, ...], [1, ...]]}`` as rows in order.

    A row holds one argument a feature, preceded by the entity key if ``live.key`` is set; with the signature header the
    arguments are matched by its names, otherwise by position. Or a row holds one object of all these names, written as in the
    contract. Raises CallerError, which names the first faulty row and the fault, never a value, unless the rules set such rows
    aside; a body with wrong row numbers always fails.
    """
    return decode_batch(body, live, from_headers(headers), most)


def decode_batch(body: bytes, live: LiveVersion, signature: Signature | None, most: int = MOST_ROWS) -> Rows:
    """As ``decode``, with the signature already parsed."""
    if signature is None or not signature.takes_object:
        given = signature.names if signature is not None else _arguments(live)
        columns = _columns(given, live.key, live.contract.names)
        if found := positional_reader.parse(body, columns, categories.table_of(live.contract)):
            matrix, spans = found
            return Rows(matrix, KeysInBody(body, spans) if live.key else None, compiled=True)
    if signature is None or signature.takes_object:
        plain = read_plain(body, live, numbered=True, key_required=True, fold_case=False, most=most)
        if plain is not None:
            return plain
    return _decode_rows(body, live, signature, most)


def encode_reply(scored: Scored, rows: Rows, live: LiveVersion) -> Reply:
    """``{"data": [[0, answer], ...]}``, each answer by the version's rules.

    Raises TooLarge for a reply beyond Snowflake's limit: a 4xx, because a repeat would be as large.
    """
    found = answers(scored, rows, live)
    body = (
        reply_writer.write(found) if isinstance(found, np.ndarray) else orjson.dumps({"data": list(enumerate(found))})
    )
    if len(body) > MAX_REPLY_BYTES:
        raise TooLarge(
            f"the reply for {len(scored.scores)} rows is larger than Snowflake's limit of {MAX_REPLY_BYTES} bytes; "
            "set MAX_BATCH_ROWS on the external function"
        )
    return Reply(body)


@lru_cache(maxsize=256)
def _columns(given: tuple[str, ...], key: str | None, names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """For each argument its column in the matrix, -1 for the key. Raises ContractMismatch if they do not fit the contract."""
    wanted = (key, *names) if key else names
    at = positions(given, wanted, wanted, fold_case=True, where="the function's signature")
    columns = np.empty(len(given), dtype=np.int64)
    columns[[at[name] for name in wanted]] = np.arange(len(wanted)) - bool(key)
    return columns


def _arguments(live: LiveVersion) -> tuple[str, ...]:
    return (live.key, *live.contract.names) if live.key else live.contract.names


def _decode_rows(body: bytes, live: LiveVersion, signature: Signature | None, most: int) -> Rows:
    rows = parse_array(body, "data", most)
    if not rows:
        return no_rows(live)
    _check_row_numbers(rows)
    if _holds_objects(rows, signature):
        objects = [row[1] if len(row) == 2 else None for row in rows]
        return decode_objects(live, objects, key_required=True, fold_case=False)
    return _decode_arguments(live, rows, signature)


def _check_row_numbers(rows: list[Any]) -> None:
    # By `type`, because True is an int too, and equals 1.
    if set(map(type, rows)) == {list} and all(rows):
        numbers = list(map(itemgetter(0), rows))
        if set(map(type, numbers)) == {int} and numbers == list(range(len(rows))):
            return
    for number, row in enumerate(rows):
        if type(row) is not list or not row or type(row[0]) is not int or row[0] != number:
            raise CallerError(
                f"row {number} must be an array that starts with the row number {number}; "
                "row numbers ascend from 0 by 1"
            )


def _holds_objects(rows: list[Any], signature: Signature | None) -> bool:
    if signature is not None:
        return signature.takes_object
    return any(len(row) == 2 and isinstance(row[1], dict) for row in rows)


def _decode_arguments(live: LiveVersion, rows: list[Any], signature: Signature | None) -> Rows:
    given, wanted = signature.names if signature is not None else _arguments(live), _arguments(live)
    at = positions(given, wanted, wanted, fold_case=True, where="the function's signature")
    faults: dict[int, str] = {}
    if set(map(len, rows)) != {1 + len(given)}:
        needed = f"{len(given)} are needed: {shown(given)}"
        faults = {
            row: f"it has {len(values) - 1} argument(s), {needed}"
            for row, values in enumerate(rows)
            if len(values) != 1 + len(given)
        }
        nothing = [None] * (1 + len(given))
        rows = [nothing if row in faults else values for row, values in enumerate(rows)]
    pick = picker([1 + at[name] for name in live.contract.names])
    keys = [row[1 + at[live.key]] for row in rows] if live.key else None
    return settled(live, list(map(pick, rows)), keys, faults)
