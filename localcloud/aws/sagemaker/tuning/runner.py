"""Runs a tuning job: launches training jobs, stops unpromising ones, and ends the tuning job.

When a completion criterion or the time limit ends the tuning job, running training jobs are stopped first.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Iterator

from localcloud.aws.sagemaker.training.service import Training
from localcloud.aws.sagemaker.tuning.definitions import Definition
from localcloud.aws.sagemaker.tuning.job import ChildJob, TuningJob

_log = logging.getLogger(__name__)

_POLL_S = 0.05
_ATTEMPTS = 5


def run_tuning(training: Training, job: TuningJob) -> None:
    """Run the tuning job to its end; never raises."""
    try:
        _Run(training, job).run()
    except Exception:
        _log.exception("tuning job %s", job.name)
        job.finish("Failed", "InternalServerError: We encountered an internal error. Please try again.")


class _Run:
    def __init__(self, training: Training, job: TuningJob) -> None:
        self._training = training
        self._job = job
        limits = job.config["ResourceLimits"]
        self._max_parallel: int = limits["MaxParallelTrainingJobs"]
        self._max_jobs: int | None = limits.get("MaxNumberOfTrainingJobs")
        self._max_runtime_s: float | None = limits.get("MaxRuntimeInSeconds")
        self._open_definitions = list(job.definitions)
        self._turns = self._cycle()

    def run(self) -> None:
        """Launch jobs until the search or a limit ends it."""
        job = self._job
        while not job.abandoned.is_set():
            self._stop_early()
            failure = self._failure()
            if failure or job.stop_requested.is_set() or self._is_complete():
                self._end_children()
                status = "Failed" if failure else "Stopped" if job.stop_requested.is_set() else "Completed"
                job.finish(status, failure)
                return
            more = self._launch()
            if not more and not self._running():
                failure = self._failure(ended=True)
                job.finish("Failed" if failure else "Completed", failure)
                return
            time.sleep(_POLL_S)

    def _launch(self) -> bool:
        """Launch jobs up to the parallel limit; False once there is nothing more to launch."""
        while len(self._running()) < self._max_parallel:
            if self._max_jobs is not None and len(self._job.children) >= self._max_jobs:
                return False
            definition = next(self._turns, None)
            if definition is None:
                return False
            running = [child.values for child in self._running() if child.definition is definition]
            values = definition.search.next(self._job.trials(definition), running)
            if values is None:
                self._open_definitions.remove(definition)
                continue
            self._start(definition, values)
        return True

    def _start(self, definition: Definition, values: dict[str, str]) -> None:
        job = self._job
        name = f"{job.name}-{len(job.children) + 1:03d}-{secrets.token_hex(4)}"
        request = definition.training_request(name, values, list(job.request.get("Tags", [])))
        job.children.append(ChildJob(self._training.launch(request, job.arn), values, definition))

    def _cycle(self) -> Iterator[Definition]:
        """Cycle through the definitions whose search is not exhausted."""
        for number in itertools.count():
            if not self._open_definitions:
                return
            yield self._open_definitions[number % len(self._open_definitions)]

    def _running(self) -> list[ChildJob]:
        return [child for child in self._job.children if not child.job.over.is_set()]

    def _stop_early(self) -> None:
        """Apply the stopping rule to every new epoch of every running job."""
        for child in self._running():
            losses = child.losses
            over = [
                other.losses
                for other in self._job.succeeded()
                if other is not child and other.definition is child.definition
            ]
            while child.epochs_judged < len(losses):
                child.epochs_judged += 1
                if child.definition.stopping.stops(losses[: child.epochs_judged], over):
                    self._training.stop_job(child.job)
                    break

    def _is_complete(self) -> bool:
        """Whether a completion criterion or the time limit ends the tuning job."""
        job = self._job
        if self._max_runtime_s is not None and job.runtime_s >= self._max_runtime_s:
            return True
        criteria = job.config.get("TuningJobCompletionCriteria", {})
        best = job.best()
        target = criteria.get("TargetObjectiveMetricValue")
        if best and target is not None and best.losses[-1] <= best.definition.objective.loss(target):
            return True
        idle = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        return idle is not None and job.not_improving() >= idle

    def _failure(self, *, ended: bool = False) -> str | None:
        """The FailureReason if no job has succeeded after five attempts or at the end, else None."""
        over = [child for child in self._job.children if child.job.over.is_set()]
        if any(child.objective_status == "Succeeded" for child in over) or not (ended or len(over) >= _ATTEMPTS):
            return None
        if all(child.job.status == "Failed" for child in over):
            return (
                f"No training job succeeded after {len(over)} attempts. "
                "Please take a look at the training job failures to get more details."
            )
        return (
            f"No objective metrics found after running {len(over)} training jobs. Please ensure that the custom "
            "algorithm is emitting the objective metric as defined by the regular expression provided."
        )

    def _end_children(self) -> None:
        for child in self._running():
            self._training.stop_job(child.job)
        for child in self._running():
            while not child.job.over.wait(_POLL_S):
                if self._job.abandoned.is_set():
                    return
