"""One model and the same rows for all servers: a booster on random data, and rows as a table in Snowflake would have them.

Everything is seeded. Values have the decimals of the table, so a row of 30 is about 200 bytes of JSON; 2% are NULL.
``Workload.long`` has the same rows with fractions of 17 significant digits, as Snowflake writes a FLOAT.

All servers get a model of ``STANDARD`` dimensions; ``FURTHER`` ones show whether a figure holds for other models, too.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

import sagemaker_entry
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.model import Model
from sagemaker_entry.train import SETUP_PY

#: Of the standard model, which all servers get.
FEATURES, TREES, DEPTH = 30, 100, 5
MOST_ROWS, NULL_SHARE = 4096, 0.02
NAME = "bench"

#: Rows of the training data, and the features that each tree may use, which keeps the training of a wide model short.
_TRAINING_ROWS, _FEATURES_A_TREE = 20_000, 30

Cell = float | int | None
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dimensions:
    """Of a model. ``depth``: the most tests between a tree's root and a leaf."""

    features: int
    trees: int
    depth: int

    def __str__(self) -> str:
        return f"{self.features} features, {self.trees} trees of depth {self.depth}"


STANDARD = Dimensions(FEATURES, TREES, DEPTH)
#: XGBoost's default depth.
DEPTH_6 = replace(STANDARD, depth=6)
FURTHER = (DEPTH_6, replace(STANDARD, depth=8), *(Dimensions(200, 300, depth) for depth in (5, 6, 8)))


@dataclass(frozen=True)
class Workload:
    """``rows``: 4,096 rows of cells, None for NULL; ``matrix``: the same as float32, NaN for NULL."""

    model: Model
    rows: list[list[Cell]]
    matrix: npt.NDArray[np.float32]

    @cached_property
    def expected(self) -> Scores:
        """The scores that every server must return: ``inplace_predict`` of the matrix."""
        scores: Scores = self.model.booster.inplace_predict(self.matrix)
        return scores

    @cached_property
    def long(self) -> Workload:
        """The same model and rows, with fractions of 17 significant digits."""
        noise = np.random.default_rng(2).uniform(1, 1 + 1e-9, size=self.matrix.shape)
        rows: list[list[Cell]] = [
            [cell * factor if isinstance(cell, float) else cell for cell, factor in zip(row, factors, strict=True)]
            for row, factors in zip(self.rows, noise.tolist(), strict=True)
        ]
        return Workload(self.model, rows, as_matrix(rows))


def make(dimensions: Dimensions = STANDARD) -> Workload:
    """The workload, the same at every call. The model is loaded as the service loads it, and predicts on one thread."""
    rows = _rows(np.random.default_rng(1), MOST_ROWS, dimensions.features)
    with tempfile.TemporaryDirectory(prefix="snowsage-benchmark-") as folder:
        _trained(dimensions).save(Path(folder))
        return Workload(Model.load(Path(folder), threads=1), rows, as_matrix(rows))


def as_matrix(rows: list[list[Cell]]) -> npt.NDArray[np.float32]:
    """Cells as float32, None as NaN."""
    return np.array(rows, dtype=np.float64).astype(np.float32)


def save(model: Model, folder: Path) -> Path:
    """Write ``model.ubj`` and ``contract.json`` into a new ``folder``, and next to it ``model.tar.gz`` as training writes it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save(folder)
    package = Path(sagemaker_entry.__file__).parent
    code = folder / "code"
    shutil.copytree(package, code / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    (code / "setup.py").write_text(SETUP_PY)
    (folder / "report.json").write_text(json.dumps({"objective": "binary:logistic"}))
    archive = folder.with_suffix(".tar.gz")
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return archive


def _trained(dimensions: Dimensions) -> Model:
    chance = np.random.default_rng(0)
    rows = as_matrix(_rows(chance, _TRAINING_ROWS, dimensions.features))
    label = (np.nan_to_num(rows[:, 0]) / 1000 + chance.normal(size=len(rows)) > 0).astype(np.float32)
    params: dict[str, Any] = {
        "objective": "binary:logistic",
        "max_depth": dimensions.depth,
        "colsample_bytree": min(1.0, _FEATURES_A_TREE / dimensions.features),
        "nthread": 1,
    }
    booster = xgboost.train(params, xgboost.DMatrix(rows, label), dimensions.trees)
    return Model(booster, Contract(tuple(Column(f"F{index}") for index in range(dimensions.features)), ("ID",), "Y"))


def _rows(chance: np.random.Generator, count: int, features: int) -> list[list[Cell]]:
    """A third of the columns with six decimals, a third with two, a third of integers."""
    third = features // 3
    fine = chance.normal(size=(count, features - 2 * third)).round(6)
    money = (chance.normal(size=(count, third)) * 1000).round(2)
    whole = chance.integers(0, 1000, size=(count, third))
    table = [[*a, *b, *c] for a, b, c in zip(fine.tolist(), money.tolist(), whole.tolist(), strict=True)]
    null = chance.random((count, features)) < NULL_SHARE
    for number, column in zip(*null.nonzero(), strict=True):
        table[number][column] = None
    return table
