"""A hyperparameter tuning job as DescribeHyperParameterTuningJob shows it, and the training jobs that it launched.

The thread that runs it writes it, requests read it. A training job that was stopped early counts as Stopped, but its last value of
the objective metric counts like any other.
"""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from typing import Any

from localcloud.aws.http.protocol import Params
from localcloud.aws.sagemaker.timestamps import now
from localcloud.aws.sagemaker.training.job import TrainingJob
from localcloud.aws.sagemaker.tuning.definitions import Definition
from localcloud.aws.sagemaker.tuning.strategies import Trial

_IMPROVEMENT = 0.01


@dataclass
class ChildJob:
    """A launched training job. ``epochs_judged``: how many values of its metric the stopping rule has seen."""

    job: TrainingJob
    values: dict[str, str]
    definition: Definition
    epochs_judged: int = 0

    @property
    def metric(self) -> list[float]:
        """The values of the objective metric so far."""
        return self.job.values(self.definition.objective.metric)

    @property
    def losses(self) -> list[float]:
        """The values of the objective metric as losses: lower is better."""
        return [self.definition.objective.loss(value) for value in self.metric]

    @property
    def objective_status(self) -> str:
        """Pending, Succeeded or Failed."""
        if not self.job.over.is_set():
            return "Pending"
        return "Succeeded" if self.job.status != "Failed" and self.metric else "Failed"

    def summary(self) -> Params:
        """The job in ListTrainingJobsForHyperParameterTuningJob."""
        described = self.job.describe()
        wanted = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime")
        line: dict[str, Any] = {key: described[key] for key in wanted if key in described}
        line |= {"TrainingJobStatus": described["TrainingJobStatus"], "TunedHyperParameters": self.values}
        line["ObjectiveStatus"] = self.objective_status
        if "FailureReason" in described:
            line["FailureReason"] = described["FailureReason"]
        if self.definition.name:
            line["TrainingJobDefinitionName"] = self.definition.name
        if line["ObjectiveStatus"] == "Succeeded":
            line["FinalHyperParameterTuningJobObjectiveMetric"] = {
                "Type": "Maximize" if self.definition.objective.maximize else "Minimize",
                "MetricName": self.definition.objective.metric,
                "Value": self.metric[-1],
            }
        return line


class TuningJob:
    """One tuning job. ``parents``: the tuning jobs of its warm start."""

    def __init__(self, request: Params, arn: str, definitions: list[Definition], parents: list[TuningJob]) -> None:
        self.request = request
        self.name: str = request["HyperParameterTuningJobName"]
        self.arn = arn
        self.definitions = definitions
        self.parents = parents
        self.children: list[ChildJob] = []
        self.created = self.modified = now()
        self.status = "InProgress"
        self.stop_requested = threading.Event()
        self.abandoned = threading.Event()
        self._ended: dt.datetime | None = None
        self._failure: str | None = None
        self._guard = threading.RLock()

    @property
    def config(self) -> Params:
        """The request's HyperParameterTuningJobConfig."""
        config: Params = self.request["HyperParameterTuningJobConfig"]
        return config

    @property
    def runtime_s(self) -> float:
        """Time from its creation to its end, or until now."""
        return ((self._ended or now()) - self.created).total_seconds()

    def ask_to_stop(self) -> None:
        """Begin to stop; no effect on a job that has ended."""
        with self._guard:
            if self.status == "InProgress":
                self.status = "Stopping"
                self.modified = now()
                self.stop_requested.set()

    def finish(self, status: str, reason: str | None = None) -> None:
        """End the job as Completed, Failed or Stopped."""
        with self._guard:
            self.modified = self._ended = now()
            self._failure = reason
            self.status = status

    def succeeded(self) -> list[ChildJob]:
        """The ended jobs that have an objective metric, in the order in which they ended."""
        found = [child for child in list(self.children) if child.objective_status == "Succeeded"]
        return sorted(found, key=lambda child: child.job.modified)

    def best(self) -> ChildJob | None:
        """The job with the lowest loss; the earlier one of equals."""
        return min(self.succeeded(), key=lambda child: child.losses[-1], default=None)

    def trials(self, definition: Definition) -> list[Trial]:
        """Results for the definition's search, including the parents' results whose values are in its space."""
        found = [Trial(c.values, c.losses[-1]) for c in self.succeeded() if c.definition is definition]
        return [trial for parent in self.parents for trial in parent.inherited(definition)] + found

    def inherited(self, definition: Definition) -> list[Trial]:
        """This job's results that are in the space of another job's definition."""
        names = [item.name for item in definition.space.ranges]
        trials = []
        for child in self.succeeded():
            given = child.job.request["HyperParameters"]
            try:
                values = {name: given[name] for name in names}
                definition.space.features(values)
            except (KeyError, ValueError):
                continue
            trials.append(Trial(values, child.losses[-1]))
        return trials

    def not_improving(self) -> int:
        """How many jobs have ended since the best loss last improved by 1% or more."""
        best: float | None = None
        count = 0
        for child in self.succeeded():
            loss = child.losses[-1]
            if best is None or best - loss >= _IMPROVEMENT * abs(best):
                best, count = loss, 0
            else:
                count += 1
        return count

    def describe(self) -> Params:
        """The response of DescribeHyperParameterTuningJob."""
        with self._guard:
            answer: dict[str, Any] = {key: value for key, value in self.request.items() if key != "Tags"}
            shown = [definition.request for definition in self.definitions]
            if "TrainingJobDefinition" in answer:
                answer["TrainingJobDefinition"] = shown[0]
            else:
                answer["TrainingJobDefinitions"] = shown
            best = self.best()
            answer |= {
                **self.summary(),
                "BestTrainingJob": best.summary() if best else None,
                "OverallBestTrainingJob": self._overall_best(),
                "FailureReason": self._failure,
                "ConsumedResources": {"RuntimeInSeconds": round(self.runtime_s)},
                "TuningJobCompletionDetails": {"NumberOfTrainingJobsObjectiveNotImproving": self.not_improving()},
            }
            for member in ("Strategy", "ResourceLimits"):
                del answer[member]
            return {key: value for key, value in answer.items() if value is not None}

    def summary(self) -> Params:
        """The job in ListHyperParameterTuningJobs."""
        with self._guard:
            line = {
                "HyperParameterTuningJobName": self.name,
                "HyperParameterTuningJobArn": self.arn,
                "HyperParameterTuningJobStatus": self.status,
                "Strategy": self.config["Strategy"],
                "CreationTime": self.created,
                "LastModifiedTime": self.modified,
                "HyperParameterTuningEndTime": self._ended,
                "TrainingJobStatusCounters": self._status_counters(),
                "ObjectiveStatusCounters": self._objective_counters(),
                "ResourceLimits": self.config["ResourceLimits"],
            }
            return {key: value for key, value in line.items() if value is not None}

    def _overall_best(self) -> Params | None:
        if not self.parents:
            return None
        found = [(job, job.best()) for job in (*self.parents, self)]
        candidates = [(job, child) for job, child in found if child]
        if not candidates:
            return None
        job, best = min(candidates, key=lambda pair: pair[1].losses[-1])
        return {**best.summary(), "TuningJobName": job.name}

    def _status_counters(self) -> dict[str, int]:
        counters = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
        names = {"Stopping": "InProgress", "Failed": "NonRetryableError"}
        for child in list(self.children):
            counters[names.get(child.job.status, child.job.status)] += 1
        return counters

    def _objective_counters(self) -> dict[str, int]:
        counters = dict.fromkeys(("Succeeded", "Pending", "Failed"), 0)
        for child in list(self.children):
            counters[child.objective_status] += 1
        return counters
