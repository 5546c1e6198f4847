"""Converts scores to the answer of each row, by the version's rules: a number, an object, NULL, or the fault of the row.

A score is the float32 widened to a double, with all digits of that double, as batch jobs store it. The shortest text of the float32
would be a different number in SQL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from app.deploy.live import LiveVersion
from app.deploy.rules import ServingRules
from app.serve.rows import Rows, Scored
from sagemaker_entry.model import Reasons

Doubles = npt.NDArray[np.float64]


def answers(scored: Scored, rows: Rows, live: LiveVersion) -> list[Any] | Doubles:
    """One JSON value a row, in order; an array where each is a number."""
    scores = scored.scores.astype(np.float64)
    if live.rules.output == "number" and not rows.faults:
        return scores
    found: list[Any] = scores.tolist() if live.rules.output == "number" else _objects(scores, scored, live)
    for row, why in rows.faults.items():
        found[row] = {"error": why} if live.rules.on_bad_row == "error" else None
    return found


def _objects(scores: Doubles, scored: Scored, live: LiveVersion) -> list[dict[str, Any]]:
    columns: dict[str, list[Any]] = {"score": scores.tolist()}
    if (found := labels(scores, live.rules)) is not None:
        columns["label"] = found
    columns["version"] = [live.version] * len(scores) if scored.assignment is None else scored.assignment.versions()
    if scored.reasons is not None:
        columns["reasons"] = reasons(scored.reasons, live.contract.names)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def labels(scores: Doubles, rules: ServingRules) -> list[str] | None:
    """The label of each score; None if the rules have none."""
    if rules.threshold is None or rules.labels is None:
        return None
    return [rules.labels[reached] for reached in (scores >= rules.threshold).tolist()]


def reasons(given: Reasons, names: tuple[str, ...]) -> list[list[dict[str, Any]]]:
    """The leading features of each row, with their contributions."""
    features, contributions = given.features.tolist(), given.contributions.astype(np.float64).tolist()
    return [
        [{"feature": names[at], "contribution": value} for at, value in zip(*row, strict=True)]
        for row in zip(features, contributions, strict=True)
    ]
