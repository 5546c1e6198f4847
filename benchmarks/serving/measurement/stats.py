"""Medians and percentiles, as in the tables. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The least of ``values`` that at least ``percent`` % of them do not exceed (nearest rank). Raises ValueError for none."""
    if not values:
        raise ValueError("a percentile of nothing")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> float:
    """Largest over smallest, less one: 0.1 means that the rounds are within 10%."""
    return max(values) / min(values) - 1 if min(values) > 0 else math.inf
