"""The batch stage as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.batch.result import BatchResult
from app.features.stage import STAGE as FEATURES
from app.registry.stage import STAGE as REGISTRY
from app.runs.stage import Context, Stage, Summary

if TYPE_CHECKING:
    from app.batch.plan import BatchPlan


def _plan(context: Context) -> BatchPlan:
    from app.batch.plan import plan_batch

    features, version = context.result(FEATURES), context.result(REGISTRY)
    bucket = context.world.platform.bucket
    return plan_batch(context.file.pipeline, context.run, features, version, bucket, context.stage_name)


def _run(context: Context, plan: BatchPlan) -> BatchResult:
    from app.batch.run import run_batch

    table = context.file.pipeline.batch.table
    return run_batch(plan, table, context.world.warehouse, context.world.store, context.tell)


def _explain(_: Context, plan: BatchPlan) -> list[str]:
    return [item.shown for item in (plan.unload.copy, plan.create, *plan.load, plan.merge, plan.drop)]


def _summarize(result: BatchResult) -> Summary:
    return Summary(f"{result.inserted:,} inserted, {result.updated:,} updated", result.scored, result.table)


STAGE = Stage(
    name="batch",
    help="Score every entity and MERGE the scores into the prediction table.",
    result=BatchResult,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(FEATURES, REGISTRY),
)
