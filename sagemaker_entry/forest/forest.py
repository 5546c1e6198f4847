"""A forest: the scores of a booster, evaluated here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sagemaker_entry.forest.kernels import margins_of_blocks, margins_of_rows, margins_of_table
from sagemaker_entry.forest.layout import Layout, Weights, lay_out
from sagemaker_entry.forest.objectives import OBJECTIVES, Objective
from sagemaker_entry.forest.vectors import BLOCK, permutes_bytes

Matrix = npt.NDArray[np.float32]

#: Up to this many rows are evaluated one by one.
_FEW = 3
#: A thread gets at least this many rows.
_LEAST_ROWS = 16 * BLOCK

#: A tree of one leaf, as in a booster's file.
_LEAF: dict[str, list[int]] = {
    **{f"{side}_children": [-1] for side in ("left", "right")},
    **{name: [0] for name in ("split_indices", "split_type", "default_left", "split_conditions")},
    **{f"categories{part}": [] for part in ("", "_nodes", "_segments", "_sizes")},
}


class Unsupported(ValueError):
    """The booster is one that is not evaluated here. The text says why, as the end of a sentence."""


@dataclass(frozen=True)
class Forest:
    """Evaluates trees. Thread-safe. ``base``: the margins that sums begin with, one for each score of a row."""

    layout: Layout
    objective: Objective
    base: Matrix
    threads: int = 1
    _pool: ThreadPoolExecutor | None = field(default=None, repr=False)

    @classmethod
    def of(cls, document: Mapping[str, Any], threads: int = 1) -> Forest:
        """The forest of a saved booster that ``structure`` has checked. Raises Unsupported.

        ``threads``: the most for one prediction.
        """
        learner = document["learner"]
        name, booster = learner["objective"]["name"], learner["gradient_booster"]
        if name not in OBJECTIVES:
            raise Unsupported(f"the objective {name} is not compiled")
        model = booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]
        if not model["trees"]:
            raise Unsupported("it has no trees")
        parameters, objective = learner["learner_model_param"], OBJECTIVES[name]
        base = np.empty(max(1, int(parameters["num_class"])), np.float32)
        base[:] = [float(number) for number in parameters["base_score"].strip("[]").split(",")]
        if objective.margin:
            objective.margin(base)
        groups = np.array(model["tree_info"], np.int64)
        weights = (
            Weights(np.array(booster["weight_drop"], np.float32), base[groups]) if booster["name"] == "dart" else None
        )
        layout = lay_out(model["trees"], groups, weights, by_bytes=permutes_bytes())
        pool = ThreadPoolExecutor(threads, thread_name_prefix="snowsage-forest") if threads > 1 else None
        return cls(layout, objective, base, threads, pool)

    def predict(self, matrix: Matrix) -> Matrix:
        """Scores [rows], or [rows, classes], of ``matrix`` [rows, features], which is float32 in C order."""
        margins = self.margins(matrix)
        if self.objective.score:
            self.objective.score(margins)
        return self.chosen(margins)

    def margins(self, matrix: Matrix) -> Matrix:
        """The sums of the leaves [rows, groups]."""
        margins = np.empty((len(matrix), len(self.base)), np.float32)
        if len(matrix) <= _FEW:
            self._fill(matrix, margins)
        else:
            self.share_out(len(matrix), lambda span: self._fill(matrix[span], margins[span]))
        return margins

    def score_table(self, table: Matrix, scores: Matrix) -> None:
        """Into ``scores`` [rows, groups], of ``table`` [blocks, features, BLOCK], on this thread: both in C order."""
        laid = self.layout
        margins_of_table(
            table,
            laid.trees,
            laid.nodes,
            laid.tests,
            laid.ends,
            laid.leaves,
            laid.bits,
            laid.levels,
            laid.lookups,
            laid.classes,
            self.base,
            scores,
        )
        if self.objective.score:
            self.objective.score(scores)

    def chosen(self, scores: Matrix) -> Matrix:
        """Scores as ``predict`` gives them, of [rows, groups]."""
        return scores[:, 0] if self.objective.picks_class or scores.shape[1] == 1 else scores

    def share_out(self, rows: int, work: Callable[[slice], None]) -> None:
        """Call ``work`` with spans that cover ``rows``, on as many threads as they are worth."""
        parts = min(self.threads, rows // _LEAST_ROWS)
        if self._pool is None or parts < 2:
            work(slice(0, rows))
            return
        bounds = np.linspace(0, rows, parts + 1).astype(np.int64).tolist()
        list(self._pool.map(work, [slice(first, last) for first, last in pairwise(bounds)]))

    def _fill(self, matrix: Matrix, margins: Matrix) -> None:
        laid = self.layout
        if len(matrix) <= _FEW:
            margins_of_rows(matrix, laid.trees, laid.nodes, laid.bits, self.base, margins)
        else:
            margins_of_blocks(
                matrix,
                laid.trees,
                laid.nodes,
                laid.tests,
                laid.ends,
                laid.leaves,
                laid.bits,
                laid.levels,
                laid.lookups,
                laid.classes,
                self.base,
                margins,
            )


def warm() -> None:
    """Compile all that a usual model needs, so that later processes find it. Loading a model does it too."""
    leaf = {name: np.array(values) for name, values in _LEAF.items()}
    base, objective = np.full(1, 0.5, np.float32), OBJECTIVES["binary:logistic"]
    if objective.margin:
        objective.margin(base)
    forest = Forest(lay_out([leaf], np.zeros(1, np.int64)), objective, base)
    for rows in (1, _FEW + 1):
        forest.predict(np.zeros((rows, 1), np.float32))
