"""Reads a Parquet channel of the ``export`` stage into checked columns in a fixed order.

The channel holds the Parquet files and ``manifest.json``, which the export writes last. Rows are sorted by the contract's key
and as-of time, because an unload keeps no order and XGBoost's result depends on it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sagemaker_entry.contract import Contract, ContractViolation
from sagemaker_entry.model import Matrix, encode_columns
from sagemaker_entry.split import part_of, random_parts

MANIFEST_FILE = "manifest.json"


class DataProblem(ValueError):
    """The training data cannot make a model. The text says why, and what to do."""


@dataclass(frozen=True)
class Part:
    """Rows of one part. ``matrix`` [rows, features] float32; ``raw``: the same columns by name as read, float64 or text."""

    matrix: Matrix
    label: Matrix
    raw: dict[str, npt.NDArray[Any]]
    times: tuple[datetime, ...]

    def __len__(self) -> int:
        return len(self.label)


class Dataset:
    """All exported rows of one channel, sorted; ``part`` selects rows by their as-of time, ``parts_by_hash`` and
    ``parts_at_random`` by their key."""

    def __init__(self, channel: Path) -> None:
        manifest = _read_manifest(channel)
        self.contract = Contract.from_dict(manifest["contract"])
        table = _read_table(channel, manifest, self.contract)
        self._times = _times(table, self.contract)
        self._keys = [table[name] for name in self.contract.key]
        self._label = _label(table, self.contract)
        self._raw = {name: _values(table, name) for name in self.contract.names}
        self._matrix = encode_columns(self.contract, self._raw)
        self._refuse_empty_features()

    @property
    def times(self) -> tuple[datetime, ...]:
        """The distinct as-of times, ascending (UTC)."""
        return tuple(value.item() for value in np.unique(self._times))

    def part(self, times: tuple[datetime, ...]) -> Part:
        """The rows whose as-of time is one of ``times``, in the sorted order."""
        return self._select(np.isin(self._times, np.array(times, dtype=self._times.dtype)), times)

    def parts_by_hash(self, validation: float, test: float) -> dict[str, Part]:
        """The rows of each part, in the sorted order, by a hash of the key; all rows of an entity are in one part."""
        keys = zip(*(column.to_pylist() for column in self._keys), strict=True)
        # A number of another type, such as 1.0 for 1, is the same entity.
        texts = ("\x1f".join(_key_text(value) for value in key) for key in keys)
        return self._parts(np.array([part_of(text, validation, test) for text in texts]))

    def parts_at_random(self, seed: int, validation: float, test: float) -> dict[str, Part]:
        """The rows of each part, in the sorted order; the entities, sorted by key, are drawn by ``seed``."""
        keys = list(zip(*(column.to_pylist() for column in self._keys), strict=True))
        first = np.array([index == 0 or key != keys[index - 1] for index, key in enumerate(keys)])
        parts = random_parts(int(first.sum()), seed, validation, test)
        return self._parts(parts[np.cumsum(first) - 1])

    def _parts(self, parts: npt.NDArray[np.str_]) -> dict[str, Part]:
        return {name: self._select(parts == name, self.times) for name in ("train", "validation", "test")}

    def _select(self, mask: npt.NDArray[np.bool_], times: tuple[datetime, ...]) -> Part:
        raw = {name: values[mask] for name, values in self._raw.items()}
        return Part(self._matrix[mask], self._label[mask], raw, times)

    def _refuse_empty_features(self) -> None:
        all_null = np.asarray(np.isnan(self._matrix).all(axis=0))
        empty = [name for index, name in enumerate(self.contract.names) if all_null[index]]
        if empty:
            raise DataProblem(
                f"every value of {', '.join(empty)} is NULL: correct the feature's definition or leave it out"
            )


def _key_text(value: Any) -> str:
    return value if isinstance(value, str) else format(Decimal(value).normalize(), "f")


def _read_manifest(channel: Path) -> dict[str, Any]:
    path = channel / MANIFEST_FILE
    if not path.is_file():
        raise DataProblem(f"the channel has no {MANIFEST_FILE}: the export did not finish; run it again")
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def _read_table(channel: Path, manifest: dict[str, Any], contract: Contract) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [*contract.key, contract.as_of, contract.label, *contract.names]
    tables = []
    for file in manifest["files"]:
        path = channel / file["name"]
        if not path.is_file():
            raise DataProblem(
                f"the manifest lists {file['name']} but the channel does not hold it: run the export again"
            )
        names = pq.read_schema(path).names
        if missing := [name for name in columns if name not in names]:
            raise ContractViolation(f"{file['name']} lacks the columns {', '.join(missing)}")
        tables.append(pq.read_table(path, columns=columns))
    rows = sum(len(table) for table in tables)
    if rows != manifest["rows"]:
        raise DataProblem(f"the manifest promises {manifest['rows']} rows, the files hold {rows}: run the export again")
    if rows == 0:
        raise DataProblem("the training set is empty: check the sources and the as-of times of the label")
    table = pa.concat_tables(tables, promote_options="permissive").sort_by(
        [(name, "ascending") for name in (*contract.key, contract.as_of)]
    )
    identity = table.select([*contract.key, contract.as_of])
    if identity.group_by(identity.column_names).aggregate([]).num_rows != rows:
        raise DataProblem(f"({', '.join(identity.column_names)}) is not unique in the training set")
    return table


def _times(table: Any, contract: Contract) -> npt.NDArray[np.datetime64]:
    times: npt.NDArray[np.datetime64] = table[contract.as_of].to_numpy().astype("datetime64[us]")
    return times


def _values(table: Any, name: str) -> npt.NDArray[Any]:
    import pyarrow as pa

    column = table[name]
    if pa.types.is_decimal(column.type) or pa.types.is_boolean(column.type):
        column = column.cast(pa.float64())
    values: npt.NDArray[Any] = column.to_numpy()
    return values


def _label(table: Any, contract: Contract) -> Matrix:
    label = _values(table, contract.label)
    if label.dtype.kind not in "fiub":
        raise DataProblem(f"the label {contract.label} must be a number")
    label = label.astype(np.float32)
    if np.isnan(label).any():
        raise DataProblem(f"the label {contract.label} is NULL in {int(np.isnan(label).sum())} rows")
    return label
