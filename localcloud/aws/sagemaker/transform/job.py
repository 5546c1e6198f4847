"""A batch transform job as DescribeTransformJob shows it: the request echoed, its status and times.

Written by the thread that runs the job, read by requests. The surprise: stopping ends the containers at once, so that a request
which would take minutes does not hold the job back.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from localcloud.aws.http.protocol import Params
from localcloud.aws.sagemaker.training.job import now
from localcloud.aws.sagemaker.transform.data_processing import Processing

#: MaxPayloadInMB where the request says nothing.
PAYLOAD_MB = 6
_REASON_CHARACTERS = 1024


class TransformJob:
    """One job. ``stop_requested`` and ``future`` are how a request reaches the thread that runs it."""

    def __init__(self, request: Params, arn: str, model: Params) -> None:
        self.request = request
        self.name: str = request["TransformJobName"]
        self.arn = arn
        self.model = model
        self.status = "InProgress"
        self.stop_requested = threading.Event()
        self.future: Future[None] | None = None
        self.processing = Processing(
            request.get("DataProcessing", {}),
            request["TransformInput"].get("ContentType", ""),
            request["TransformOutput"].get("Accept", ""),
        )
        self._created = self._modified = now()
        self._started: dt.datetime | None = None
        self._ended: dt.datetime | None = None
        self._failure: str | None = None
        self._containers: list[Callable[[], None]] = []
        self._guard = threading.Lock()

    @property
    def concurrency(self) -> int:
        """Requests in flight on one instance."""
        return int(self.request.get("MaxConcurrentTransforms") or 1)

    @property
    def payload_mb(self) -> int:
        """The limit of one request; 0 for none."""
        return int(self.request.get("MaxPayloadInMB", PAYLOAD_MB))

    @property
    def strategy(self) -> str:
        """MultiRecord, which is what SageMaker's log shows where nothing is said, or SingleRecord."""
        return str(self.request.get("BatchStrategy", "MultiRecord"))

    def begin(self) -> None:
        """The instances are there."""
        with self._guard:
            self._started = self._modified = now()

    def ask_to_stop(self) -> None:
        """Stopping; the requests in flight break."""
        with self._guard:
            if self.status == "InProgress":
                self.status = "Stopping"
                self._modified = now()
        self.stop_requested.set()
        for kill in list(self._containers):
            kill()

    def watch(self, kill: Callable[[], None]) -> None:
        """A container of the job, by what ends it."""
        self._containers.append(kill)

    def finish(self, status: str, reason: str | None = None) -> None:
        """The last status: Completed, Failed or Stopped."""
        with self._guard:
            self._ended = self._modified = now()
            self._failure = reason[:_REASON_CHARACTERS] if reason else None
            self.status = status

    def describe(self) -> Params:
        """DescribeTransformJob's answer."""
        with self._guard:
            answer = {key: value for key, value in self.request.items() if key != "Tags"}
            return answer | self._state(TransformStartTime=self._started)

    def summary(self) -> Params:
        """The job's line in ListTransformJobs."""
        with self._guard:
            return {"TransformJobName": self.name, **self._state(LastModifiedTime=self._modified)}

    def _state(self, **more: Any) -> Params:
        state = {
            "TransformJobArn": self.arn,
            "TransformJobStatus": self.status,
            "CreationTime": self._created,
            "TransformEndTime": self._ended,
            "FailureReason": self._failure,
            **more,
        }
        return {key: value for key, value in state.items() if value is not None}
