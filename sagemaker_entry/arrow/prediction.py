"""Scores of a record batch, in its order, and what is wrong with rows that have none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sagemaker_entry.arrow.columns import Columns, Faults
from sagemaker_entry.contract import ContractViolation
from sagemaker_entry.forest.forest import Forest
from sagemaker_entry.forest.vectors import BLOCK
from sagemaker_entry.model import Matrix, Model

#: Values that are converted at a time: half a megabyte of float32, which stays in a core's cache until they are scored.
_VALUES = 131_072


@dataclass(frozen=True)
class Predicted:
    """``scores`` [rows] float32, undefined where ``unfit``, which is 0 or 1 + a number in ``reasons``, says that there is none."""

    scores: Matrix
    unfit: Faults
    reasons: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """The number of rows by what is wrong with them."""
        if not self.unfit.any():
            return {}
        found = np.bincount(self.unfit)
        return {self.reasons[number - 1]: int(found[number]) for number in np.flatnonzero(found).tolist() if number}

    def refuse_unfit(self) -> None:
        """Raise ContractViolation if a row has a value that the model does not take."""
        if self.unfit.any():
            raise ContractViolation(self.reasons[int(self.unfit[self.unfit > 0].min()) - 1])


def predict(model: Model, columns: Columns) -> Predicted:
    """Scores of all rows. Raises ContractViolation for another number of features."""
    model.check_width((columns.rows, len(columns.sources)))
    unfit = np.zeros(columns.rows, np.uint32)
    forest = model.predictor.forest
    scores = _by_forest(forest, columns, unfit) if forest else model.predict(encode(columns, unfit))
    return Predicted(scores, unfit, columns.reasons)


def encode(columns: Columns, unfit: Faults) -> Matrix:
    """The matrix [rows, features] in C order, with NaN in the rows that are marked in ``unfit``, as ``kernels.fill`` marks them."""
    features = len(columns.sources)
    table = _table(features, columns.rows)
    columns.fill(0, unfit, table)
    matrix = np.ascontiguousarray(table.transpose(0, 2, 1)).reshape(-1, features)[: columns.rows]
    matrix[unfit > 0] = np.nan
    return matrix


def _by_forest(forest: Forest, columns: Columns, unfit: Faults) -> Matrix:
    features = len(columns.sources)
    rows = max(BLOCK, _VALUES // features // BLOCK * BLOCK)
    scores = np.empty((columns.rows, len(forest.base)), np.float32)

    def score(span: slice) -> None:
        table = _table(features, rows)
        for first in range(span.start, span.stop, rows):
            part = slice(first, min(first + rows, span.stop))
            columns.fill(first, unfit[part], table)
            forest.score_table(table, scores[part])

    forest.share_out(columns.rows, score)
    return forest.chosen(scores)


def _table(features: int, rows: int) -> Matrix:
    """Room for rows as the forest takes them: in blocks, by feature."""
    return np.zeros((-(-rows // BLOCK), features, BLOCK), np.float32)
