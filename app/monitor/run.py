"""Measure drift in the warehouse and hand down what moved."""

from __future__ import annotations

from dataclasses import dataclass

from app.monitor.plan import CREATE, MonitorPlan
from app.ports import Warehouse


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's population stability index against the training rows."""

    feature: str
    psi: float
    drifted: bool


@dataclass(frozen=True)
class DriftResult:
    """What the monitor stage hands down, most moved first. ``rows``: how many recent rows were measured."""

    rows: int
    threshold: float
    features: tuple[FeatureDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features above the threshold."""
        return tuple(item.feature for item in self.features if item.drifted)


def run_monitor(plan: MonitorPlan, warehouse: Warehouse) -> DriftResult:
    """Write this run's rows of ML.DRIFT anew and read them."""
    warehouse.run(CREATE)
    warehouse.run_atomically(plan.write)
    rows = warehouse.run(plan.read).rows
    features = tuple(FeatureDrift(name, float(psi), bool(drifted)) for name, psi, _, drifted in rows)
    return DriftResult(int(rows[0][2]) if rows else 0, plan.threshold, features)
