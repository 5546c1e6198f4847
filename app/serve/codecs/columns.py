"""Converts named values to a float32 matrix in the contract's order: the general path, shared by all formats.

A row that does not fit is set aside with the reason; ``settled`` then fails the batch or keeps the other rows, by the version's
rules.

Rows nearly always have the same keys. That is checked without comparing each row's keys: a row has as many keys as the first
row, and all of the first row's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.codecs.body import MOST_ROWS
from app.serve.codecs.jit import categories, object_reader
from app.serve.rows import KeysInBody, Rows
from sagemaker_entry.model import encode_rows

Pick = Callable[[Any], Sequence[Any]]
Faults = dict[int, str]

_NAMES_SHOWN, _NAME_CHARS_SHOWN = 8, 64
#: Characters of an object's keys for which the columns are remembered.
_MAX_KEPT_CHARS = 64 * 1024


class ContractMismatch(CallerError):
    """The request is well formed but does not fit the model's contract."""


def no_rows(live: LiveVersion) -> Rows:
    """No rows, with the right width."""
    return Rows(np.empty((0, len(live.contract.names)), dtype=np.float32), keys=[] if live.key else None)


def settled(live: LiveVersion, values: list[Sequence[Any]], keys: Sequence[Any] | None, faults: Faults) -> Rows:
    """Values in the contract's order as rows. ``faults``: rows that are known not to fit, whose values are meaningless.

    Raises ContractMismatch, which names the first faulty row and why, if the version's rules let one row fail the batch.
    """
    matrix, unfit = encode_rows(live.contract, values)
    faults = {**unfit, **faults}
    if faults and live.rules.on_bad_row == "fail":
        row = min(faults)
        raise ContractMismatch(f"row {row}: {faults[row]}")
    return Rows(matrix, keys, faults)


def read_plain(
    body: bytes, live: LiveVersion, *, numbered: bool, key_required: bool, fold_case: bool, most: int = MOST_ROWS
) -> Rows | None:
    """Objects that all have the first one's keys in its order, read by the compiled reader; None for any other body, and for one
    of more rows than ``most``.
    """

    def match(given: tuple[str, ...]) -> npt.NDArray[np.int64] | None:
        # Longer keys come from outside and would stay in the cache.
        decide = columns_of if sum(map(len, given)) <= _MAX_KEPT_CHARS else columns_of.__wrapped__
        return decide(given, live.key, live.contract.names, live.rules.absent_is_null, key_required, fold_case)

    found = object_reader.parse(body, numbered, match, categories.table_of(live.contract), most)
    if found is None:
        return None
    matrix, spans = found
    if live.key is None:
        return Rows(matrix, compiled=True)
    # The named format may leave out the key; no span was written then.
    return Rows(matrix, KeysInBody(body, spans) if spans[0, 1] else None, compiled=True)


def decode_objects(live: LiveVersion, items: Sequence[Any], *, key_required: bool, fold_case: bool) -> Rows:
    """Objects of named values as rows. Every feature must be present in each, unless the version's rules read an absent one as
    NULL, and so must the entity key if it is required.

    ``fold_case``: a name that the contract does not have is tried in upper case. An item that is not an object is a fault of
    its row.
    """
    if (alike := _pick_alike(items, live, key_required, fold_case)) is not None:
        return settled(live, *alike, {})
    nothing: Sequence[Any] = (None,) * len(live.contract.names)
    values, keys, faults = [nothing] * len(items), [None] * len(items), Faults()
    keyed, shapes = False, dict[tuple[str, ...], _Shape | ContractMismatch]()
    for row, item in enumerate(items):
        if not isinstance(item, dict):
            faults[row] = "it must hold one object of named features, as OBJECT_CONSTRUCT_KEEP_NULL makes it"
            continue
        given = tuple(item)
        if (shape := shapes.get(given)) is None:
            shape = shapes[given] = _shape_or_fault(given, live, key_required, fold_case)
        if isinstance(shape, ContractMismatch):
            faults[row] = str(shape)
            if live.rules.on_bad_row == "fail":  # later rows do not matter, and each may have other keys
                return settled(live, values[: row + 1], keys[: row + 1] if keyed else None, faults)
            continue
        pick, key = shape
        values[row], keys[row] = pick(item), item[key] if key else None
        keyed |= key is not None
    return settled(live, values, keys if keyed else None, faults)


_Shape = tuple[Pick, str | None]


def _pick_alike(
    items: Sequence[Any], live: LiveVersion, key_required: bool, fold_case: bool
) -> tuple[list[Sequence[Any]], list[Any] | None] | None:
    """(values, keys) of objects that all have the first one's keys; None if they do not, or the first one does not fit."""
    if set(map(type, items)) != {dict} or len(set(map(len, items))) > 1:
        return None
    shape = _shape_or_fault(tuple(items[0]), live, key_required, fold_case)
    if isinstance(shape, ContractMismatch):
        return None
    pick, key = shape
    try:
        return list(map(pick, items)), list(map(itemgetter(key), items)) if key else None
    except KeyError:
        return None


def _shape_or_fault(
    given: tuple[str, ...], live: LiveVersion, key_required: bool, fold_case: bool
) -> _Shape | ContractMismatch:
    """How to pick values in the contract's order from an object with the keys ``given``, and the name of the entity key; or the
    fault.
    """
    key, names = live.key, live.contract.names
    try:
        at = _matched(given, key, names, live.rules.absent_is_null, key_required, fold_case)
    except ContractMismatch as fault:
        return fault
    written = {name: given[position] for name, position in at.items()}
    if len(written.keys() & set(names)) == len(names):
        pick = picker([written[name] for name in names])
    else:
        wanted = [written.get(name) for name in names]
        pick = lambda item: [None if name is None else item[name] for name in wanted]  # noqa: E731
    return pick, written.get(key) if key else None


@lru_cache(maxsize=256)
def columns_of(
    given: tuple[str, ...],
    live_key: str | None,
    names: tuple[str, ...],
    absent: bool,
    key_required: bool,
    fold_case: bool,
) -> npt.NDArray[np.int64] | None:
    """For each of an object's keys its column in the matrix, -1 for the entity key; None if they do not fit."""
    try:
        at = _matched(given, live_key, names, absent, key_required, fold_case)
    except ContractMismatch:
        return None
    columns = np.full(len(given), -1, dtype=np.int64)
    for column, name in enumerate(names):
        if name in at:
            columns[at[name]] = column
    return columns


def _matched(
    given: tuple[str, ...], key: str | None, names: tuple[str, ...], absent: bool, key_required: bool, fold_case: bool
) -> dict[str, int]:
    features = () if absent else names
    required = (key, *features) if key and key_required else features
    known = (key, *names) if key else names
    return positions(given, required, known, fold_case=fold_case, where="the object")


def positions(
    given: Sequence[str], required: Sequence[str], known: Sequence[str], *, fold_case: bool, where: str
) -> dict[str, int]:
    """The position of each ``known`` name in ``given``. Raises ContractMismatch, which names missing, unknown and repeated
    names.
    """
    found_in = frozenset(known)  # an object may have as many keys as fit the body
    names = [name if name in found_in or not fold_case else name.upper() for name in given]
    at = {name: position for position, name in enumerate(names)}
    faults = {
        "missing": [name for name in required if name not in at],
        "unknown": [written for written, name in zip(given, names, strict=True) if name not in found_in],
        "given twice": [name for position, name in enumerate(names) if at[name] != position],
    }
    if any(faults.values()):
        listed = "; ".join(f"{word}: {shown(found)}" for word, found in faults.items() if found)
        raise ContractMismatch(f"{where} does not fit the model's features; {listed}")
    return at


def picker(keys: Sequence[Any]) -> Pick:
    """A function from a row to its values at ``keys``: names, or positions, for which a slice is fastest."""
    first = keys[0]
    if isinstance(first, int) and list(keys) == list(range(first, first + len(keys))):
        return itemgetter(slice(first, first + len(keys)))
    if len(keys) == 1:
        return lambda row: (row[first],)  # an itemgetter with one key returns the bare value
    return itemgetter(*keys)


def shown(names: Sequence[str]) -> str:
    """Names for an error's text, bounded, because an object's keys come from the caller and may be anything."""
    texts = ["".join(filter(str.isprintable, name[:_NAME_CHARS_SHOWN])) for name in names[:_NAMES_SHOWN]]
    more = len(names) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
