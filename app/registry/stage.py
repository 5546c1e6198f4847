"""The registry stage as a value.

Its decision needs the artefact, which is read when the stage runs, so there is nothing to plan before.
"""

from __future__ import annotations

from app.export.stage import STAGE as EXPORT
from app.registry.versions import RegisteredVersion
from app.runs.stage import Context, Seen, Stage, Summary
from app.train.stage import STAGE as TRAIN


def _plan(_: Context) -> None:
    return None


def _run(context: Context, _: None) -> RegisteredVersion:
    from app.registry.run import run_registry
    from app.registry.trial import run_trial

    world, exported = context.world, context.result(EXPORT).made_contract()
    trained, bucket = context.result(TRAIN), world.platform.bucket
    return run_registry(
        context.file.pipeline, context.run, trained, exported, world.warehouse, world.store, bucket, run_trial
    )


def _look(context: Context, result: RegisteredVersion) -> Seen[RegisteredVersion]:
    from app.registry.plan import judged_again
    from app.registry.run import versions_of

    pipeline = context.file.pipeline
    known = versions_of(pipeline.name, context.world.warehouse)
    found = next((item for item in known if item.run_id == context.run.id), None)
    if found is None:
        return Seen(None, f"version {result.version} is not in the registry any more")
    if found.artifact_uri != context.result(TRAIN).artifact_uri:
        return Seen(None, f"version {found.version} gets the model that was trained again")
    if judged_again(pipeline, found, known) != found:
        return Seen(None, f"version {found.version} is judged again: the gate or the production version has changed")
    return Seen(found)


def _explain(context: Context, _: None) -> list[str]:
    from app.registry.run import versions_of

    known = versions_of(context.file.pipeline.name, context.world.warehouse)
    last = known[-1].version if known else "no version"
    return [f"register the artefact that train makes, after {last}; check it against the gate"]


def _outline(context: Context, plan: None) -> str:
    return _explain(context, plan)[0]


def _summarize(result: RegisteredVersion) -> Summary:
    single = result.report["single_column"]
    verdict = "refused" if result.stage == "rejected" else "passed"
    what = (
        f"version {result.version}, gate {verdict}; {single['column']} alone: {single['metric']} {single['value']:.4f}"
    )
    if "r2" in (mean := result.report.get("mean", {})):
        what += f"; the mean alone: rmse {mean['rmse']:.4f}"
    what += "".join(f"; warning: {text.partition(':')[0]}" for text in result.report.get("warnings", ()))
    return Summary(what, None, "ML.MODEL_VERSIONS")


STAGE = Stage(
    name="registry",
    help="Register the trained model as a version and check it against the gate.",
    result=RegisteredVersion,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(EXPORT, TRAIN),
    look=_look,
    outline=_outline,
)
