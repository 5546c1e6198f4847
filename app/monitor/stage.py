"""The monitor stage as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.features.stage import STAGE as FEATURES
from app.monitor.result import DriftResult
from app.registry.stage import STAGE as REGISTRY
from app.runs.identity import now
from app.runs.stage import Context, Seen, Stage, Summary

if TYPE_CHECKING:
    from app.monitor.plan import MonitorPlan


def _plan(context: Context) -> MonitorPlan:
    from app.monitor.plan import plan_monitor
    from app.registry.artifact import fetched

    version, features = context.result(REGISTRY), context.result(FEATURES)
    with fetched(context.world.store, version.artifact_uri, version.artifact_sha256) as artifact:
        baseline = artifact.json("baseline.json")
    threshold = context.file.pipeline.monitoring.drift.psi
    return plan_monitor(context.run, features, version, baseline, threshold, now())


def _run(context: Context, plan: MonitorPlan) -> DriftResult:
    from app.monitor.run import run_monitor

    return run_monitor(plan, context.world.warehouse)


def _look(context: Context, result: DriftResult) -> Seen[DriftResult]:
    if result.threshold != context.file.pipeline.monitoring.drift.psi:
        return Seen(None, "monitoring.drift.psi has changed")
    return Seen(result)


def _outline(context: Context, plan: MonitorPlan) -> str:
    return f"{len(plan.write) + 1} statements compare today's rows with those of version {context.result(REGISTRY).version}"


def _explain(context: Context, _: MonitorPlan) -> list[str]:
    version = context.result(REGISTRY).version
    return [f"compare the rows at {context.run.logical_date} with the baseline of version {version}; write ML.DRIFT"]


def _summarize(result: DriftResult) -> Summary:
    moved = f"{len(result.drifted)} of {len(result.features)} features moved beyond PSI {result.threshold:g}"
    top = f"; most: {result.features[0].feature} {result.features[0].psi:.3f}" if result.features else ""
    return Summary(moved + top, result.rows, "ML.DRIFT")


STAGE = Stage(
    name="monitor",
    help="Measure drift against the training rows, into ML.DRIFT.",
    result=DriftResult,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(FEATURES, REGISTRY),
    outline=_outline,
    look=_look,
)
