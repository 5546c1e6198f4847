"""A training job as DescribeTrainingJob shows it: the request echoed, and the statuses it went through.

Written by the thread that runs the job, read by requests; every change goes through a method here. The surprise: a
job's status is what callers wait for, so it changes last, after the times and artefacts that belong to it.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import threading
from concurrent.futures import Future
from typing import Any

from app.local.aws.wire import Params

_REASON_CHARACTERS = 1024
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


def now() -> dt.datetime:
    """The present as SageMaker writes it, with milliseconds."""
    moment = dt.datetime.now(dt.UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class TrainingJob:
    """One job. ``stop_requested`` and ``future`` are how a request reaches the thread that runs it."""

    def __init__(self, request: Params, arn: str) -> None:
        self.request = request
        self.name: str = request["TrainingJobName"]
        self.arn = arn
        self.tags: list[dict[str, str]] = list(request.get("Tags", []))
        self.created = self.modified = now()
        self.status = "InProgress"
        self.transitions: list[dict[str, Any]] = []
        self.stop_requested = threading.Event()
        self.abandoned = threading.Event()
        self.kill_requested = threading.Event()
        self.future: Future[None] | None = None
        self._started: dt.datetime | None = None
        self._ended: dt.datetime | None = None
        self._failure: str | None = None
        self._artifact: str | None = None
        self._metrics: dict[str, tuple[float, dt.datetime]] = {}
        self._guard = threading.RLock()
        self.enter("Starting")

    @property
    def max_runtime_s(self) -> float:
        """The limit of the request's stopping condition, or SageMaker's default of a day."""
        return float(self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400))

    def enter(self, secondary: str) -> None:
        """The next secondary status; closes the one before."""
        with self._guard:
            self.modified = moment = now()
            if self.transitions:
                self.transitions[-1].setdefault("EndTime", moment)
            if secondary == "Downloading":
                self._started = moment
            self.transitions.append({"Status": secondary, "StartTime": moment, "StatusMessage": _MESSAGES[secondary]})

    def ask_to_stop(self) -> None:
        """The state between StopTrainingJob and the end of the container; nothing happens to a job that is over."""
        with self._guard:
            if self.status != "InProgress":
                return
            self.status = "Stopping"
            self.enter("Stopping")
        self.stop_requested.set()

    def finish(self, status: str, secondary: str | None = None, *, reason: str | None = None) -> None:
        """The last status: Completed, Failed or Stopped."""
        with self._guard:
            self.enter(secondary or status)
            self.transitions[-1]["EndTime"] = self._ended = self.modified
            if reason is not None:
                self._failure = reason[:_REASON_CHARACTERS]
                self.transitions[-1]["StatusMessage"] = self._failure
            self.status = status

    def keep_artifact(self, uri: str) -> None:
        """Where ``model.tar.gz`` went."""
        with self._guard:
            self._artifact = uri

    def measure(self, line: str) -> None:
        """Read the metrics of ``MetricDefinitions`` from a line of the log; the last value of each is final."""
        for definition in self.request["AlgorithmSpecification"].get("MetricDefinitions", []):
            match = re.search(definition["Regex"], line)
            if match and match.groups():
                try:
                    value = float(match.group(1))
                except ValueError:
                    continue
                with self._guard:
                    self._metrics[definition["Name"]] = (value, now())

    def describe(self) -> Params:
        """DescribeTrainingJob's answer."""
        with self._guard:
            answer = {key: value for key, value in self.request.items() if key != "Tags"}
            answer |= {
                "TrainingJobArn": self.arn,
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
        """The job's line in ListTrainingJobs."""
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

    def _durations(self) -> Params:
        if self._started is None:
            return {}
        seconds = math.ceil(((self._ended or now()) - self._started).total_seconds())
        return {"TrainingTimeInSeconds": seconds, **({"BillableTimeInSeconds": seconds} if self._ended else {})}

    def _final_metrics(self) -> Params:
        if not self._metrics:
            return {}
        return {
            "FinalMetricDataList": [
                {"MetricName": name, "Value": value, "Timestamp": at} for name, (value, at) in self._metrics.items()
            ]
        }
