"""Fault middleware of the local AWS: rejects, delays or drops requests, and damages responses, as fault rules say.

Errors are in the client's protocol, so that boto3 reads and retries them as real ones. Requests that the local AWS sends to itself
are not affected.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from localcloud.aws.account import OWN_AGENT
from localcloud.aws.http import protocol
from localcloud.aws.http.operations import protocol_of, target_of
from localcloud.aws.http.protocol import AwsError, ConnectionDropped, Environ, StartResponse, WsgiApp
from localcloud.errors import CallerError
from localcloud.faults.rules import FaultPlan, Hit, Kind, Target
from localcloud.log import event

_log = logging.getLogger(__name__)

EndProcess = Callable[[Target], None]

_ERRORS: dict[tuple[Kind, str], AwsError] = {
    (Kind.THROTTLE, "s3"): AwsError("SlowDown", "Please reduce your request rate.", status=503),
    (Kind.THROTTLE, "json"): AwsError("ThrottlingException", "Rate exceeded"),
    (Kind.THROTTLE, "runtime"): AwsError("ThrottlingException", "Rate exceeded"),
    (Kind.THROTTLE, "query"): AwsError("Throttling", "Rate exceeded"),
    (Kind.ERROR, "s3"): AwsError("InternalError", "We encountered an internal error. Please try again.", status=500),
    (Kind.ERROR, "json"): AwsError("InternalFailure", "The request processing has failed.", status=500),
    (Kind.ERROR, "runtime"): AwsError("ServiceUnavailable", "The service is currently unavailable.", status=503),
    (Kind.ERROR, "query"): AwsError("InternalFailure", "The request processing has failed.", status=500),
}


class FaultMiddleware:
    """A WSGI application around ``inner``. ``end_process``: what the kinds kill and interrupt call with the request's target."""

    def __init__(self, inner: WsgiApp, plan: FaultPlan, end_process: dict[Kind, EndProcess]) -> None:
        self._inner = inner
        self._plan = plan
        self._end_process = end_process

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not self._plan.active or OWN_AGENT in environ.get("HTTP_USER_AGENT", ""):
            return self._inner(environ, start_response)
        target = target_of(environ)
        hit = self._plan.decide(target)
        if hit is None:
            return self._inner(environ, start_response)
        return self._apply(hit, target, environ, start_response)

    def _apply(self, hit: Hit, target: Target, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        error = _ERRORS.get((hit.kind, protocol_of(environ)))
        if error is not None:
            return _respond_error(error, environ, start_response)
        if hit.kind is Kind.DROP:
            raise ConnectionDropped
        if hit.kind is Kind.SLOW:
            time.sleep(hit.fault.seconds)
        if hit.kind in (Kind.LOSE, Kind.CORRUPT, Kind.TRUNCATE):
            return self._damaged(hit, environ, start_response)
        if hit.kind in (Kind.KILL, Kind.INTERRUPT):
            return self._after_ending(hit.kind, target, environ, start_response)
        return self._inner(environ, start_response)

    def _after_ending(
        self, kind: Kind, target: Target, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        # A resource that the request creates does not exist before the request is done.
        creates = target.names[0].partition(":")[2].startswith("Create")
        answer = self._inner(environ, start_response) if creates else None
        try:
            self._end_process[kind](target)
        except CallerError as reason:
            event(_log, logging.WARNING, "fault rule found no process to end", kind=kind, reason=str(reason))
        return self._inner(environ, start_response) if answer is None else answer

    def _damaged(self, hit: Hit, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        head: list[Any] = []

        def keep(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            head[:] = [status, headers, exc_info]

        body = b"".join(self._inner(environ, keep))
        if hit.kind is Kind.LOSE:
            raise ConnectionDropped
        status, headers, _ = head
        if "content-length" not in {name.lower() for name, _ in headers}:
            headers = [*headers, ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return [hit.damage(body)]


def _respond_error(error: AwsError, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    client_protocol = protocol_of(environ)
    if client_protocol == "query":
        return protocol.respond_query_error(start_response, error)
    if client_protocol != "s3":
        return protocol.respond_error(start_response, error, rest=client_protocol == "runtime")
    request_id = uuid.uuid4().hex[:16].upper()
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{error.code}</Code><Message>{error.message}</Message>'
        f"<RequestId>{request_id}</RequestId></Error>"
    )
    headers = {"Content-Type": "application/xml", "x-amz-request-id": request_id}
    return protocol.respond(start_response, error.status, xml.encode(), headers)
