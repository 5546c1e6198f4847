"""Faults on the requests that the local Snowflake sends for external functions (``snowflake:external-function``).

Snowflake's own retries follow. The damage is applied to the compressed response, so its digest detects it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import urllib3

from localcloud.faults.rules import FaultPlan, Hit, Kind, Target

NAME = "snowflake:external-function"

_ERRORS = {
    Kind.THROTTLE: (429, b'{"message":"Too Many Requests"}'),
    Kind.ERROR: (503, b'{"message":"Service Unavailable"}'),
}
_ABORTED = "Connection aborted."


def exchange(plan: FaultPlan, url: str, send: Callable[[], urllib3.BaseHTTPResponse]) -> urllib3.BaseHTTPResponse:
    """Call ``send``, or apply the fault rule that the request meets. Its resources are ``url`` and the URL's path."""
    hit = plan.decide(Target((NAME,), (urlsplit(url).path, url))) if plan.active else None
    return send() if hit is None else _apply(hit, send)


def _apply(hit: Hit, send: Callable[[], urllib3.BaseHTTPResponse]) -> urllib3.BaseHTTPResponse:
    if hit.kind in _ERRORS:
        status, body = _ERRORS[hit.kind]
        return _response(status, body, {"Content-Type": "application/json"})
    if hit.kind is Kind.SLOW:
        time.sleep(hit.fault.seconds)
    if hit.kind is Kind.DROP:
        raise urllib3.exceptions.ProtocolError(_ABORTED)
    reply = send()
    if hit.kind is Kind.LOSE:
        raise urllib3.exceptions.ProtocolError(_ABORTED)
    if hit.kind is Kind.TRUNCATE:
        raise urllib3.exceptions.IncompleteRead(len(reply.data) // 2, len(reply.data) - len(reply.data) // 2)
    if hit.kind is Kind.CORRUPT:
        return _response(reply.status, hit.damage(reply.data), dict(reply.headers))
    return reply


def _response(status: int, body: bytes, headers: dict[str, str]) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(body, headers=headers, status=status, preload_content=True, decode_content=False)
