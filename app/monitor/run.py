"""Measures drift in the warehouse."""

from __future__ import annotations

from app.monitor.plan import CREATE, MonitorPlan
from app.monitor.result import DriftResult, FeatureDrift
from app.ports import Warehouse


def run_monitor(plan: MonitorPlan, warehouse: Warehouse) -> DriftResult:
    """Replace this run's rows of ML.DRIFT and read them."""
    warehouse.run(CREATE)
    warehouse.run_atomically(plan.write)
    rows = warehouse.run(plan.read).rows
    features = tuple(FeatureDrift(name, float(psi), bool(drifted)) for name, psi, _, drifted in rows)
    return DriftResult(int(rows[0][2]) if rows else 0, plan.threshold, features)
