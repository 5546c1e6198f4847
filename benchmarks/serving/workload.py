"""The one model and the same rows for all servers: a booster on random data, and rows as a table in Snowflake would have them.

Everything is seeded. Values have the decimals of the table, so a row is about 200 bytes of JSON; 2% are NULL. ``Workload.long``
has the same rows with fractions of 17 significant digits, as Snowflake writes a FLOAT.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import dataclass
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

FEATURES, TREES, DEPTH, MOST_ROWS, NULL_SHARE = 30, 100, 5, 4096, 0.02
NAME = "bench"

Cell = float | int | None
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Workload:
    """``rows``: 4,096 rows of 30 cells, None for NULL; ``matrix``: the same as float32, NaN for NULL."""

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
        noise = np.random.default_rng(2).uniform(1, 1 + 1e-9, size=(len(self.rows), FEATURES))
        rows: list[list[Cell]] = [
            [cell * factor if isinstance(cell, float) else cell for cell, factor in zip(row, factors, strict=True)]
            for row, factors in zip(self.rows, noise.tolist(), strict=True)
        ]
        return Workload(self.model, rows, as_matrix(rows))


def make() -> Workload:
    """The workload, the same at every call. The booster predicts on one thread."""
    rows = _rows(np.random.default_rng(1), MOST_ROWS)
    return Workload(_model(), rows, as_matrix(rows))


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


def _model() -> Model:
    chance = np.random.default_rng(0)
    rows = as_matrix(_rows(chance, 20_000))
    label = (np.nan_to_num(rows[:, 0]) / 1000 + chance.normal(size=len(rows)) > 0).astype(np.float32)
    params: dict[str, Any] = {"objective": "binary:logistic", "max_depth": DEPTH, "nthread": 1}
    booster = xgboost.train(params, xgboost.DMatrix(rows, label), TREES)
    return Model(booster, Contract(tuple(Column(f"F{index}") for index in range(FEATURES)), ("ID",), "Y"))


def _rows(chance: np.random.Generator, count: int) -> list[list[Cell]]:
    """Ten columns with six decimals, ten with two, ten of integers."""
    third = FEATURES // 3
    fine = chance.normal(size=(count, third)).round(6)
    money = (chance.normal(size=(count, third)) * 1000).round(2)
    whole = chance.integers(0, 1000, size=(count, third))
    table = [[*a, *b, *c] for a, b, c in zip(fine.tolist(), money.tolist(), whole.tolist(), strict=True)]
    null = chance.random((count, FEATURES)) < NULL_SHARE
    for number, column in zip(*null.nonzero(), strict=True):
        table[number][column] = None
    return table
