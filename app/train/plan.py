"""Decides a training job: data, code, instances, hyperparameters."""

from __future__ import annotations

import re

from app.ports import TrainingRequest
from app.runs.identity import ENTRY, Run
from app.spec import Pipeline
from sagemaker_entry.objectives import METRICS, kind_of

#: XGBoost 3.2.0 on Python 3.12, SageMaker's newest image.
IMAGE_VERSION = "3.2-0"

#: The entry code is shipped as a package and started as a module, so that its imports are the same there and here.
MODULE = "sagemaker_entry.train"

#: The number of an attempt at the end of a job's name. Longer ones are times, in names of an earlier version.
_ATTEMPT = re.compile(r"-(\d{1,4})$")

PARTS = ("validation", "test")


def plan_train(pipeline: Pipeline, run: Run, channel_uri: str, bucket: str) -> TrainingRequest:
    """The job that trains on the export at ``channel_uri``. Its name is the run's, so that a rerun finds it."""
    training = pipeline.training
    return TrainingRequest(
        name_prefix=f"{run.pipeline}-{run.id}",
        image_version=IMAGE_VERSION,
        module=MODULE,
        source_dir=ENTRY,
        hyperparameters={
            "objective": training.objective,
            **training.hyperparameters,
            **({"split_by": training.split.method} if pipeline.is_snapshot else {}),
            **({"split_seed": training.split.seed or 0} if training.split.method == "random" else {}),
            "split_horizon_s": int(pipeline.horizon.total_seconds()),
            "split_validation": training.split.validation,
            "split_test": training.split.test,
        },
        channel_uri=channel_uri,
        output_uri=run.uri(bucket, "train").removesuffix("/"),
        instance_type=training.instance.type,
        instance_count=training.instance.count,
        spot=training.instance.spot,
        max_runtime_s=int(training.max_runtime.total_seconds()),
        metric_regexes={
            f"{part}:{metric}": rf"{part}:{metric}=([-+0-9.eE]+);"
            for part in PARTS
            for metric in sorted(METRICS[kind_of(training.objective)])
        },
        tags={"snowsage:pipeline": run.pipeline, "snowsage:run": run.id},
    )


def job_name(request: TrainingRequest, newest: str | None) -> str:
    """The name of the next job after ``newest``, which cannot succeed any more.

    Processes that start the same work at the same time choose the same name, which SageMaker gives to one job only.
    """
    found = _ATTEMPT.search(newest.removeprefix(request.name_prefix)) if newest else None
    return f"{request.name_prefix}-{int(found[1]) + 1 if found else 1}"
