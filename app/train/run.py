"""Finds or starts the training job of a run and waits for it.

A job that is still running is waited for, no matter which process started it. A failed or stopped job is started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.errors import CallerError, PermanentError, SnowsageError, TransientError
from app.ports import TrainingJob, TrainingRequest, TrainingService
from app.train.result import TrainedModel

#: Log lines shown with a failure: enough for a Python traceback.
LOG_LINES = 20


def run_train(
    request: TrainingRequest,
    training: TrainingService,
    poll_s: float,
    tell: Callable[[str], None] = lambda _: None,
) -> TrainedModel:
    """The trained model. Raises CallerError with reason and last log lines if the job fails, TransientError for lack of
    capacity.
    """
    job = training.find(request.name_prefix)
    if job is None or job.status in ("Failed", "Stopped"):
        name = training.submit(request)
    else:
        name = job.name
    ended = _wait(training, name, poll_s, tell)
    if ended.status != "Completed":
        raise _failure(training, ended)
    if ended.artifact_uri is None:
        raise PermanentError(f"training job {name} completed without an artefact; look at it in SageMaker")
    return TrainedModel(name, ended.artifact_uri, dict(ended.metrics), ended.billable_s)


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
