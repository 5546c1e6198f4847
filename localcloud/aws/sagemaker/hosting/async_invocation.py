"""InvokeEndpointAsync: the input is read from S3, and the result is written to S3 later.

The response is 202 with the locations of the result and of a failure; a worker then writes one of the two. Every error after the
202, a missing input included, is an object at the failure location.
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

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import AwsError, Environ, StartResponse, respond
from localcloud.aws.http.services import PathHandler
from localcloud.aws.s3.transfer import split_uri
from localcloud.aws.sagemaker.hosting.endpoint import Endpoint
from localcloud.aws.sagemaker.hosting.service import Hosting
from localcloud.aws.sagemaker.inference.container import InvocationBroken, InvocationTimeout

INPUT_BYTES = 2**30
_CONCURRENCY = 4
_TTL_S = 6 * 3600
_TIMEOUT_S = 15 * 60
_FIRST_ERROR = 400
_FORWARDED = {
    "HTTP_X_AMZN_SAGEMAKER_CONTENT_TYPE": "Content-Type",
    "HTTP_X_AMZN_SAGEMAKER_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": "X-Amzn-SageMaker-Custom-Attributes",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "X-Amzn-SageMaker-Inference-Id",
}
_UNSUPPORTED = {
    "HTTP_X_AMZN_SAGEMAKER_S3OUTPUTPATHEXTENSION": "S3OutputPathExtension",
    "HTTP_X_AMZN_SAGEMAKER_FILENAME": "Filename",
}


@dataclass(frozen=True)
class _Request:
    """A queued request. Times in seconds; ``expires`` on the monotonic clock."""

    endpoint: Endpoint
    input_uri: str
    output_uri: str
    failure_uri: str | None
    headers: dict[str, str]
    expires: float
    timeout_s: float


class _Failed(Exception):
    """The message is written to the failure location."""


class AsyncInvocation:
    """One queue per asynchronous endpoint."""

    def __init__(self, account: Account, hosting: Hosting) -> None:
        self._account = account
        self._hosting = hosting
        # The key includes the configuration, because an update may change the concurrency.
        self._queues: dict[tuple[str, str], ThreadPoolExecutor] = {}
        self._guard = threading.Lock()

    def operations(self) -> dict[str, PathHandler]:
        """Handlers by the path's last part."""
        return {"async-invocations": self.invoke}

    def invoke(self, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Queue one request; raises :class:`AwsError` with the runtime's codes."""
        endpoint = self._hosting.serving(name)
        config = endpoint.asynchronous
        if config is None:
            raise AwsError("ValidationError", f"Endpoint {name} does not support asynchronous inference.")
        for header, member in _UNSUPPORTED.items():
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
            {name: environ[key] for key, name in _FORWARDED.items() if environ.get(key)},
            time.monotonic() + _seconds(environ, "REQUESTTTLSECONDS", _TTL_S),
            _seconds(environ, "INVOCATIONTIMEOUTSECONDS", _TIMEOUT_S),
        )
        concurrency = config.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", _CONCURRENCY)
        self._queue(endpoint, concurrency).submit(self._serve, request)
        inference_id = environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID") or number
        headers = {"Content-Type": "application/json", "X-Amzn-SageMaker-OutputLocation": request.output_uri}
        if request.failure_uri:
            headers["X-Amzn-SageMaker-FailureLocation"] = request.failure_uri
        return respond(start_response, 202, json.dumps({"InferenceId": inference_id}).encode(), headers)

    def close(self) -> None:
        """Drop queued requests; running ones end with their container."""
        for pool in self._queues.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _queue(self, endpoint: Endpoint, concurrency: int) -> ThreadPoolExecutor:
        key = (endpoint.name, endpoint.config)
        with self._guard:
            if key not in self._queues:
                self._queues[key] = ThreadPoolExecutor(concurrency, thread_name_prefix="async-inference")
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
            with request.endpoint.choose(None) as variant:
                status, headers, data = variant.container.invoke(body, request.headers, request.timeout_s)
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
            found: Any = self._account.s3.get_object(Bucket=bucket, Key=key)
        except (ClientError, ValueError) as error:
            raise _Failed(f"Could not read the input at {uri}: {error}") from error
        with found["Body"] as stream:
            if found["ContentLength"] > INPUT_BYTES:
                raise _Failed(f"The input at {uri} is larger than {INPUT_BYTES} bytes.")
            data: bytes = stream.read()
            return data

    def _put(self, uri: str, data: bytes, content_type: str) -> None:
        bucket, key = split_uri(uri)
        self._account.s3.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)


def _seconds(environ: Environ, name: str, default: float) -> float:
    return float(environ.get(f"HTTP_X_AMZN_SAGEMAKER_{name}") or default)
