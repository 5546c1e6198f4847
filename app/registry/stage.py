"""The registry stage as a value.

Its decision needs the artefact, which is read when the stage runs, so there is nothing to plan before.
"""

from __future__ import annotations

from app.export.stage import STAGE as EXPORT
from app.registry.versions import RegisteredVersion
from app.runs.stage import Context, Stage, Summary
from app.train.stage import STAGE as TRAIN


def _plan(_: Context) -> None:
    return None


def _run(context: Context, _: None) -> RegisteredVersion:
    from app.registry.run import run_registry

    world, exported = context.world, context.result(EXPORT).made_contract()
    trained = context.result(TRAIN)
    return run_registry(context.file.pipeline, context.run, trained, exported, world.warehouse, world.store)


def _explain(context: Context, _: None) -> list[str]:
    from app.registry.run import versions_of

    known = versions_of(context.file.pipeline.name, context.world.warehouse)
    last = known[-1].version if known else "no version"
    return [f"register the artefact that train makes, after {last}; check it against the gate"]


def _summarize(result: RegisteredVersion) -> Summary:
    single = result.report["single_column"]
    verdict = "refused" if result.stage == "rejected" else "passed"
    what = (
        f"version {result.version}, gate {verdict}; {single['column']} alone: {single['metric']} {single['value']:.4f}"
    )
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
)
