"""Preprocessing and prediction: raw columns -> float32 matrix -> scores. Endpoint, batch stage and service use this one
implementation, so all give the same float32 bits.

A model is a folder: ``model.ubj`` (XGBoost's binary JSON; loading it executes nothing) and ``contract.json``. Infinite values
are refused, also those that become infinite as float32; NaN is NULL, and missing to the model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sagemaker_entry import dense
from sagemaker_entry.contract import Column, Contract, ContractViolation
from sagemaker_entry.forest.choice import Predictor, choose
from sagemaker_entry.model_file import structure

if TYPE_CHECKING:
    import xgboost

Matrix = npt.NDArray[np.float32]

#: Types that numpy converts to floats without changing their meaning.
_PLAIN = {float, int, bool, type(None)}
_TEXT = {str, type(None)}
#: The largest float32, as an integer.
_LARGEST = int(np.finfo(np.float32).max)

MODEL_FILE = "model.ubj"
CONTRACT_FILE = "contract.json"


def encode_columns(contract: Contract, columns: Mapping[str, Any]) -> Matrix:
    """Raw columns by name -> float32 matrix [rows, features] in C order; NULL (None or NaN) becomes NaN.

    ``columns[name]``: a sequence or array of numbers or booleans, or of texts for a category. Missing and extra names are
    errors. Raises ContractViolation.
    """
    contract.positions(list(columns))
    rows = len(columns[contract.names[0]])
    matrix = np.empty((rows, len(contract.names)), dtype=np.float32)
    for index, column in enumerate(contract.columns):
        matrix[:, index] = _encode_column(column, columns[column.name])
    return matrix


def encode_rows(contract: Contract, rows: Sequence[Sequence[Any]]) -> tuple[Matrix, dict[int, str]]:
    """Raw rows, values in the contract's order -> (float32 matrix [rows, features], the fault of each unfit row by its number).

    The matrix's content for an unfit row is undefined. Raises ContractViolation for a row with another number of values.
    """
    if not rows:
        return np.empty((0, len(contract.names)), dtype=np.float32), {}
    if (widths := set(map(len, rows))) != {len(contract.names)}:
        raise ContractViolation(f"{len(contract.names)} values are needed in every row, there are {sorted(widths)}")
    # One call for the usual case, where NULL becomes NaN. Anything but numbers is converted column by column, which finds the
    # position of a fault; numpy itself would read the text "12" as a number, and nested arrays as more dimensions.
    if not contract.has_categories and set(map(type, chain.from_iterable(rows))) <= _PLAIN:
        try:
            return _as_float32(np.array(rows, dtype=np.float64), contract.names), {}
        except (OverflowError, ContractViolation):
            pass  # a number beyond the range of a float
    matrix = np.empty((len(rows), len(contract.names)), dtype=np.float32)
    unfit: dict[int, str] = {}
    for index, (column, values) in enumerate(zip(contract.columns, zip(*rows, strict=True), strict=True)):
        try:
            matrix[:, index] = _encode_column(column, values)
        except ContractViolation:
            matrix[:, index], found = _encode_fit(column, values)
            unfit = {**found, **unfit}  # a row is reported with its first unfit column
    return matrix, unfit


def _encode_fit(column: Column, values: Sequence[Any]) -> tuple[Matrix, dict[int, str]]:
    """The column with NULL in place of unfit values, and the fault of each of them by row."""
    if column.dtype == "category":
        allowed = {None, *column.categories}
        any_text = column.unknown == "null"
        fits = [type(value) in _TEXT and (any_text or value in allowed) for value in values]
        why = category_fault(column)
        kept = [value if fit else None for value, fit in zip(values, fits, strict=True)]
        return _encode_categories(column, kept), {row: why for row, fit in enumerate(fits) if not fit}
    fits = [kind in _PLAIN for kind in map(type, values)]
    why = not_a_number_fault(column.name)
    unfit = {row: why for row, fit in enumerate(fits) if not fit}
    # An integer may exceed even a double, which numpy refuses.
    kept = [_bounded(value) if fit else None for value, fit in zip(values, fits, strict=True)]
    with np.errstate(over="ignore"):
        small = np.array(kept, dtype=np.float64).astype(np.float32)
    why = infinite_fault(column.name)
    return small, unfit | dict.fromkeys(np.flatnonzero(np.isinf(small)).tolist(), why)


def category_fault(column: Column) -> str:
    """What is wrong with a value that is no category of the column, unless it is a text that counts as NULL."""
    if column.unknown == "null":
        return f"feature {column.name} must be a text or NULL"
    return f"feature {column.name} has a value outside its {len(column.categories)} declared categories"


def not_a_number_fault(name: str) -> str:
    """What is wrong with a text, or anything else that is no number."""
    return f"feature {name} must be a number or NULL"


def infinite_fault(names: str) -> str:
    """What is wrong with a number that is infinite as float32."""
    return f"feature {names} has a value that is infinite or beyond the range of a 32-bit float"


def _bounded(value: Any) -> Any:
    return np.inf if type(value) is int and abs(value) > _LARGEST else value


def _encode_column(column: Column, values: Any) -> Matrix:
    if column.dtype == "category":
        return _encode_categories(column, values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return _as_float32(values.astype(np.float64, copy=False), [column.name])
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM":  # numpy would count the time units since 1970
        raise ContractViolation(f"{not_a_number_fault(column.name)} in every row")
    if any(issubclass(kind, str | bytes | dict | list | tuple) for kind in set(map(type, values))):
        raise ContractViolation(f"{not_a_number_fault(column.name)} in every row")
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ContractViolation(f"{not_a_number_fault(column.name)} in every row") from None
    except OverflowError:
        raise ContractViolation(f"feature {column.name} has a value beyond the range of a 32-bit float") from None
    return _as_float32(numbers, [column.name])


def _encode_categories(column: Column, values: Any) -> Matrix:
    codes: dict[Any, float] = {name: float(code) for code, name in enumerate(column.categories)}
    codes[None] = np.nan
    try:
        return np.array(list(map(codes.__getitem__, values)), dtype=np.float32)
    except (KeyError, TypeError):
        if column.unknown == "error" or not all(value is None or isinstance(value, str) for value in values):
            raise ContractViolation(category_fault(column)) from None
    return np.array([codes.get(value, np.nan) for value in values], dtype=np.float32)


def _as_float32(values: npt.NDArray[np.float64], names: Sequence[str]) -> Matrix:
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    if np.isinf(small).any():
        wide = np.isinf(small.reshape(len(small), -1)).any(axis=0)
        raise ContractViolation(infinite_fault(", ".join(np.array(names)[wide])))
    return small


@dataclass(frozen=True)
class Reasons:
    """Each row's leading features, the largest absolute contribution first; equal ones in the contract's order.

    ``features``: columns [rows, reasons]. ``contributions``: float32 [rows, reasons], to the model's margin (for
    ``binary:logistic`` the log-odds, before they become a probability), as XGBoost's ``pred_contribs`` gives them.
    """

    features: npt.NDArray[np.intp]
    contributions: Matrix


_BOOSTER = Predictor()


@dataclass(frozen=True)
class Model:
    """A booster, cut to early stopping's best round, and the contract it was trained on.

    Of a model that was loaded: ``trees``: those that a row passes, of all rounds, classes and forests; ``predictor``: what
    evaluates them, with the same bits as the booster.
    """

    booster: xgboost.Booster
    contract: Contract
    trees: int = 0
    predictor: Predictor = _BOOSTER

    def predict(self, matrix: Matrix) -> Matrix:
        """Scores [rows] as float32, one for each row of ``matrix``, in its order.

        Raises ContractViolation for a matrix of another width: XGBoost itself would score a narrower one silently.
        """
        self.check_width(matrix.shape)
        if len(matrix) == 0:
            return np.empty(0, dtype=np.float32)
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        forest = self.predictor.forest
        return forest.predict(matrix) if forest else dense.predict(self.booster, matrix)

    def reasons(self, matrix: Matrix, count: int) -> Reasons:
        """The ``count`` leading reasons of each row's score, or all features if there are fewer. Raises as ``predict`` does."""
        from sagemaker_entry.engine import xgboost

        self.check_width(matrix.shape)
        count = min(count, matrix.shape[1])
        if len(matrix) == 0:
            return Reasons(np.empty((0, count), dtype=np.intp), np.empty((0, count), dtype=np.float32))
        booster = self.booster
        data = xgboost.DMatrix(
            matrix,
            feature_names=booster.feature_names,
            feature_types=booster.feature_types,
            nthread=1,
            enable_categorical=True,
        )
        contributions = booster.predict(data, pred_contribs=True)[:, :-1]  # without the bias
        features = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count]
        return Reasons(features, np.take_along_axis(contributions, features, axis=1))

    def check_width(self, shape: tuple[int, ...]) -> None:
        """Raise ContractViolation for anything but [rows, features]."""
        if len(shape) != 2 or shape[1] != len(self.contract.names):
            raise ContractViolation(
                f"a matrix of {len(self.contract.names)} features is needed, this one has the shape {shape}"
            )

    def save(self, folder: Path) -> None:
        """Write the model's two files into ``folder``."""
        self.booster.save_model(folder / MODEL_FILE)
        (folder / CONTRACT_FILE).write_text(json.dumps(self.contract.to_dict(), indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Model:
        """The model in ``folder``. ``threads``: the most for one prediction; None means one for each core.

        Raises DamagedModel for a file that XGBoost cannot load safely, ContractViolation for a contract that was changed.
        """
        from sagemaker_entry.engine import xgboost

        contract = Contract.from_dict(json.loads((folder / CONTRACT_FILE).read_text()))
        body = (folder / MODEL_FILE).read_bytes()
        checked = structure.check(body, contract)
        booster = xgboost.Booster(params={"nthread": threads} if threads else None)
        try:
            booster.load_model(bytearray(body))
        except xgboost.core.XGBoostError as error:  # its text holds a trace of C++ functions
            raise structure.DamagedModel("XGBoost cannot load the model's file; train again") from error
        predictor = choose(checked.document, partial(dense.predict, booster), contract, threads or os.cpu_count() or 1)
        return cls(booster, contract, checked.trees, predictor)
