"""Preprocessing and prediction: raw columns -> float32 matrix -> scores. One implementation for every place that scores.

The endpoint, the batch stage and the service's own scorer give the same float32 bits because they all come through here.
A model is a folder: ``model.ubj`` (XGBoost's own binary JSON; loading it executes nothing) and ``contract.json``.

The one surprise: an infinite value is refused, also one that became infinite as float32; a NaN is a NULL, hence missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sagemaker_entry import dense
from sagemaker_entry.contract import Column, Contract, ContractViolation

if TYPE_CHECKING:
    import xgboost

Matrix = npt.NDArray[np.float32]

#: Types that one numpy call turns into numbers as they are meant.
_PLAIN = {float, int, bool, type(None)}

MODEL_FILE = "model.ubj"
CONTRACT_FILE = "contract.json"


def encode_columns(contract: Contract, columns: Mapping[str, Any]) -> Matrix:
    """Raw columns by name -> float32 matrix [rows, features] in C order; NULL (None or NaN) becomes NaN.

    ``columns[name]``: a sequence or array of numbers or booleans, or of texts for a category. Extra names are an error, as
    missing ones are. Raises ContractViolation.
    """
    contract.positions(list(columns))
    rows = len(columns[contract.names[0]])
    matrix = np.empty((rows, len(contract.names)), dtype=np.float32)
    for index, column in enumerate(contract.columns):
        matrix[:, index] = _encode_column(column, columns[column.name])
    return matrix


def encode_rows(contract: Contract, rows: Sequence[Sequence[Any]]) -> Matrix:
    """Raw rows, values in the contract's order -> float32 matrix [rows, features]; every row must have that many values."""
    if not rows:
        return np.empty((0, len(contract.names)), dtype=np.float32)
    if (widths := set(map(len, rows))) != {len(contract.names)}:
        raise ContractViolation(f"{len(contract.names)} values are needed in every row, there are {sorted(widths)}")
    # One call for the usual case: a NULL becomes NaN by itself. What is no number takes the way column by column, which says
    # where it stands; numpy itself would read the text "12" as a number, and nested arrays as more dimensions.
    if set(map(type, chain.from_iterable(rows))) <= _PLAIN and not contract.has_categories:
        try:
            return _as_float32(np.array(rows, dtype=np.float64), contract.names)
        except OverflowError:
            pass  # an integer beyond even a double
    return encode_columns(contract, dict(zip(contract.names, zip(*rows, strict=True), strict=True)))


def _encode_column(column: Column, values: Any) -> Matrix:
    if column.dtype == "category":
        return _encode_categories(column, values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return _as_float32(values.astype(np.float64, copy=False), [column.name])
    if any(isinstance(value, str | bytes | dict | list | tuple) for value in values):
        raise ContractViolation(f"feature {column.name} must be a number or NULL in every row")
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ContractViolation(f"feature {column.name} must be a number or NULL in every row") from None
    except OverflowError:
        raise ContractViolation(f"feature {column.name} has a value beyond the range of a 32-bit float") from None
    return _as_float32(numbers, [column.name])


def _encode_categories(column: Column, values: Any) -> Matrix:
    codes: dict[Any, float] = {name: float(code) for code, name in enumerate(column.categories)}
    codes[None] = np.nan
    try:
        return np.array([codes[value] for value in values], dtype=np.float32)
    except (KeyError, TypeError):
        raise ContractViolation(
            f"feature {column.name} has a value outside its {len(column.categories)} declared categories"
        ) from None


def _as_float32(values: npt.NDArray[np.float64], names: Sequence[str]) -> Matrix:
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    if np.isinf(small).any():
        wide = np.isinf(small.reshape(len(small), -1)).any(axis=0)
        raise ContractViolation(
            f"feature {', '.join(np.array(names)[wide])} has a value that is infinite or beyond the range of a 32-bit float"
        )
    return small


@dataclass(frozen=True)
class Model:
    """A booster, cut to early stopping's best round, and the contract it was trained on."""

    booster: xgboost.Booster
    contract: Contract

    def predict(self, matrix: Matrix) -> Matrix:
        """Scores [rows] as float32, one for each row of ``matrix``, in its order.

        Raises ContractViolation for a matrix of another width: XGBoost itself would score a narrower one silently.
        """
        if matrix.ndim != 2 or matrix.shape[1] != len(self.contract.names):
            raise ContractViolation(
                f"a matrix of {len(self.contract.names)} features is needed, this one has the shape {matrix.shape}"
            )
        if len(matrix) == 0:
            return np.empty(0, dtype=np.float32)
        return dense.predict(self.booster, np.ascontiguousarray(matrix, dtype=np.float32))

    def save(self, folder: Path) -> None:
        """Write the model's two files into ``folder``."""
        self.booster.save_model(folder / MODEL_FILE)
        (folder / CONTRACT_FILE).write_text(json.dumps(self.contract.to_dict(), indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Model:
        """The model in ``folder``. ``threads``: at most so many a prediction; None means one for every core."""
        import xgboost

        contract = Contract.from_dict(json.loads((folder / CONTRACT_FILE).read_text()))
        booster = xgboost.Booster(params={"nthread": threads} if threads else None)
        booster.load_model(folder / MODEL_FILE)
        if booster.num_features() != len(contract.names):
            raise ContractViolation(
                f"the booster takes {booster.num_features()} features, its contract names {len(contract.names)}"
            )
        return cls(booster, contract)
