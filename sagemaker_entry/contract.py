"""The feature contract: the columns of a model's matrix, their order and their kinds.

Made by the ``features`` stage, stamped on the export's manifest, checked by training, carried in the model artefact, enforced
by the service and the batch stage, binned by monitoring, and turned into the external function's DDL. Its fingerprint
accompanies every matrix, so that a difference between training and serving is an error at the first request.

A category's code is its position in the declared list, so a new order of that list is another contract.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

Dtype = Literal["float", "category"]
#: What a text outside a column's categories is: NULL, or a value that the model does not take.
Unknown = Literal["null", "error"]

#: How a NULL reaches the model. There is one rule so far; it is part of the fingerprint, so that a second one changes it.
NULL_RULE = "missing"


class ContractViolation(ValueError):
    """Data does not fit the contract. The text names columns and counts, never values."""


@dataclass(frozen=True)
class Column:
    """One feature. ``categories``: the known values of a text column, whose position is the code; else empty.

    ``unknown``: what any other text means.
    """

    name: str
    dtype: Dtype = "float"
    categories: tuple[str, ...] = ()
    unknown: Unknown = "error"

    def __post_init__(self) -> None:
        if (self.dtype == "category") != bool(self.categories):
            raise ContractViolation(f"column {self.name}: a category column, and only that, declares its categories")
        if len(set(self.categories)) != len(self.categories):
            raise ContractViolation(f"column {self.name}: a category is declared twice")

    def to_dict(self) -> dict[str, Any]:
        """A value that JSON can hold, without ``unknown: error``: a contract from before that rule keeps its fingerprint."""
        body = asdict(self)
        if self.unknown == "error":
            del body["unknown"]
        return body


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


@dataclass(frozen=True)
class Contract:
    """Ordered feature columns, and what identifies and labels a row.

    ``columns``: the features, in the order of the matrix. ``key``: the columns that identify an entity. ``label``: the
    label's column in training data. ``as_of``: the column with the time at which a row was true.
    """

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    label: str
    as_of: str = "AS_OF"

    def __post_init__(self) -> None:
        if not self.columns:
            raise ContractViolation("a contract needs at least one feature column")
        if twice := _repeated([*self.key, self.label, self.as_of, *self.names]):
            raise ContractViolation(f"column names must differ: {', '.join(twice)}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names, in the order of the matrix."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def has_categories(self) -> bool:
        """Whether any feature is a text."""
        return any(column.dtype == "category" for column in self.columns)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of a digest of all that predictions depend on: columns, kinds, categories, order, the rules for
        unknown categories and NULL.
        """
        body = {"columns": [column.to_dict() for column in self.columns], "nulls": NULL_RULE}
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    def positions(self, given: Sequence[str]) -> list[int]:
        """The position of each feature among the ``given`` names.

        Raises ContractViolation with the names that are missing, unknown or given twice. Names are compared as they are.
        """
        at = {name: position for position, name in enumerate(given)}
        missing = [name for name in self.names if name not in at]
        unknown, twice = sorted(at.keys() - set(self.names)), _repeated(given)
        faults = [
            f"{word}: {', '.join(names)}"
            for word, names in (("missing", missing), ("unknown", unknown), ("given twice", twice))
            if names
        ]
        if faults:
            raise ContractViolation(f"features do not match the contract {self.fingerprint}; {'; '.join(faults)}")
        return [at[name] for name in self.names]

    def to_dict(self) -> dict[str, Any]:
        """A value that JSON can hold; ``from_dict`` reads it."""
        columns = tuple(column.to_dict() for column in self.columns)
        return {**asdict(self), "columns": columns, "nulls": NULL_RULE, "fingerprint": self.fingerprint}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Contract:
        """The contract that ``to_dict`` wrote. Raises ContractViolation for one that was changed or has another format."""
        try:
            contract = cls(
                columns=tuple(
                    Column(item["name"], item["dtype"], tuple(item["categories"]), item.get("unknown", "error"))
                    for item in body["columns"]
                ),
                key=tuple(body["key"]),
                label=body["label"],
                as_of=body["as_of"],
            )
            texts = (*contract.key, contract.label, contract.as_of, *contract.names)
            categories = (category for column in contract.columns for category in column.categories)
            if not all(isinstance(text, str) for text in (*texts, *categories)):
                raise TypeError("a name that is no text")
            if not {column.dtype for column in contract.columns} <= set(get_args(Dtype)):
                raise TypeError("an unknown dtype")
            if not {column.unknown for column in contract.columns} <= set(get_args(Unknown)):
                raise TypeError("an unknown rule for unknown categories")
            stamped, nulls = body["fingerprint"], body["nulls"]
        except (KeyError, TypeError) as error:
            raise ContractViolation(f"this is not a feature contract: {error!r} is wrong in it") from error
        if nulls != NULL_RULE or stamped != contract.fingerprint:
            raise ContractViolation(
                f"the contract is stamped {stamped} but its columns make {contract.fingerprint}: it was changed"
            )
        return contract
