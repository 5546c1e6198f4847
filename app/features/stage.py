"""The features stage as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.features.training_set import FeatureSet
from app.runs.stage import Context, Seen, Stage, Summary

if TYPE_CHECKING:
    from app.features.plan import FeaturePlan


def _plan(context: Context) -> FeaturePlan:
    from app.features.definitions.text_values import read_values
    from app.features.observe import observe
    from app.features.plan import plan_features, plan_views

    pipeline, warehouse, rebuilds = context.file.pipeline, context.world.warehouse, context.run.rebuilds
    observed = observe(warehouse, context.file, context.run, context.tell)
    values = read_values(warehouse, pipeline, *plan_views(pipeline, observed, rebuilds), context.tell)
    return plan_features(pipeline, observed, rebuilds, values)


def _run(context: Context, plan: FeaturePlan) -> FeatureSet:
    from app.features.run import refuse_changed_sources, run_features

    warehouse, run = context.world.warehouse, context.run
    for note in plan.notes:
        context.tell(f"note: {note}")
    features = run_features(plan, warehouse, run, context.tell)
    refuse_changed_sources(plan, context.file.pipeline.sources, warehouse, run)
    return features


def _preview(context: Context, plan: FeaturePlan) -> FeatureSet:
    from app.features.plan import expected_slices, feature_set

    return feature_set(plan, expected_slices(plan, context.run.known_at))


def _look(context: Context, result: FeatureSet) -> Seen[FeatureSet]:
    from app.features.store import current_view, view_table
    from app.ownership import find_objects, owner_of

    tables = [view_table(view) for view in (*result.view_columns, result.label_view)]
    wanted = [*tables, current_view(context.file.pipeline.name)]
    found = find_objects(context.world.warehouse, wanted)
    if missing := [str(name) for name in wanted if name not in found]:
        return Seen(None, f"{', '.join(missing)} does not exist any more")
    pipeline = context.file.pipeline.name
    # A view's table may be shared; these two are the pipeline's own.
    own = (view_table(result.label_view), current_view(pipeline))
    if taken := [str(name) for name in own if owner_of(found[name].comment) not in (None, pipeline)]:
        return Seen(None, f"{', '.join(taken)} belongs to another pipeline now")
    return Seen(result)


def _outline(_: Context, plan: FeaturePlan) -> str:
    views = (*plan.views, plan.label)
    found = sum(len(view.found) for view in views)
    damaged = f", {plan.damaged} of them damaged" if plan.damaged else ""
    notes = "".join(f"; note: {note}" for note in plan.notes)
    return f"{plan.missing} slices of {len(views)} views to compute{damaged}; {found} are found{notes}"


def _explain(context: Context, plan: FeaturePlan) -> list[str]:
    from app.features.store import statement_parts, write_slices
    from app.features.tiles.refresh import read_stored

    known_at = context.run.known_at
    lines = [f"tiles of {each.tiled.name}: {len(each.stale):,} days are stale" for each in plan.tiles if plan.missing]
    for view in (*plan.views, plan.label):
        damaged = f", {view.damaged} of them damaged" if view.damaged else ""
        lines.append(f"{view.view}: {len(view.found)} slices exist, {len(view.missing)} are missing{damaged}")
        if view.missing:
            names = tuple(column.name for column in view.columns)
            last = read_stored(view.missing[-1], plan.tiles, known_at)
            write = write_slices((last,), view.key, names, known_at, known_at)
            lines += [] if view.exists else [view.create.shown]
            lines.append(write.shown)
            if len(view.missing) > 1:
                statements = len(statement_parts(view.missing))
                lines.append(
                    f"... and the same for {len(view.missing) - 1} earlier as-of times, in {statements} "
                    f"statement{'s' if statements > 1 else ''} together"
                )
    return lines


def _summarize(result: FeatureSet) -> Summary:
    times = len({*result.training_as_of, result.scoring_as_of})
    what = f"{len(result.made_contract().names)} features at {times} time{'s' if times > 1 else ''}, and the label"
    if result.repaired:
        what += f"; {result.repaired} damaged slices were written again"
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
    outline=_outline,
    look=_look,
)
