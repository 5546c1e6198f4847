"""InvokeEndpoint: the request's body goes to a container, and its response back to the client.

A container's 4xx or 5xx response becomes a ModelError (HTTP 424). Only the headers that SageMaker documents reach the container.
"""

from __future__ import annotations

import datetime as dt
import http.client
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import AwsError, Environ, StartResponse, respond
from localcloud.aws.http.services import PathHandler
from localcloud.aws.sagemaker.hosting.data_capture import Exchange
from localcloud.aws.sagemaker.hosting.endpoint import LOG_GROUP, Endpoint, Variant
from localcloud.aws.sagemaker.hosting.service import Hosting
from localcloud.aws.sagemaker.inference.container import InvocationBroken, InvocationTimeout

# The API reference and botocore's model say 6 MiB, the model hosting FAQ 25 MB. This is the smaller limit.
BODY_BYTES = 6_291_456
# Copies for shadow variants: running at the same time, and running or queued.
_COPIES = 4
_QUEUED_COPIES = 64
_MODEL_ERROR = 424
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
_FORWARDED = {
    "CONTENT_TYPE": "Content-Type",
    "HTTP_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": "X-Amzn-SageMaker-Custom-Attributes",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "X-Amzn-SageMaker-Inference-Id",
}
# Headers for kinds of endpoints that the local AWS does not support.
_UNSUPPORTED = {
    "HTTP_X_AMZN_SAGEMAKER_TARGET_MODEL": "TargetModel",
    "HTTP_X_AMZN_SAGEMAKER_TARGET_CONTAINER_HOSTNAME": "TargetContainerHostname",
    "HTTP_X_AMZN_SAGEMAKER_ENABLE_EXPLANATIONS": "EnableExplanations",
    "HTTP_X_AMZN_SAGEMAKER_SESSION_ID": "SessionId",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_COMPONENT": "InferenceComponentName",
}
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class Invocation:
    """Invocations of the endpoints of ``hosting``."""

    def __init__(self, account: Account, hosting: Hosting) -> None:
        self._account = account
        self._hosting = hosting
        self._copies = ThreadPoolExecutor(_COPIES, thread_name_prefix="shadow")
        self._copy_slots = threading.BoundedSemaphore(_QUEUED_COPIES)

    def close(self) -> None:
        """Drop queued copies."""
        self._copies.shutdown(wait=False, cancel_futures=True)

    def operations(self) -> dict[str, PathHandler]:
        """Handlers by the path's last part."""
        return {"invocations": self.invoke}

    def invoke(self, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Invoke an endpoint; raises :class:`AwsError` with the runtime's codes."""
        body = environ["wsgi.input"].read()
        if len(body) > BODY_BYTES:
            raise AwsError("413", f"HTTP content length exceeded {BODY_BYTES} bytes.", status=413)
        endpoint = self._hosting.serving(name)
        if endpoint.asynchronous is not None:
            raise AwsError("ValidationError", f"Endpoint {name} is asynchronous; call InvokeEndpointAsync.")
        headers = {header: environ[key] for key, header in _FORWARDED.items() if environ.get(key)}
        for header, member in _UNSUPPORTED.items():
            if environ.get(header):
                raise AwsError("ValidationError", f"The local AWS does not support {member} of InvokeEndpoint.")
        with endpoint.choose(environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT")) as variant:
            self._shadow(endpoint, variant, body, headers)
            try:
                status, answered, data = variant.container.invoke(body, headers)
            except InvocationTimeout as error:
                raise self._timed_out(name, variant) from error
            except InvocationBroken as error:
                raise self._broken(name, variant) from error
            if status >= _FIRST_ERROR:
                raise self._model_error(name, variant, status, data)
            if len(data) > BODY_BYTES:
                raise self._broken(name, variant)
            _capture(endpoint, variant, body, headers, (answered, data))
            response_headers = {
                "Content-Type": answered.get("content-type", "application/octet-stream"),
                "x-Amzn-Invoked-Production-Variant": variant.name,
            }
            if _ATTRIBUTES in answered:
                response_headers[_ATTRIBUTES] = answered[_ATTRIBUTES]
            return respond(start_response, 200, data, response_headers)

    def _shadow(self, endpoint: Endpoint, variant: Variant, body: bytes, headers: dict[str, str]) -> None:
        """Queue copies for shadow variants. Under load copies are dropped; the invocation itself is not affected."""
        for shadow in endpoint.shadows_of(variant):
            if self._copy_slots.acquire(blocking=False):
                self._copies.submit(self._copy, endpoint, shadow, body, headers)

    def _copy(self, endpoint: Endpoint, shadow: Variant, body: bytes, headers: dict[str, str]) -> None:
        try:
            with endpoint.use(shadow):
                status, answered, data = shadow.container.invoke(body, headers)
        except (InvocationTimeout, InvocationBroken):
            return
        finally:
            self._copy_slots.release()
        if status < _FIRST_ERROR:
            _capture(endpoint, shadow, body, headers, (answered, data))

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
        region, account = self._account.region, self._account.id
        log_url = (
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logEventViewer:group={LOG_GROUP}{name}"
        )
        return AwsError(
            "ModelError",
            f"{text}. See {log_url} in account {account} for more information.",
            status=_MODEL_ERROR,
            OriginalStatusCode=status,
            OriginalMessage=original,
            LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{LOG_GROUP}{name}:log-stream:{variant.log.stream}",
        )


def _capture(
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
