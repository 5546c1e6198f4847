"""The RFM score by rules: one function for Python, pandas and SQL.

The text of this module is the body of the SQL functions (``app.features.routines.functions``), so it imports nothing but numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: By part: (bound, score), best first. Recency in days scores where it is below a bound, frequency and monetary value where they
#: are at least a bound; where no rule holds, the score is 1. The SQL functions replace these by the rules they are created with.
RULES: dict[str, list[tuple[float, float]]] = {
    "recency": [(30, 5), (90, 4), (180, 3), (365, 2)],
    "frequency": [(20, 5), (10, 4), (5, 3), (2, 2)],
    "monetary": [(1000, 5), (500, 4), (200, 3), (50, 2)],
}


def rfm_score(recency: Any, frequency: Any, monetary: Any) -> Any:
    """The sum of the three scores, as float64: of three numbers a number, of three arrays or Series of length n an array of n.

    None and NaN in any part give NaN.
    """
    parts = [np.asarray(values, dtype=np.float64) for values in (recency, frequency, monetary)]
    scores = [_score(values, RULES[name], name) for name, values in zip(RULES, parts, strict=True)]
    return np.where(np.isnan(parts).any(axis=0), np.nan, sum(scores))


def rfm_score_row(recency: float | None, frequency: float | None, monetary: float | None) -> float | None:
    """The score of one row, None where a part is missing: the handler of the scalar SQL function."""
    score = float(rfm_score(recency, frequency, monetary))
    return None if np.isnan(score) else score


def _score(values: Any, rules: list[tuple[float, float]], name: str) -> Any:
    holds = [values < bound if name == "recency" else values >= bound for bound, _ in rules]
    return np.select(holds, [score for _, score in rules], 1.0)
