"""The batch stage as a value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.batch.result import BatchResult
from app.deploy.stage import STAGE as DEPLOY
from app.deploy.stage import live_in
from app.features.stage import STAGE as FEATURES
from app.registry.stage import STAGE as REGISTRY
from app.runs.stage import Context, Seen, Stage, Summary
from app.sql import Name

if TYPE_CHECKING:
    from app.batch.plan import BatchPlan
    from app.deploy.live import LiveVersion


def _plan(context: Context) -> BatchPlan:
    from app.batch.plan import plan_batch, scored_version

    features, own = context.result(FEATURES), context.result(REGISTRY)
    version = scored_version(own, _live(context), context.file.pipeline.name)
    bucket = context.world.platform.bucket
    return plan_batch(context.file.pipeline, context.run, features, version, bucket, context.stage_name)


def _live(context: Context) -> LiveVersion | None:
    """The live version; None before this run's deployment, which makes the run's own version live."""
    if DEPLOY.name not in context.results and not context.asked:
        return None
    return live_in(context.world, context.file.pipeline.name)


def _run(context: Context, plan: BatchPlan) -> BatchResult:
    from app.batch.plan import rule_of, table_comment
    from app.batch.run import run_batch
    from app.ownership import set_comment

    pipeline, warehouse = context.file.pipeline, context.world.warehouse
    if _claim(context):
        warehouse.run(set_comment("TABLE", Name.parse(pipeline.batch.table), table_comment(pipeline.name)))
    done = run_batch(plan, pipeline.batch.table, warehouse, context.world.store, context.tell)
    return replace(done, rule=rule_of(pipeline))


def _claim(context: Context) -> bool:
    """Whether the prediction table is adopted. Raises CallerError for a table of another pipeline, of someone else, or of another
    entity.
    """
    from app.batch.plan import has_our_form, refuse_other_entity
    from app.ownership import claim, find_objects

    pipeline, warehouse = context.file.pipeline, context.world.warehouse
    name = Name.parse(pipeline.batch.table)
    found = find_objects(warehouse, [name]).get(name)
    if found is None:
        return False
    columns = warehouse.describe(f"SELECT * FROM {name.sql}")
    ours = has_our_form(pipeline, {column.name for column in columns})
    adopted = claim(pipeline.name, found.existing(name, ours=ours), "write another name for batch.table")
    refuse_other_entity(pipeline, columns)
    return adopted


def _check(context: Context) -> None:
    _claim(context)


def _look(context: Context, result: BatchResult) -> Seen[BatchResult]:
    from app.batch.plan import rule_of
    from app.ownership import find_objects

    pipeline = context.file.pipeline
    name = Name.parse(pipeline.batch.table)
    if result.table != pipeline.batch.table or result.rule != rule_of(pipeline):
        return Seen(None, "the settings of batch have changed")
    if name not in find_objects(context.world.warehouse, [name]):
        return Seen(None, f"table {name} does not exist any more")
    live = _live(context)
    if live is not None and live.version != result.version:
        return Seen(
            result,
            f"scored with {result.version}, and live is {live.version}; `snowsage batch {context.file.folder}` scores with that",
        )
    return Seen(result)


def _outline(context: Context, plan: BatchPlan) -> str:
    version, own = plan.version.version, context.result(REGISTRY).version
    which = f"version {version}" if version == own else f"version {version}, which is live instead of this run's {own},"
    return f"score every entity with {which} into {context.file.pipeline.batch.table}, in this process"


def _explain(_: Context, plan: BatchPlan) -> list[str]:
    adapt = (statement for _, statement in plan.adapt)
    return [item.shown for item in (plan.unload.copy, plan.create, *adapt, *plan.load, plan.merge, plan.drop)]


def _summarize(result: BatchResult) -> Summary:
    unfit = "".join(f"; {count:,} without a score: {why}" for why, count in result.unfit.items())
    what = f"version {result.version}: {result.inserted:,} inserted, {result.updated:,} updated{unfit}"
    return Summary(what, result.scored, result.table)


STAGE = Stage(
    name="batch",
    help="Score every entity with the live version and MERGE the scores into the prediction table.",
    result=BatchResult,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(FEATURES, REGISTRY),
    outline=_outline,
    check=_check,
    look=_look,
)
