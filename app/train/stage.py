"""The train stage as a value."""

from __future__ import annotations

from dataclasses import asdict

from app.export.stage import STAGE as EXPORT
from app.ports import TrainingRequest
from app.runs.stage import Context, Stage, Summary
from app.train.result import TrainedModel


def _plan(context: Context) -> TrainingRequest:
    from app.train.plan import plan_train

    bucket = context.world.platform.bucket
    # The export's address follows from the run, so a dry run shows the job before there is an export.
    return plan_train(context.file.pipeline, context.run, context.run.uri(bucket, EXPORT.name), bucket)


def _run(context: Context, request: TrainingRequest) -> TrainedModel:
    from app.train.run import run_train

    return run_train(request, context.world.training, context.world.platform.poll_s, context.tell)


def _explain(_: Context, request: TrainingRequest) -> list[str]:
    return [f"{key} = {value}" for key, value in asdict(request).items()]


def _summarize(result: TrainedModel) -> Summary:
    test = {name.partition(":")[2]: value for name, value in result.metrics.items() if name.startswith("test:")}
    quality = ", ".join(f"{name} {value:.4f}" for name, value in sorted(test.items()))
    return Summary(f"test {quality}; {result.billable_s or 0} s billed", None, f"job {result.job}")


STAGE = Stage(
    name="train",
    help="Train on SageMaker; a job that this run started before is reused.",
    result=TrainedModel,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(EXPORT,),
)
