"""The result of the monitor stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's population stability index against the training rows."""

    feature: str
    psi: float
    drifted: bool


@dataclass(frozen=True)
class DriftResult:
    """The result of the monitor stage, the largest index first. ``rows``: the number of recent rows that were measured."""

    rows: int
    threshold: float
    features: tuple[FeatureDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features above the threshold."""
        return tuple(item.feature for item in self.features if item.drifted)
