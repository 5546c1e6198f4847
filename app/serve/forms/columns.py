"""Named values -> a float32 matrix in the contract's order: what all wire formats share, where a body is not plain.

A row that does not fit is set apart with the reason; ``settled`` then fails the batch or lets the others pass, as the version's
rules say.

The one surprise: rows have the same keys, nearly always, and that is seen without looking at a row's keys: as many as the first
row has, and each of the first row's among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.rows import Rows
from sagemaker_entry.model import encode_rows

Pick = Callable[[Any], Sequence[Any]]
Faults = dict[int, str]

_NAMES_SHOWN, _NAME_CHARS_SHOWN = 8, 64


def no_rows(live: LiveVersion) -> Rows:
    """No rows at all, of the right width."""
    return Rows(np.empty((0, len(live.contract.names)), dtype=np.float32), keys=[] if live.key else None)


def settled(live: LiveVersion, values: list[Sequence[Any]], keys: Sequence[Any] | None, faults: Faults) -> Rows:
    """Values in the contract's order -> rows. ``faults``: rows that are known not to fit, whose values mean nothing.

    Raises CallerError that names the first row at fault and why, where the version's rules let one fail all.
    """
    matrix, unfit = encode_rows(live.contract, values)
    faults = {**unfit, **faults}
    if faults and live.rules.on_bad_row == "fail":
        row = min(faults)
        raise CallerError(f"row {row}: {faults[row]}")
    return Rows(matrix, keys, faults)


def decode_objects(live: LiveVersion, objects: Sequence[Any], *, key_required: bool, fold_case: bool) -> Rows:
    """Objects of named values -> rows. Every feature must be there in each, unless the version's rules take an absent one for
    NULL; and the entity's key where it is required.

    ``fold_case``: a name that the contract does not have as it is written is tried in upper case. What is no object is a
    fault of its row.
    """
    if (alike := _pick_alike(objects, live, key_required, fold_case)) is not None:
        return settled(live, *alike, {})
    nothing: Sequence[Any] = (None,) * len(live.contract.names)
    values, keys, faults = [nothing] * len(objects), [None] * len(objects), Faults()
    shapes: dict[tuple[str, ...], _Shape | CallerError] = {}
    for row, item in enumerate(objects):
        if not isinstance(item, dict):
            faults[row] = "it must hold one object of named features, as OBJECT_CONSTRUCT_KEEP_NULL makes it"
            continue
        given = tuple(item)
        if (shape := shapes.get(given)) is None:
            shape = shapes[given] = _shape_or_fault(given, live, key_required, fold_case)
        if isinstance(shape, CallerError):
            faults[row] = str(shape)
            continue
        pick, key = shape
        values[row], keys[row] = pick(item), item[key] if key else None
    return settled(live, values, keys if live.key else None, faults)


_Shape = tuple[Pick, str | None]


def _pick_alike(
    objects: Sequence[Any], live: LiveVersion, key_required: bool, fold_case: bool
) -> tuple[list[Sequence[Any]], list[Any] | None] | None:
    """(values, keys) of objects that all have the first one's keys; None where they do not, or the first one does not fit."""
    if set(map(type, objects)) != {dict} or len(set(map(len, objects))) > 1:
        return None
    shape = _shape_or_fault(tuple(objects[0]), live, key_required, fold_case)
    if isinstance(shape, CallerError):
        return None
    pick, key = shape
    try:
        keys = list(map(itemgetter(key), objects)) if key else [None] * len(objects)
        return list(map(pick, objects)), keys if live.key else None
    except KeyError:
        return None


def _shape_or_fault(
    given: tuple[str, ...], live: LiveVersion, key_required: bool, fold_case: bool
) -> _Shape | CallerError:
    """How to pick from an object with the keys ``given``: its values in the contract's order, by all of those keys but the
    entity's; and that one's name. Or what is wrong with it.
    """
    key, names = live.key, live.contract.names
    features = () if live.rules.absent_is_null else names
    required = (key, *features) if key and key_required else features
    try:
        at = positions(given, required, (*names, *((key,) if key else ())), fold_case=fold_case, where="the object")
    except CallerError as fault:
        return fault
    spelt = {name: given[position] for name, position in at.items()}
    if len(spelt.keys() & set(names)) == len(names):
        pick = picker([spelt[name] for name in names])
    else:
        wanted = [spelt.get(name) for name in names]
        pick = lambda item: [None if name is None else item[name] for name in wanted]  # noqa: E731
    return pick, spelt.get(key) if key else None


def positions(
    given: Sequence[str], required: Sequence[str], known: Sequence[str], *, fold_case: bool, where: str
) -> dict[str, int]:
    """Where each of the ``known`` names stands among ``given``. CallerError names what is missing, unknown or there twice."""
    names = [name if name in known or not fold_case else name.upper() for name in given]
    at = {name: position for position, name in enumerate(names)}
    faults = {
        "missing": [name for name in required if name not in at],
        "unknown": [spelt for spelt, name in zip(given, names, strict=True) if name not in known],
        "given twice": [name for position, name in enumerate(names) if at[name] != position],
    }
    if any(faults.values()):
        listed = "; ".join(f"{word}: {shown(found)}" for word, found in faults.items() if found)
        raise CallerError(f"{where} does not fit the model's features; {listed}")
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
