"""The train stage as a value."""

from __future__ import annotations

from dataclasses import asdict

from app.export.stage import STAGE as EXPORT
from app.ports import TrainingRequest
from app.runs.stage import Context, Seen, Stage, Summary
from app.train.result import TrainedModel


def _plan(context: Context) -> TrainingRequest:
    from app.train.plan import plan_train

    bucket = context.world.platform.bucket
    # The export's address follows from the run, so a dry run shows the job before there is an export.
    return plan_train(context.file.pipeline, context.run, context.run.uri(bucket, EXPORT.name), bucket)


def _run(context: Context, request: TrainingRequest) -> TrainedModel:
    from app.train.run import run_train

    world = context.world
    return run_train(request, world.training, world.platform.poll_s, context.tell, store=world.store)


def _look(context: Context, result: TrainedModel) -> Seen[TrainedModel]:
    from app.train.run import artifact_exists

    if not artifact_exists(context.world.store, result.artifact_uri):
        return Seen(
            None,
            f"the model of training job {result.job} is not at {result.artifact_uri} any more: it is trained again",
        )
    return Seen(result)


def _outline(context: Context, request: TrainingRequest) -> str:
    from app.train.run import is_over

    job = context.world.training.find(request.name_prefix)
    if job is not None and not is_over(job, context.world.store):
        return f"training job {job.name} is found ({job.status}); nothing new is paid for"
    spot = " on spot capacity" if request.spot else ""
    hours = request.max_runtime_s / 3600
    return (
        f"a training job on {request.instance_count} x {request.instance_type}{spot}, billed for at most {hours:.3g} h"
    )


def _reach(context: Context) -> None:
    instance = context.file.pipeline.training.instance
    context.world.training.reach(instance.type, instance.count, spot=instance.spot)


def _explain(_: Context, request: TrainingRequest) -> list[str]:
    return [f"{key} = {value}" for key, value in asdict(request).items()]


def _summarize(result: TrainedModel) -> Summary:
    test = {name.partition(":")[2]: value for name, value in result.metrics.items() if name.startswith("test:")}
    quality = ", ".join(f"{name} {value:.4f}" for name, value in sorted(test.items()))
    return Summary(f"test {quality}; {result.billable_s or 0} s billed", None, result.artifact_uri)


STAGE = Stage(
    name="train",
    help="Train on SageMaker; a job that this run started before is reused.",
    result=TrainedModel,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(EXPORT,),
    reach=_reach,
    outline=_outline,
    look=_look,
)
