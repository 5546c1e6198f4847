"""A batch transform job as DescribeTransformJob shows it: the request, status and times.

The thread that runs the job writes it, requests read it. Stopping kills the containers, so that a long request does not delay it.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from localcloud.aws.http.protocol import Params
from localcloud.aws.sagemaker.timestamps import now
from localcloud.aws.sagemaker.transform.data_processing import DataProcessing

#: Default of MaxPayloadInMB.
PAYLOAD_MB = 6
_REASON_CHARACTERS = 1024


class TransformJob:
    """One job. Requests reach the thread that runs it through ``stop_requested`` and ``future``."""

    def __init__(self, request: Params, arn: str, model: Params) -> None:
        self.request = request
        self.name: str = request["TransformJobName"]
        self.arn = arn
        self.model = model
        self.status = "InProgress"
        self.stop_requested = threading.Event()
        self.future: Future[None] | None = None
        self.processing = DataProcessing(
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
        """Maximum number of requests in flight per instance."""
        return int(self.request.get("MaxConcurrentTransforms") or 1)

    @property
    def payload_mb(self) -> int:
        """The limit of one request's body; 0 for no limit."""
        return int(self.request.get("MaxPayloadInMB", PAYLOAD_MB))

    @property
    def strategy(self) -> str:
        """MultiRecord, the default according to SageMaker's log, or SingleRecord."""
        return str(self.request.get("BatchStrategy", "MultiRecord"))

    def begin(self) -> None:
        """The instances have started."""
        with self._guard:
            self._started = self._modified = now()

    def ask_to_stop(self) -> None:
        """Begin to stop and kill the containers; requests in flight fail."""
        with self._guard:
            if self.status == "InProgress":
                self.status = "Stopping"
                self._modified = now()
        self.stop_requested.set()
        for kill in list(self._containers):
            kill()

    def add_container(self, kill: Callable[[], None]) -> None:
        """Register the function that kills a container of the job."""
        self._containers.append(kill)

    def finish(self, status: str, reason: str | None = None) -> None:
        """End the job as Completed, Failed or Stopped."""
        with self._guard:
            self._ended = self._modified = now()
            self._failure = reason[:_REASON_CHARACTERS] if reason else None
            self.status = status

    def describe(self) -> Params:
        """The response of DescribeTransformJob."""
        with self._guard:
            answer = {key: value for key, value in self.request.items() if key != "Tags"}
            return answer | self._state(TransformStartTime=self._started)

    def summary(self) -> Params:
        """The job in ListTransformJobs."""
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
