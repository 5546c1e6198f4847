"""Errors as HTTP responses: the only place that knows the status and the problem type of each error.

Snowflake shows the body of an error to the SQL user, so its path answers a short ``{"error": ...}``, which is the Open Inference
Protocol's form too. All other paths answer an RFC 9457 problem document of one of the types in ``problem_types``.

The status decides what Snowflake does: it repeats a batch for minutes after 429 or 5xx, and fails the query at once otherwise.
"""

from __future__ import annotations

import logging
import math
import re
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app import log
from app.errors import CallerError, NotFound, Overloaded, SnowsageError, TransientError, Unauthorized
from app.serve.admission.query_quota import QueryCapExceeded
from app.serve.admission.slots import BodyTimeout
from app.serve.codecs.body import TooLarge, TooManyRows
from app.serve.codecs.columns import ContractMismatch
from app.serve.codecs.jit.json_limits import TooManyParts
from app.serve.codecs.media_types import UnsupportedEncoding, UnsupportedMediaType
from app.serve.http.problem_types import TYPES
from app.serve.http.routes import allowed_methods
from app.serve.response import HttpResponse
from app.serve.scoring.endpoint import EndpointRefusal
from app.serve.security.credentials import Forbidden

#: Paths of protocols that define the form of an error; it is the same for both.
_PLAIN_PREFIXES = ("/predict/", "/v2/")

PLAIN_MEDIA_TYPE, PROBLEM_MEDIA_TYPE = "application/json", "application/problem+json"

#: The problem type of each error class; a class that is not listed has its base class's.
PROBLEMS: Mapping[type[SnowsageError], str] = {
    SnowsageError: "failed",
    CallerError: "invalid-request",
    NotFound: "not-found",
    Unauthorized: "unauthorized",
    Forbidden: "forbidden",
    ContractMismatch: "contract-violation",
    EndpointRefusal: "contract-violation",
    QueryCapExceeded: "query-cap",
    BodyTimeout: "body-timeout",
    TooLarge: "too-large",
    TooManyParts: "too-large",
    TooManyRows: "too-many-rows",
    UnsupportedMediaType: "unsupported-media-type",
    UnsupportedEncoding: "unsupported-encoding",
    TransientError: "unavailable",
    Overloaded: "overloaded",
}

_MAX_TEXT_CHARS = 600
#: Addresses of what is behind the service, which vendors' texts hold: URLs, ARNs, IP addresses, names of hosts.
_ADDRESS = re.compile(
    r"""[a-z][a-z0-9+.-]*://[^\s"'<>,;)]+|\barn:[^\s"'<>,;)]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"""
    r"""|\[?[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,7}\]?(?::\d+)?|\b[\w-]+(?:\.[\w-]+)+:\d{2,5}\b"""
    r"""|\b[\w.-]+\.(?:amazonaws\.com|internal|local)(?:\.\w+)?\b""",
    re.IGNORECASE,
)
_DEFAULT_RETRY_AFTER_S = 1.0
_CHALLENGE = 'Bearer realm="snowsage"'

_logger = logging.getLogger(__name__)


def response_to(error: Exception, path: str) -> HttpResponse:
    """The response to ``error`` on a request for ``path``, as a value."""
    response = asgi_response_to(error, path)
    return HttpResponse(response.status_code, tuple(response.raw_headers), bytes(response.body))


def asgi_response_to(error: Exception, path: str) -> Response:
    """The response to ``error`` on a request for ``path``. An unexpected error is logged with its trace."""
    if isinstance(error, SnowsageError):
        return _response(problem_of(type(error)), str(error), path, _headers_of(error))
    if isinstance(error, HTTPException):
        return _framework_response(error, path)
    if isinstance(error, RequestValidationError):
        fields = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
        return _response("invalid-request", f"the request is wrong at: {fields}", path, {})
    if isinstance(error, ClientDisconnect):
        return _response(
            "invalid-request", "the caller closed the connection before the request was complete", path, {}
        )
    _log_unexpected(error)
    return _response("failed", "the service failed; its log says how", path, {})


def problem_of(kind: type[SnowsageError]) -> str:
    """The name of the problem type of an error class."""
    return next(PROBLEMS[base] for base in kind.__mro__ if base in PROBLEMS)


def is_plain(path: str) -> bool:
    """Whether errors on ``path`` have the short form of Snowflake's path and of the Open Inference Protocol."""
    return path.startswith(_PLAIN_PREFIXES) or path == "/v2"


def install(app: FastAPI) -> None:
    """Register this module's responses to errors of the framework and of the service."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            error.headers = {"Allow": allowed_methods(request.scope, app.routes)}
        return asgi_response_to(error, request.url.path)

    for kind in (SnowsageError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handle)


def _framework_response(error: HTTPException, path: str) -> Response:
    headers = error.headers or {}
    if error.status_code == 404:
        below = (
            "; it may belong to an extension of the protocol that is not supported" if path.startswith("/v2/") else ""
        )
        return _response("unknown-path", f"there is no such path{below}", path, headers)
    if error.status_code == 405:
        return _response("method-not-allowed", f"this path takes {headers.get('Allow')}", path, headers)
    status, text = error.status_code, str(error.detail)
    if is_plain(path):
        return _json({"error": text}, PLAIN_MEDIA_TYPE, status, headers)
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": text}
    return _json(problem, PROBLEM_MEDIA_TYPE, status, headers)


def _log_unexpected(error: Exception) -> None:
    # Without the error's text: the message of a library may hold a row's value.
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.event(_logger, logging.ERROR, "unforeseen failure", error=type(error).__name__, trace=trace)


def _response(problem: str, text: str, path: str, headers: Mapping[str, str]) -> Response:
    kind = TYPES[problem]
    text = _ADDRESS.sub("(address in the log)", text)
    text = text if len(text) <= _MAX_TEXT_CHARS else text[:_MAX_TEXT_CHARS] + "..."
    if is_plain(path):
        return _json({"error": text}, PLAIN_MEDIA_TYPE, kind.status, headers)
    document = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": text}
    return _json(document, PROBLEM_MEDIA_TYPE, kind.status, headers)


def _json(body: dict[str, Any], media_type: str, status: int, headers: Mapping[str, str]) -> Response:
    return Response(orjson.dumps(body), status, media_type=media_type, headers=dict(headers))


def _headers_of(error: SnowsageError) -> dict[str, str]:
    if isinstance(error, TransientError):
        seconds = _DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
        return {"Retry-After": str(max(1, math.ceil(seconds)))}
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": _CHALLENGE}
    if isinstance(error, Forbidden):  # RFC 6750, section 3.1
        return {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{error.scope}"'}
    if isinstance(error, UnsupportedMediaType):
        return {"Accept": error.accepted}
    if isinstance(error, UnsupportedEncoding):
        return {"Accept-Encoding": error.accepted}
    return {}
