"""Finds or starts the training job of a run and waits for it.

A job that is still running is waited for, no matter which process started it. A job that failed, was stopped or lost its artefact
is started again, as the next attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.errors import CallerError, Interrupted, PermanentError, SnowsageError, TransientError
from app.ports import ObjectStore, TrainingJob, TrainingRequest, TrainingService
from app.train.plan import job_name
from app.train.result import TrainedModel

#: Log lines shown with a failure: enough for a Python traceback.
LOG_LINES = 20


def run_train(
    request: TrainingRequest,
    training: TrainingService,
    poll_s: float,
    tell: Callable[[str], None] = lambda _: None,
    *,
    store: ObjectStore,
) -> TrainedModel:
    """The trained model. Raises CallerError with reason and last log lines if the job fails, TransientError for lack of
    capacity.
    """
    job = training.find(request.name_prefix)
    if job is None or is_over(job, store):
        name = job_name(request, job.name if job else None)
        if not _submit(training, request, name):
            tell(f"{name} was started already; waiting for it")
    else:
        name = job.name
    try:
        ended = _wait(training, name, poll_s, tell)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"training job {name} goes on in SageMaker, and is billed. Start the same command again to wait for it and continue, "
            f"or end it with `aws sagemaker stop-training-job --training-job-name {name}`"
        ) from stop
    if ended.status != "Completed":
        raise _failure(training, ended)
    if ended.artifact_uri is None:
        raise PermanentError(f"training job {name} completed without an artefact; look at it in SageMaker")
    return TrainedModel(name, ended.artifact_uri, dict(ended.metrics), ended.billable_s)


def is_over(job: TrainingJob, store: ObjectStore) -> bool:
    """Whether the job gives no model: it failed, or its artefact was deleted."""
    if job.status == "Completed" and job.artifact_uri is not None:
        return not artifact_exists(store, job.artifact_uri)
    return job.status in ("Failed", "Stopped")


def artifact_exists(store: ObjectStore, uri: str) -> bool:
    """Whether S3 has the artefact."""
    return any(found.uri == uri for found in store.list_below(uri))


def _submit(training: TrainingService, request: TrainingRequest, name: str) -> bool:
    try:
        return training.submit(request, name)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"training job {name} may have been started in SageMaker, and is billed then. Start the same command again: it finds "
            "the job and continues"
        ) from stop


def _wait(training: TrainingService, name: str, poll_s: float, tell: Callable[[str], None]) -> TrainingJob:
    while True:
        job = training.describe(name)
        tell(f"{name}: {job.phase}")
        if job.status in ("Completed", "Failed", "Stopped"):
            return job
        time.sleep(poll_s)


def _failure(training: TrainingService, job: TrainingJob) -> SnowsageError:
    lines = training.log_tail(job.name, LOG_LINES)
    shown = "\n".join(f"    {line}" for line in lines) or "    (it wrote no log lines)"
    # SageMaker begins a reason with its kind; these two are its own faults, not the job's.
    kind = TransientError if job.reason.startswith(("CapacityError", "InternalServerError")) else CallerError
    return kind(
        f"training job {job.name} ended as {job.status}: {job.reason or 'no reason given'}\n  its last log lines:\n{shown}"
    )
