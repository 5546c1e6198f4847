"""Named values -> a float32 matrix in the contract's order: what all wire formats share, where a body is not plain.

A row that does not fit is set apart with the reason; ``settled`` then fails the batch or lets the others pass, as the version's
rules say.

The one surprise: rows have the same keys, nearly always, and that is seen without looking at a row's keys: as many as the first
row has, and each of the first row's among them.
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
from app.serve.codecs.jit import categories, object_reader
from app.serve.rows import KeysInBody, Rows
from sagemaker_entry.model import encode_rows

Pick = Callable[[Any], Sequence[Any]]
Faults = dict[int, str]

_NAMES_SHOWN, _NAME_CHARS_SHOWN = 8, 64


class Unfit(CallerError):
    """What was sent is well formed and does not fit the model's contract."""

    problem = "contract-violation"


def no_rows(live: LiveVersion) -> Rows:
    """No rows at all, of the right width."""
    return Rows(np.empty((0, len(live.contract.names)), dtype=np.float32), keys=[] if live.key else None)


def settled(live: LiveVersion, values: list[Sequence[Any]], keys: Sequence[Any] | None, faults: Faults) -> Rows:
    """Values in the contract's order -> rows. ``faults``: rows that are known not to fit, whose values mean nothing.

    Raises Unfit that names the first row at fault and why, where the version's rules let one fail all.
    """
    matrix, unfit = encode_rows(live.contract, values)
    faults = {**unfit, **faults}
    if faults and live.rules.on_bad_row == "fail":
        row = min(faults)
        raise Unfit(f"row {row}: {faults[row]}")
    return Rows(matrix, keys, faults)


def read_plain(body: bytes, live: LiveVersion, *, numbered: bool, key_required: bool, fold_case: bool) -> Rows | None:
    """Objects that all have the first one's keys in its order, by the compiled reader; None where they are not so plain."""

    def match(given: tuple[str, ...]) -> npt.NDArray[np.int64] | None:
        return places(given, live.key, live.contract.names, live.rules.absent_is_null, key_required, fold_case)

    found = object_reader.parse(body, numbered, match, categories.of(live.contract))
    if found is None:
        return None
    matrix, spans = found
    if live.key is None:
        return Rows(matrix, compiled=True)
    # Without the key, which may be left out of the direct form, no place of one was written.
    return Rows(matrix, KeysInBody(body, spans) if spans[0, 1] else None, compiled=True)


def decode_objects(live: LiveVersion, items: Sequence[Any], *, key_required: bool, fold_case: bool) -> Rows:
    """Objects of named values -> rows. Every feature must be there in each, unless the version's rules take an absent one for
    NULL; and the entity's key where it is required.

    ``fold_case``: a name that the contract does not have as it is written is tried in upper case. What is no object is a
    fault of its row.
    """
    if (alike := _pick_alike(items, live, key_required, fold_case)) is not None:
        return settled(live, *alike, {})
    nothing: Sequence[Any] = (None,) * len(live.contract.names)
    values, keys, faults = [nothing] * len(items), [None] * len(items), Faults()
    keyed, shapes = False, dict[tuple[str, ...], _Shape | Unfit]()
    for row, item in enumerate(items):
        if not isinstance(item, dict):
            faults[row] = "it must hold one object of named features, as OBJECT_CONSTRUCT_KEEP_NULL makes it"
            continue
        given = tuple(item)
        if (shape := shapes.get(given)) is None:
            shape = shapes[given] = _shape_or_fault(given, live, key_required, fold_case)
        if isinstance(shape, Unfit):
            faults[row] = str(shape)
            continue
        pick, key = shape
        values[row], keys[row] = pick(item), item[key] if key else None
        keyed |= key is not None
    return settled(live, values, keys if keyed else None, faults)


_Shape = tuple[Pick, str | None]


def _pick_alike(
    items: Sequence[Any], live: LiveVersion, key_required: bool, fold_case: bool
) -> tuple[list[Sequence[Any]], list[Any] | None] | None:
    """(values, keys) of objects that all have the first one's keys; None where they do not, or the first one does not fit."""
    if set(map(type, items)) != {dict} or len(set(map(len, items))) > 1:
        return None
    shape = _shape_or_fault(tuple(items[0]), live, key_required, fold_case)
    if isinstance(shape, Unfit):
        return None
    pick, key = shape
    try:
        return list(map(pick, items)), list(map(itemgetter(key), items)) if key else None
    except KeyError:
        return None


def _shape_or_fault(given: tuple[str, ...], live: LiveVersion, key_required: bool, fold_case: bool) -> _Shape | Unfit:
    """How to pick from an object with the keys ``given``: its values in the contract's order, by all of those keys but the
    entity's; and that one's name. Or what is wrong with it.
    """
    key, names = live.key, live.contract.names
    try:
        at = _matched(given, key, names, live.rules.absent_is_null, key_required, fold_case)
    except Unfit as fault:
        return fault
    spelt = {name: given[position] for name, position in at.items()}
    if len(spelt.keys() & set(names)) == len(names):
        pick = picker([spelt[name] for name in names])
    else:
        wanted = [spelt.get(name) for name in names]
        pick = lambda item: [None if name is None else item[name] for name in wanted]  # noqa: E731
    return pick, spelt.get(key) if key else None


@lru_cache(maxsize=256)
def places(
    given: tuple[str, ...],
    live_key: str | None,
    names: tuple[str, ...],
    absent: bool,
    key_required: bool,
    fold_case: bool,
) -> npt.NDArray[np.int64] | None:
    """For each of an object's keys its column in the matrix, -1 for the entity's key; None where they do not fit."""
    try:
        at = _matched(given, live_key, names, absent, key_required, fold_case)
    except Unfit:
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
    """Where each of the ``known`` names stands among ``given``. Unfit names what is missing, unknown or there twice."""
    names = [name if name in known or not fold_case else name.upper() for name in given]
    at = {name: position for position, name in enumerate(names)}
    faults = {
        "missing": [name for name in required if name not in at],
        "unknown": [spelt for spelt, name in zip(given, names, strict=True) if name not in known],
        "given twice": [name for position, name in enumerate(names) if at[name] != position],
    }
    if any(faults.values()):
        listed = "; ".join(f"{word}: {shown(found)}" for word, found in faults.items() if found)
        raise Unfit(f"{where} does not fit the model's features; {listed}")
    return at


def picker(keys: Sequence[Any]) -> Pick:
    """A function from a row to its values at ``keys``: names, or positions, for which a slice is the quickest."""
    first = keys[0]
    if isinstance(first, int) and list(keys) == list(range(first, first + len(keys))):
        return itemgetter(slice(first, first + len(keys)))
    if len(keys) == 1:
        return lambda row: (row[first],)  # an itemgetter of one key gives the bare value
    return itemgetter(*keys)


def shown(names: Sequence[str]) -> str:
    """Names for an error's text: bounded, since an object's keys are the caller's and may be anything."""
    texts = ["".join(filter(str.isprintable, name[:_NAME_CHARS_SHOWN])) for name in names[:_NAMES_SHOWN]]
    more = len(names) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
