"""Named values -> a float32 matrix in the contract's order: what all wire formats share.

The one surprise: where every row has the same keys, which is the rule, their order is found once, for the first row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.rows import Rows
from sagemaker_entry.contract import Contract, ContractViolation
from sagemaker_entry.model import Matrix, encode_rows

Pick = Callable[[Any], Sequence[Any]]

_NAMES_SHOWN, _NAME_CHARS_SHOWN = 8, 64


def no_rows(live: LiveVersion) -> Rows:
    """No rows at all, of the right width."""
    return Rows(np.empty((0, len(live.contract.names)), dtype=np.float32), keys=[] if live.key else None)


def decode_objects(
    live: LiveVersion,
    objects: Sequence[dict[str, Any]],
    *,
    key_required: bool,
    fold_case: bool,
) -> Rows:
    """Objects of named values -> rows. Every feature must be there in each, and the entity's key where it is required.

    ``fold_case``: a name that the contract does not have as it is written is tried in upper case.
    """
    key, names = live.key, live.contract.names
    required = (key, *names) if key and key_required else names
    optional = (key,) if key and not key_required else ()

    def keys_of(number: int) -> tuple[Pick, str | None]:
        given = list(objects[number])
        at = positions(given, required, optional, fold_case=fold_case, where=f"row {number}")
        pick = picker([given[position] for position in at[-len(names) :]])
        return pick, next((name for name in given if name == key or (fold_case and name.upper() == key)), None)

    first = objects[0].keys()
    if all(item.keys() == first for item in objects):
        pick, key_as_given = keys_of(0)
        rows = list(map(pick, objects))
        keys = [item[key_as_given] for item in objects] if key_as_given else None
    else:
        picks = [keys_of(number) for number in range(len(objects))]
        rows = [pick(item) for (pick, _), item in zip(picks, objects, strict=True)]
        keys = [item[name] if name else None for (_, name), item in zip(picks, objects, strict=True)] if key else None
    return Rows(encode(live.contract, rows), keys)


def positions(
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
        listed = "; ".join(f"{word}: {shown(found)}" for word, found in faults.items() if found)
        raise CallerError(f"{where} does not fit the model's features; {listed}")
    return [at[name] for name in required]


def picker(keys: Sequence[Any]) -> Pick:
    """A function from a row to its values at ``keys``: names, or positions, for which a slice is the quickest."""
    first = keys[0]
    if isinstance(first, int) and list(keys) == list(range(first, first + len(keys))):
        return itemgetter(slice(first, first + len(keys)))
    if len(keys) == 1:
        return lambda row: (row[first],)  # an itemgetter of one key gives the bare value
    return itemgetter(*keys)


def encode(contract: Contract, rows: list[Sequence[Any]]) -> Matrix:
    """Values in the contract's order -> matrix. Raises CallerError that names the column at fault."""
    try:
        return encode_rows(contract, rows)
    except ContractViolation as violation:
        raise CallerError(str(violation)) from None


def shown(names: Sequence[str]) -> str:
    """Names for an error's text: bounded, since an object's keys are the caller's and may be anything."""
    texts = ["".join(filter(str.isprintable, name[:_NAME_CHARS_SHOWN])) for name in names[:_NAMES_SHOWN]]
    more = len(names) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
