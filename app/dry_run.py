"""What a run would do, without doing it: each stage's plan, as far as the values it needs are known.

Nothing is written, not even the ledger. A stage that waits for another's value says for which.
"""

from __future__ import annotations

from dataclasses import asdict

from app.batch.plan import plan_batch
from app.deploy.live import live_uri, read_live
from app.deploy.plan import plan_deploy
from app.features.observe import observe
from app.features.plan import FeaturePlan, expected_slices, feature_set, plan_features
from app.features.store import write_slice
from app.pipeline import STAGES, Context, export_plan, load_results, stages_between
from app.registry.run import versions_of
from app.runs import Ledger
from app.sql import Statement
from app.train.plan import plan_train


def explain(context: Context, first: str, last: str, again: bool = False) -> dict[str, list[str]]:
    """For each stage from ``first`` to ``last``: the statements and requests of its plan, or why they are not known yet.

    ``again``: the stages are gone through again even where the ledger has them.
    """
    chosen, names = stages_between(first, last), list(STAGES)
    ledger = Ledger(context.world.warehouse)
    load_results(context, ledger, names)
    done = set(context.results) - (set(chosen) if again else set())
    plan = None
    if "features" not in done:
        observed = observe(context.world.warehouse, context.file, context.run)
        plan = plan_features(context.file.pipeline, observed)
        context.results["features"] = feature_set(plan, expected_slices(plan, context.run.known_at))
    return {
        name: ["finished before; found, not done again"] if name in done else _explain(name, context, plan)
        for name in chosen
    }


def _explain(name: str, context: Context, features: FeaturePlan | None) -> list[str]:
    pipeline, run, platform = context.file.pipeline, context.run, context.world.platform
    version = context.results.get("registry")
    if name == "features" and features is not None:
        return _features(context, features)
    if name == "export":
        plan = export_plan(context, context.results["features"])
        return [shown(plan.check), shown(plan.copy), f"write {plan.uri}manifest.json"]
    if name == "train":
        request = plan_train(pipeline, run, run.uri(platform.bucket, "export"), platform.bucket)
        return [f"{key} = {value}" for key, value in asdict(request).items()]
    if name == "registry":
        known = versions_of(pipeline.name, context.world.warehouse)
        return [
            f"register the artefact that train makes, after {known[-1].version if known else 'no version'}; judge it by the gate"
        ]
    if version is None:
        return ["not known yet: it depends on the version that registry writes"]
    if name == "deploy":
        world, known = context.world, versions_of(pipeline.name, context.world.warehouse)
        standing = read_live(world.store, live_uri(platform.bucket, pipeline.name))
        deploy = plan_deploy(pipeline, version, known, standing, platform)
        endpoint = [f"{key} = {value}" for key, value in asdict(deploy.endpoint).items()] if deploy.endpoint else []
        return [*endpoint, f"write {deploy.live_uri}", *map(shown, deploy.functions), shown(deploy.probe)]
    if name == "batch":
        batch = plan_batch(pipeline, run, context.results["features"], version, platform.bucket, context.stage_name)
        return [shown(item) for item in (batch.unload.copy, batch.create, *batch.load, batch.merge, batch.drop)]
    return [f"compare the rows at {run.logical_date} with the baseline of version {version.version}; write ML.DRIFT"]


def _features(context: Context, plan: FeaturePlan) -> list[str]:
    lines = []
    for view in (*plan.views, plan.label):
        lines.append(f"{view.view}: {len(view.found)} slices are there, {len(view.missing)} are to be written")
        if view.missing:
            lines.append(shown(view.create))
            names = tuple(column.name for column in view.columns)
            part = view.missing[-1]
            lines += [
                shown(item)
                for item in write_slice(part, plan.contract.key, names, context.run.known_at, context.run.known_at)
            ]
            if len(view.missing) > 1:
                lines.append(f"... and the same for {len(view.missing) - 1} earlier as-of times")
    return lines


def shown(statement: Statement) -> str:
    """A statement and how many binds go with it."""
    count = len(statement.binds)
    return statement.text + (f"\n-- with {count} bind{'' if count == 1 else 's'}" if count else "")
