"""Asynchronous inference: a request's body on S3, its answer on S3 some time later.

In: InvokeEndpointAsync. Out: 202 at once, with the places where the answer or the failure will lie; then, by a worker, one of the
two. The surprise: everything that goes wrong after the 202, a missing input among it, is an object at the failure location.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from localcloud.aws.account import Cloud
from localcloud.aws.http.protocol import AwsError, Environ, StartResponse, respond
from localcloud.aws.s3.transfer import split_uri
from localcloud.aws.sagemaker.hosting.endpoint import Endpoint
from localcloud.aws.sagemaker.hosting.service import Hosting
from localcloud.aws.sagemaker.inference.container import InvocationBroken, InvocationTimeout

INPUT_BYTES = 2**30
_AT_ONCE = 4
_TTL_S = 6 * 3600
_TIMEOUT_S = 15 * 60
_FIRST_ERROR = 400
_PASSED = {
    "HTTP_X_AMZN_SAGEMAKER_CONTENT_TYPE": "Content-Type",
    "HTTP_X_AMZN_SAGEMAKER_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": "X-Amzn-SageMaker-Custom-Attributes",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "X-Amzn-SageMaker-Inference-Id",
}


_REFUSED = {
    "HTTP_X_AMZN_SAGEMAKER_S3OUTPUTPATHEXTENSION": "S3OutputPathExtension",
    "HTTP_X_AMZN_SAGEMAKER_FILENAME": "Filename",
}


@dataclass(frozen=True)
class _Request:
    """One request in the queue; times in seconds. ``expires``: by the monotonic clock."""

    endpoint: Endpoint
    input_uri: str
    output_uri: str
    failure_uri: str | None
    headers: dict[str, str]
    expires: float
    timeout_s: float


class _Failed(Exception):
    """What goes to the failure location."""


class AsyncInference:
    """The queues of all asynchronous endpoints, one an endpoint."""

    def __init__(self, cloud: Cloud, hosting: Hosting) -> None:
        self._cloud = cloud
        self._hosting = hosting
        # By configuration too: an endpoint that is made or updated anew gets the concurrency that it asks for.
        self._queues: dict[tuple[str, str], ThreadPoolExecutor] = {}
        self._guard = threading.Lock()

    def invoke(self, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """One InvokeEndpointAsync; raises :class:`AwsError` with the runtime's codes."""
        endpoint = self._hosting.serving(name)
        config = endpoint.asynchronous
        if config is None:
            raise AwsError("ValidationError", f"Endpoint {name} does not support asynchronous inference.")
        for header, member in _REFUSED.items():
            if environ.get(header):
                raise AwsError("ValidationError", f"The local AWS does not support {member} of InvokeEndpointAsync.")
        output = config["OutputConfig"]
        number = str(uuid.uuid4())
        failures = output.get("S3FailurePath")
        request = _Request(
            endpoint,
            environ.get("HTTP_X_AMZN_SAGEMAKER_INPUTLOCATION", ""),
            f"{output['S3OutputPath'].rstrip('/')}/{number}.out",
            f"{failures.rstrip('/')}/{number}-error.out" if failures else None,
            {passed: environ[key] for key, passed in _PASSED.items() if environ.get(key)},
            time.monotonic() + _seconds(environ, "REQUESTTTLSECONDS", _TTL_S),
            _seconds(environ, "INVOCATIONTIMEOUTSECONDS", _TIMEOUT_S),
        )
        at_once = config.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", _AT_ONCE)
        self._queue(endpoint, at_once).submit(self._serve, request)
        inference_id = environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID") or number
        headers = {"Content-Type": "application/json", "X-Amzn-SageMaker-OutputLocation": request.output_uri}
        if request.failure_uri:
            headers["X-Amzn-SageMaker-FailureLocation"] = request.failure_uri
        return respond(start_response, 202, json.dumps({"InferenceId": inference_id}).encode(), headers)

    def close(self) -> None:
        """Forget what waits; what runs ends with its container."""
        for pool in self._queues.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _queue(self, endpoint: Endpoint, at_once: int) -> ThreadPoolExecutor:
        key = (endpoint.name, endpoint.config)
        with self._guard:
            if key not in self._queues:
                self._queues[key] = ThreadPoolExecutor(at_once, thread_name_prefix="async-inference")
            return self._queues[key]

    def _serve(self, request: _Request) -> None:
        try:
            self._put(request.output_uri, *self._answer(request))
        except _Failed as failure:
            if request.failure_uri:
                self._put(request.failure_uri, str(failure).encode(), "text/plain")

    def _answer(self, request: _Request) -> tuple[bytes, str]:
        if time.monotonic() > request.expires:
            raise _Failed("The request expired before it was processed: RequestTTLSeconds has passed.")
        body = self._input(request.input_uri)
        try:
            variant = request.endpoint.choose(None)
            status, headers, data = variant.replica.invoke(body, request.headers, request.timeout_s)
        except (InvocationTimeout, InvocationBroken) as error:
            raise _Failed("Received server error (0) from primary: the invocation did not complete.") from error
        except AwsError as error:
            raise _Failed(error.message) from error
        if status >= _FIRST_ERROR:
            raise _Failed(data.decode("utf-8", "replace"))
        return data, headers.get("content-type", "application/octet-stream")

    def _input(self, uri: str) -> bytes:
        try:
            bucket, key = split_uri(uri)
            found: Any = self._cloud.s3.get_object(Bucket=bucket, Key=key)
        except (ClientError, ValueError) as error:
            raise _Failed(f"Could not read the input at {uri}: {error}") from error
        with found["Body"] as stream:
            if found["ContentLength"] > INPUT_BYTES:
                raise _Failed(f"The input at {uri} is larger than {INPUT_BYTES} bytes.")
            data: bytes = stream.read()
            return data

    def _put(self, uri: str, data: bytes, content_type: str) -> None:
        bucket, key = split_uri(uri)
        self._cloud.s3.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)


def _seconds(environ: Environ, name: str, default: float) -> float:
    return float(environ.get(f"HTTP_X_AMZN_SAGEMAKER_{name}") or default)
