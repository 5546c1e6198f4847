"""From margins to scores, in float32 and by the C library's functions, as XGBoost's objectives do it (3.2, ``src/objective``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sagemaker_entry.compilation import Compiler

compiled = Compiler(Path(__file__).parent)

Floats = npt.NDArray[np.float32]

#: ``expf`` of more than this overflows.
_MOST = np.float32(88.7)
_TINY = np.float32(1e-16)


@dataclass(frozen=True)
class Objective:
    """``margin``: base scores to margins, in place; ``score``: margins [rows, groups] to scores, in place. None: they are the same.
    ``picks_class``: the score is one number, in the first column."""

    margin: Callable[[Floats], None] | None = None
    score: Callable[[Floats], None] | None = None
    picks_class: bool = False


@compiled
def _logit(values: Any) -> None:
    for number in range(len(values)):
        values[number] = -math.log(np.float32(1) / values[number] - np.float32(1))


@compiled
def _log(values: Any) -> None:
    for number in range(len(values)):
        values[number] = math.log(values[number])


@compiled
def _sigmoid(margins: Any) -> None:
    flat = margins.reshape(-1)
    for row in range(len(flat)):
        flat[row] = np.float32(1) / (math.exp(min(-flat[row], _MOST)) + np.float32(1) + _TINY)


@compiled
def _exp(margins: Any) -> None:
    flat = margins.reshape(-1)
    for row in range(len(flat)):
        flat[row] = math.exp(flat[row])


@compiled
def _double_exp(margins: Any) -> None:
    """XGBoost calls ``exp`` of a double for this objective."""
    flat = margins.reshape(-1)
    for row in range(len(flat)):
        flat[row] = np.float32(math.exp(np.float64(flat[row])))


@compiled
def _step(margins: Any) -> None:
    flat = margins.reshape(-1)
    for row in range(len(flat)):
        flat[row] = np.float32(1) if flat[row] > np.float32(0) else np.float32(0)


@compiled
def _softmax(margins: Any) -> None:
    for row in range(len(margins)):
        mine = margins[row]
        most = mine[0]
        for group in range(1, len(mine)):
            most = max(most, mine[group])
        total = 0.0
        for group in range(len(mine)):
            mine[group] = math.exp(mine[group] - most)
            total += mine[group]
        for group in range(len(mine)):
            mine[group] /= np.float32(total)


@compiled
def _largest(margins: Any) -> None:
    """The number of the first largest margin, into the first column."""
    for row in range(len(margins)):
        best = 0
        for group in range(1, margins.shape[1]):
            if margins[row, group] > margins[row, best]:
                best = group
        margins[row, 0] = np.float32(best)


_SAME, _LOGISTIC, _POSITIVE = Objective(), Objective(_logit, _sigmoid), Objective(_log, _exp)

#: The objectives whose scores are computed here.
OBJECTIVES = {
    **dict.fromkeys(("binary:logistic", "reg:logistic"), _LOGISTIC),
    **{f"reg:{name}error": _SAME for name in ("absolute", "pseudohuber", "quantile", "squared", "squaredlog")},
    **{f"rank:{name}": _SAME for name in ("map", "ndcg", "pairwise")},
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"), _POSITIVE),
    "survival:aft": Objective(_log, _double_exp),
    "binary:logitraw": _SAME,
    "binary:hinge": Objective(None, _step),
    "multi:softprob": Objective(None, _softmax),
    "multi:softmax": Objective(None, _largest, picks_class=True),
}
