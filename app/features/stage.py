"""The features stage as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.features.training_set import FeatureSet
from app.runs.stage import Context, Stage, Summary

if TYPE_CHECKING:
    from app.features.plan import FeaturePlan


def _plan(context: Context) -> FeaturePlan:
    from app.features.observe import observe
    from app.features.plan import plan_features

    return plan_features(context.file.pipeline, observe(context.world.warehouse, context.file, context.run))


def _run(context: Context, plan: FeaturePlan) -> FeatureSet:
    from app.features.run import refuse_changed_sources, run_features

    warehouse, run = context.world.warehouse, context.run
    features = run_features(plan, warehouse, run, context.tell)
    refuse_changed_sources(plan, context.file.pipeline.sources, warehouse, run)
    return features


def _preview(context: Context, plan: FeaturePlan) -> FeatureSet:
    from app.features.plan import expected_slices, feature_set

    return feature_set(plan, expected_slices(plan, context.run.known_at))


def _explain(context: Context, plan: FeaturePlan) -> list[str]:
    from app.features.store import write_slice

    known_at, lines = context.run.known_at, []
    for view in (*plan.views, plan.label):
        lines.append(f"{view.view}: {len(view.found)} slices exist, {len(view.missing)} are missing")
        if view.missing:
            names = tuple(column.name for column in view.columns)
            writes = write_slice(view.missing[-1], plan.contract.key, names, known_at, known_at)
            lines += [view.create.shown, *(statement.shown for statement in writes)]
            if len(view.missing) > 1:
                lines.append(f"... and the same for {len(view.missing) - 1} earlier as-of times")
    return lines


def _summarize(result: FeatureSet) -> Summary:
    what = f"{len(result.made_contract().names)} features at {len(result.training_as_of) + 1} times, and the label"
    return Summary(what, sum(part.rows for part in result.slices), f"FEATURE_STORE.{', '.join(result.view_columns)}")


STAGE = Stage(
    name="features",
    help="Compute the views at every as-of time into FEATURE_STORE.",
    result=FeatureSet,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    preview=_preview,
)
