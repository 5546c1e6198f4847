"""A training job as DescribeTrainingJob shows it: the request, statuses, times, metrics and artefacts.

The thread that runs the job writes it, requests read it; every change goes through a method. Clients wait for the status, so it
changes last, after the times and artefacts that belong to it.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import threading
from concurrent.futures import Future
from typing import Any

from localcloud.aws.http.protocol import Params
from localcloud.aws.sagemaker.timestamps import now
from localcloud.errors import CallerError

_REASON_CHARACTERS = 1024
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "Training job interrupted: the managed spot instances were reclaimed",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}


class TrainingJob:
    """One job. Requests reach the thread that runs it through the events and ``future``.

    ``tuning_arn``: the tuning job that launched it. ``capacity_after_s``: time from the present interruption until spot instances
    are available again.
    """

    def __init__(self, request: Params, arn: str, tuning_arn: str | None = None) -> None:
        self.request = request
        self.name: str = request["TrainingJobName"]
        self.arn = arn
        self.tuning_arn = tuning_arn
        self.tags: list[dict[str, str]] = list(request.get("Tags", []))
        self.created = self.modified = now()
        self.status = "InProgress"
        self.transitions: list[dict[str, Any]] = []
        self.stop_requested = threading.Event()
        self.abandoned = threading.Event()
        self.interrupted = threading.Event()
        self.over = threading.Event()
        self.capacity_after_s = 0.0
        self.kill_requested = threading.Event()
        self.future: Future[None] | None = None
        self._started: dt.datetime | None = None
        self._ended: dt.datetime | None = None
        self._failure: str | None = None
        self._artifact: str | None = None
        self._on_instances: list[tuple[dt.datetime, dt.datetime]] = []
        self._launched: dt.datetime | None = None
        self._metrics: dict[str, list[tuple[float, dt.datetime]]] = {}
        self._guard = threading.RLock()
        self.enter("Starting")

    @property
    def max_runtime_s(self) -> float:
        """MaxRuntimeInSeconds, by default one day as in SageMaker."""
        return float(self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400))

    @property
    def max_wait_s(self) -> float:
        """MaxWaitTimeInSeconds, the limit on waiting and running together; infinite for a job not on spot."""
        if not self.is_spot:
            return math.inf
        return float(self.request["StoppingCondition"]["MaxWaitTimeInSeconds"])

    @property
    def is_spot(self) -> bool:
        """Whether the job uses managed spot training."""
        return bool(self.request.get("EnableManagedSpotTraining"))

    @property
    def secondary(self) -> str:
        """The secondary status."""
        with self._guard:
            return str(self.transitions[-1]["Status"])

    def enter(self, secondary: str) -> None:
        """Enter the next secondary status and close the previous one."""
        with self._guard:
            self.modified = moment = now()
            if self.transitions:
                self.transitions[-1].setdefault("EndTime", moment)
            if secondary == "Downloading":
                self._started = self._started or moment
                self._launched = moment
            elif secondary == "Interrupted":
                self._release(moment)
            self.transitions.append({"Status": secondary, "StartTime": moment, "StatusMessage": _MESSAGES[secondary]})

    def ask_to_stop(self) -> None:
        """Begin to stop; no effect on a job that has ended."""
        if self.begin_stopping():
            self.stop_requested.set()

    def begin_stopping(self) -> bool:
        """Enter Stopping; False if the job is not InProgress."""
        with self._guard:
            if self.status != "InProgress":
                return False
            self.status = "Stopping"
            self.enter("Stopping")
            return True

    def interrupt(self, capacity_after_s: float) -> None:
        """Reclaim the spot instances of a job in Training; raises :class:`CallerError` for any other job."""
        with self._guard:
            if not self.is_spot:
                raise CallerError(f"Training job {self.name} does not use managed spot training.")
            if self.secondary != "Training":
                raise CallerError(
                    f"Training job {self.name} is {self.secondary}; only a job in Training can be interrupted."
                )
            self.capacity_after_s = capacity_after_s
            self.interrupted.set()

    def finish(self, status: str, secondary: str | None = None, *, reason: str | None = None) -> None:
        """End the job as Completed, Failed or Stopped."""
        with self._guard:
            self.enter(secondary or status)
            self.transitions[-1]["EndTime"] = self._ended = self.modified
            self._release(self.modified)
            if reason is not None:
                self._failure = reason[:_REASON_CHARACTERS]
                self.transitions[-1]["StatusMessage"] = self._failure
            self.status = status
        self.over.set()

    def keep_artifact(self, uri: str) -> None:
        """Record the URI of ``model.tar.gz``."""
        with self._guard:
            self._artifact = uri

    def measure(self, line: str) -> None:
        """Extract the metrics of ``MetricDefinitions`` from a line of the log."""
        for definition in self.request["AlgorithmSpecification"].get("MetricDefinitions", []):
            match = re.search(definition["Regex"], line)
            if match and match.groups():
                try:
                    value = float(match.group(1))
                except ValueError:
                    continue
                if math.isfinite(value):
                    with self._guard:
                        self._metrics.setdefault(definition["Name"], []).append((value, now()))

    def values(self, metric: str) -> list[float]:
        """All values of the metric so far, in the order of the log."""
        with self._guard:
            return [value for value, _ in self._metrics.get(metric, [])]

    def describe(self) -> Params:
        """The response of DescribeTrainingJob."""
        with self._guard:
            answer = {key: value for key, value in self.request.items() if key != "Tags"}
            answer |= {
                "TrainingJobArn": self.arn,
                "TuningJobArn": self.tuning_arn,
                "TrainingJobStatus": self.status,
                "SecondaryStatus": self.transitions[-1]["Status"],
                "SecondaryStatusTransitions": [dict(transition) for transition in self.transitions],
                "CreationTime": self.created,
                "LastModifiedTime": self.modified,
                "ModelArtifacts": {"S3ModelArtifacts": self._artifact} if self._artifact else None,
                "FailureReason": self._failure,
                "TrainingStartTime": self._started,
                "TrainingEndTime": self._ended,
                **self._durations(),
                **self._final_metrics(),
            }
            return {key: value for key, value in answer.items() if value is not None}

    def summary(self) -> Params:
        """The job in ListTrainingJobs."""
        with self._guard:
            line = {
                "TrainingJobName": self.name,
                "TrainingJobArn": self.arn,
                "CreationTime": self.created,
                "TrainingEndTime": self._ended,
                "LastModifiedTime": self.modified,
                "TrainingJobStatus": self.status,
                "SecondaryStatus": self.transitions[-1]["Status"],
            }
            return {key: value for key, value in line.items() if value is not None}

    def _release(self, moment: dt.datetime) -> None:
        if self._launched is not None:
            self._on_instances.append((self._launched, moment))
            self._launched = None

    def _durations(self) -> Params:
        if self._started is None:
            return {}
        seconds = math.ceil(((self._ended or now()) - self._started).total_seconds())
        if self._ended is None:
            return {"TrainingTimeInSeconds": seconds}
        billable = sum((end - start).total_seconds() for start, end in self._on_instances)
        return {"TrainingTimeInSeconds": max(1, seconds), "BillableTimeInSeconds": max(1, math.ceil(billable))}

    def _final_metrics(self) -> Params:
        if not self._metrics:
            return {}
        return {
            "FinalMetricDataList": [
                {"MetricName": name, "Value": values[-1][0], "Timestamp": values[-1][1]}
                for name, values in self._metrics.items()
            ]
        }
