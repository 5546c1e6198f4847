"""InvokeEndpoint: implements ``ports.ScoringEndpoint``, the hot path to an endpoint.

boto3 takes about a millisecond of CPU time for a call, several times what the service takes for a row. So calls are sent by
``connections``, with the headers and the signature that botocore would send (``signed_request``), and boto3 remains for what is
rare: the first call with new credentials, responses that are errors, and settings that only it knows.
"""

from __future__ import annotations

import io
import logging
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from threading import local
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from urllib3 import HTTPResponse

from app.cloud.aws.connections import Answer, Connections
from app.cloud.aws.session import AwsSession, translated
from app.cloud.aws.signed_request import TIMESTAMP, RequestPattern, pattern_of, plain
from app.errors import CallerError, NotFound, SnowsageError, TransientError
from app.log import event
from app.ports import Invocation, Invoked

_log = logging.getLogger(__name__)

_TRACE_CONTEXT = TraceContextTextMapPropagator()
_CONNECT_TIMEOUT_S = 2
_FIRST_ERROR = 300


class SageMakerEndpoint:
    """InvokeEndpoint, one attempt for each call: the caller has a time budget and decides about retries.

    ``connections``: those that stay open. Requests of all threads share them.
    """

    def __init__(self, session: AwsSession, connections: int) -> None:
        self._boto = _BotoInvoke(session, connections)
        self._direct = _DirectInvoke(session, self._boto, connections)

    def invoke(self, invocation: Invocation, timeout_s: float) -> Invoked:
        attributes = _trace()
        with translated(f"invoking endpoint {invocation.endpoint}"):
            try:
                return self._direct.invoke(invocation, attributes, timeout_s)
            except ClientError as error:
                raise _refusal(invocation, error) or error from error


class _BotoInvoke:
    """InvokeEndpoint by boto3. Events show the request that botocore prepares, and give botocore a response to read.

    A client's read timeout is fixed, but botocore takes another one from a request's context. So all requests share one
    connection pool, and each call's timeout is passed through a thread-local value.
    """

    def __init__(self, session: AwsSession, connections: int) -> None:
        self._client = session.client(
            "sagemaker-runtime",
            connect_timeout=_CONNECT_TIMEOUT_S,
            max_pool_connections=connections,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        self.config: Any = self._client.meta.config
        self._call = local()
        events, operation = self._client.meta.events, "sagemaker-runtime.InvokeEndpoint"
        events.register(f"before-call.{operation}", self._limit)
        events.register(f"before-send.{operation}", self._prepared)

    @property
    def request(self) -> AWSPreparedRequest | None:
        """What botocore prepared for this thread's last call; None if it did not get so far."""
        found: AWSPreparedRequest | None = self._call.request
        return found

    def send(self, invocation: Invocation, attributes: str, timeout_s: float) -> Invoked:
        """The response."""
        return self._invoke(invocation, attributes, timeout_s, None)

    def read(self, invocation: Invocation, answer: Answer) -> Invoked:
        """What boto3 makes of a response that is already here: a result or its exception. Sends nothing."""
        return self._invoke(invocation, "", 1.0, answer)

    def _invoke(self, invocation: Invocation, attributes: str, timeout_s: float, answer: Answer | None) -> Invoked:
        self._call.timeout_s, self._call.answer, self._call.request = timeout_s, answer, None
        optional = {"TargetVariant": invocation.variant, "CustomAttributes": attributes}
        response = self._client.invoke_endpoint(
            EndpointName=invocation.endpoint,
            Body=invocation.body,
            ContentType=invocation.content_type,
            Accept=invocation.accept,
            **{name: value for name, value in optional.items() if value},
        )
        return Invoked(response["Body"].read(), response.get("InvokedProductionVariant", ""))

    def _limit(self, context: dict[str, Any], **_: Any) -> None:
        context["read_timeout"] = self._call.timeout_s

    def _prepared(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        answer: Answer | None = self._call.answer
        if answer is None:
            self._call.request = request
            return None
        raw = HTTPResponse(io.BytesIO(answer.body), answer.headers, answer.status, preload_content=False)
        return AWSResponse(request.url, answer.status, HeadersDict(answer.headers), raw)  # type: ignore[arg-type]  # as botocore does


@dataclass(frozen=True)
class _Route:
    """How to send calls with ``credentials``: after ``pattern``; by boto3 if that is None."""

    credentials: ReadOnlyCredentials
    pattern: RequestPattern | None
    connections: Connections | None


class _DirectInvoke:
    """InvokeEndpoint over connections of our own. ``_Route`` and ``plain`` are the rule which calls boto3 sends."""

    def __init__(self, session: AwsSession, boto: _BotoInvoke, connections: int) -> None:
        self._session, self._boto, self._kept = session, boto, connections
        self._credentials = session.boto.get_credentials()
        self._route: _Route | None = None

    def invoke(self, invocation: Invocation, attributes: str, timeout_s: float) -> Invoked:
        """The response. Raises botocore's exceptions."""
        if self._credentials is None or not plain(invocation, attributes):
            return self._boto.send(invocation, attributes, timeout_s)
        credentials = self._credentials.get_frozen_credentials()  # refreshes them when they are about to expire
        route = self._route
        if route is None or route.credentials != credentials:
            return self._first(invocation, attributes, timeout_s, credentials)
        if route.pattern is None or route.connections is None:
            return self._boto.send(invocation, attributes, timeout_s)
        timestamp = time.strftime(TIMESTAMP, time.gmtime())
        head = route.pattern.head(invocation, attributes, timestamp, str(uuid.uuid4()))
        answer = route.connections.post(route.pattern.url(invocation.endpoint), head, invocation.body, timeout_s)
        if answer.status >= _FIRST_ERROR:
            return self._boto.read(invocation, answer)
        return Invoked(answer.body, answer.headers.get("x-amzn-invoked-production-variant", ""))

    def _first(
        self, invocation: Invocation, attributes: str, timeout_s: float, credentials: ReadOnlyCredentials
    ) -> Invoked:
        """The response to the first call with ``credentials``, by boto3; finds the route for the next calls."""
        try:
            return self._boto.send(invocation, attributes, timeout_s)
        finally:
            if (request := self._boto.request) is not None:
                pattern = pattern_of(request, invocation, attributes, credentials.secret_key or "")
                self._route = _Route(credentials, pattern, self._connections(pattern))

    def _connections(self, pattern: RequestPattern | None) -> Connections | None:
        """Connections to the pattern's address, those in use if there are any; None if only boto3 can make them."""
        if pattern is None:
            event(_log, logging.WARNING, "botocore's requests have an unknown form; boto3 sends InvokeEndpoint")
            return None
        if self._route is not None and self._route.pattern is not None and self._route.pattern.base == pattern.base:
            return self._route.connections
        config, scheme = self._boto.config, urlsplit(pattern.base).scheme
        if config.proxies or config.client_cert or scheme in get_environ_proxies(pattern.base):
            event(_log, logging.INFO, "a proxy or a client certificate is set; boto3 sends InvokeEndpoint")
            return None
        try:
            return Connections(pattern.base, self._kept, _CONNECT_TIMEOUT_S, _ca_path(self._session))
        except OSError:
            return None  # the file of certificates cannot be read; boto3 says so at every call


def _ca_path(session: AwsSession) -> str:
    """The certificates that boto3's clients trust."""
    profile = session.boto.profile_name
    chosen = botocore.session.Session(profile=None if profile == "default" else profile).get_config_variable(
        "ca_bundle"
    )
    path: Any = get_cert_path(chosen or os.environ.get("REQUESTS_CA_BUNDLE", True))  # type: ignore[arg-type]  # or a path
    return str(path)


def _trace() -> str:
    """The custom attributes with this thread's trace, if any: the one header that SageMaker forwards to the endpoint's code."""
    carrier: dict[str, str] = {}
    _TRACE_CONTEXT.inject(carrier)
    parent = carrier.get("traceparent")
    return f"traceparent={parent}" if parent else ""


def _refusal(invocation: Invocation, error: ClientError) -> SnowsageError | None:
    """Translates errors of InvokeEndpoint that AWS's general codes do not cover: the container's own response, and an endpoint
    that does not exist yet.
    """
    endpoint, variant = invocation.endpoint, invocation.variant
    response: Mapping[str, Any] = error.response
    code, text = response["Error"].get("Code"), response["Error"].get("Message", "").lower()
    if code == "ModelError":
        status = int(response.get("OriginalStatusCode", 500))
        if 400 <= status < 500:
            return CallerError(f"the endpoint refuses the rows: {str(response.get('OriginalMessage', ''))[:300]}")
        return TransientError(f"endpoint {endpoint} failed with status {status}")
    if variant and code in ("ValidationError", "ValidationException") and "variant" in text:
        return NotFound(f"endpoint {endpoint} has no variant {variant} any more")
    if code in ("ValidationError", "ValidationException") and ("not found" in text or "not in service" in text):
        return TransientError(f"endpoint {endpoint} is not in service; deploy it, or try again in a minute")
    return None
