"""The export stage as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.export.manifest import Export
from app.features.stage import STAGE as FEATURES
from app.runs.stage import Context, Seen, Stage, Summary

if TYPE_CHECKING:
    from app.export.plan import UnloadPlan


def _plan(context: Context) -> UnloadPlan:
    from app.export.plan import plan_export

    bucket, scored = context.world.platform.bucket, "batch" in context.stages
    features = context.result(FEATURES)
    return plan_export(context.file.pipeline, features, context.run, bucket, context.stage_name, scored=scored)


def _run(context: Context, plan: UnloadPlan) -> Export:
    from app.export.run import run_export

    return run_export(plan, context.world.warehouse, context.world.store)


def _look(context: Context, result: Export) -> Seen[Export]:
    from app.errors import NotFound

    try:
        context.world.store.read(f"{result.uri}manifest.json")
    except NotFound:
        return Seen(None, f"{result.uri}manifest.json does not exist any more")
    return Seen(result)


def _outline(_: Context, plan: UnloadPlan) -> str:
    return f"check the rows and unload them to {plan.uri}: 2 statements"


def _explain(_: Context, plan: UnloadPlan) -> list[str]:
    return [*(check.statement.shown for check in plan.checks), plan.copy.shown, f"write {plan.uri}manifest.json"]


def _summarize(result: Export) -> Summary:
    size, count = sum(file.size_bytes for file in result.files) / 2**20, len(result.files)
    what = f"{count} Parquet file{'' if count == 1 else 's'}, {size:.1f} MiB, and a manifest"
    return Summary(what, result.rows, result.uri)


STAGE = Stage(
    name="export",
    help="Unload the training set to S3 as Parquet, manifest last.",
    result=Export,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(FEATURES,),
    outline=_outline,
    look=_look,
)
