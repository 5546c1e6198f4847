"""InvokeEndpoint: the hot path, bytes from the client to a container and back.

In: a WSGI request for ``/endpoints/<name>/invocations``. Out: the container's answer, or the runtime's errors. Two
surprises: what the container says with a 4xx or 5xx becomes a ModelError (HTTP 424) around it, and only the headers
that SageMaker documents reach the container.
"""

from __future__ import annotations

import datetime as dt
import http.client
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from localcloud.aws.account import Cloud
from localcloud.aws.http.protocol import AwsError, Environ, StartResponse, respond
from localcloud.aws.sagemaker.hosting.data_capture import Exchange
from localcloud.aws.sagemaker.hosting.endpoint import LOG_GROUP, Endpoint, Variant
from localcloud.aws.sagemaker.hosting.service import Hosting
from localcloud.aws.sagemaker.inference.container import InvocationBroken, InvocationTimeout

# The API's reference and botocore's model say 6 MiB; the model hosting FAQ says 25 MB. The smaller one is safe.
BODY_BYTES = 6_291_456
# Copies for shadow variants that run, and that run or wait.
_COPIES = 4
_WAITING_COPIES = 64
_MODEL_ERROR = 424
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
_PASSED = {
    "CONTENT_TYPE": "Content-Type",
    "HTTP_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": "X-Amzn-SageMaker-Custom-Attributes",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "X-Amzn-SageMaker-Inference-Id",
}
# What only endpoints of other kinds take.
_REFUSED = {
    "HTTP_X_AMZN_SAGEMAKER_TARGET_MODEL": "TargetModel",
    "HTTP_X_AMZN_SAGEMAKER_TARGET_CONTAINER_HOSTNAME": "TargetContainerHostname",
    "HTTP_X_AMZN_SAGEMAKER_ENABLE_EXPLANATIONS": "EnableExplanations",
    "HTTP_X_AMZN_SAGEMAKER_SESSION_ID": "SessionId",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_COMPONENT": "InferenceComponentName",
}
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class Invocation:
    """Calls into the endpoints of ``hosting``."""

    def __init__(self, cloud: Cloud, hosting: Hosting) -> None:
        self._cloud = cloud
        self._hosting = hosting
        self._copies = ThreadPoolExecutor(_COPIES, thread_name_prefix="shadow")
        self._copying = threading.BoundedSemaphore(_WAITING_COPIES)

    def close(self) -> None:
        """Forget the copies that wait."""
        self._copies.shutdown(wait=False, cancel_futures=True)

    def invoke(self, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """One InvokeEndpoint; raises :class:`AwsError` with the runtime's codes."""
        body = environ["wsgi.input"].read()
        if len(body) > BODY_BYTES:
            raise AwsError("413", f"HTTP content length exceeded {BODY_BYTES} bytes.", status=413)
        endpoint = self._hosting.serving(name)
        if endpoint.asynchronous is not None:
            raise AwsError("ValidationError", f"Endpoint {name} is asynchronous; call InvokeEndpointAsync.")
        variant = endpoint.choose(environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT"))
        headers = {passed: environ[key] for key, passed in _PASSED.items() if environ.get(key)}
        for header, member in _REFUSED.items():
            if environ.get(header):
                raise AwsError("ValidationError", f"The local AWS does not support {member} of InvokeEndpoint.")
        self._shadow(endpoint, variant, body, headers)
        try:
            status, answered, data = variant.replica.invoke(body, headers)
        except InvocationTimeout as error:
            raise self._timed_out(name, variant) from error
        except InvocationBroken as error:
            raise self._broken(name, variant) from error
        if status >= _FIRST_ERROR:
            raise self._model_error(name, variant, status, data)
        if len(data) > BODY_BYTES:
            raise self._broken(name, variant)
        _captured(endpoint, variant, body, headers, (answered, data))
        given = {
            "Content-Type": answered.get("content-type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": variant.name,
        }
        if _ATTRIBUTES in answered:
            given[_ATTRIBUTES] = answered[_ATTRIBUTES]
        return respond(start_response, 200, data, given)

    def _shadow(self, endpoint: Endpoint, variant: Variant, body: bytes, headers: dict[str, str]) -> None:
        """Give shadow variants their copy, beside the call; under too much load copies are left out, never calls."""
        for shadow in endpoint.shadows_of(variant):
            if self._copying.acquire(blocking=False):
                self._copies.submit(self._copy, endpoint, shadow, body, headers)

    def _copy(self, endpoint: Endpoint, shadow: Variant, body: bytes, headers: dict[str, str]) -> None:
        try:
            status, answered, data = shadow.replica.invoke(body, headers)
        except (InvocationTimeout, InvocationBroken):
            return
        finally:
            self._copying.release()
        if status < _FIRST_ERROR:
            _captured(endpoint, shadow, body, headers, (answered, data))

    def _model_error(self, name: str, variant: Variant, status: int, data: bytes) -> AwsError:
        text = data.decode("utf-8", "replace")
        side = "server" if status >= _FIRST_SERVER_ERROR else "client"
        return self._error(
            name, variant, f'Received {side} error ({status}) from primary with message "{text}"', status, text
        )

    def _timed_out(self, name: str, variant: Variant) -> AwsError:
        text = (
            "Your invocation timed out while waiting for a response from container primary. Review the latency metrics "
            "for each container in Amazon CloudWatch, resolve the issue, and try again."
        )
        return self._error(name, variant, f'Received server error (0) from primary with message "{text}"', 0, text)

    def _broken(self, name: str, variant: Variant) -> AwsError:
        text = "could not load the entire response body"
        return self._error(name, variant, f"Received server error (0) from primary and {text}", 0, "")

    def _error(self, name: str, variant: Variant, text: str, status: int, original: str) -> AwsError:
        region, account = self._cloud.region, self._cloud.account
        place = (
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logEventViewer:group={LOG_GROUP}{name}"
        )
        return AwsError(
            "ModelError",
            f"{text}. See {place} in account {account} for more information.",
            status=_MODEL_ERROR,
            OriginalStatusCode=status,
            OriginalMessage=original,
            LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{LOG_GROUP}{name}:log-stream:{variant.log.stream}",
        )


def _captured(
    endpoint: Endpoint,
    variant: Variant,
    body: bytes,
    headers: dict[str, str],
    answer: tuple[http.client.HTTPMessage, bytes],
) -> None:
    if (capture := endpoint.capture) is None:
        return
    kinds = (headers.get("Content-Type", ""), answer[0].get("content-type", "application/octet-stream"))
    inference_id = headers.get("X-Amzn-SageMaker-Inference-Id")
    capture.offer(Exchange(variant.name, body, answer[1], kinds, inference_id, dt.datetime.now(dt.UTC)))
