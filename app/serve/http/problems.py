"""Errors -> HTTP answers: the one place that knows which error becomes which status and which text.

Snowflake shows the body of an error to the SQL user, so on its path that is a short ``{"error": ...}``, as the Open Inference
Protocol has it too; everyone else gets an RFC 9457 problem document, of one of the types in ``problem_types``.

The one surprise: the status decides whether Snowflake repeats a batch for minutes (429 and 5xx) or tells the user at once.
"""

from __future__ import annotations

import logging
import math
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
from app.errors import SnowsageError, TransientError, Unauthorized
from app.serve.codecs.media_types import WrongEncoding, WrongType
from app.serve.http import methods
from app.serve.http.problem_types import TYPES
from app.serve.security.credentials import Forbidden

#: Paths of protocols that have an error's form of their own, which is the same for both.
_PLAIN_PREFIXES = ("/predict/", "/v2/")

PLAIN_MEDIA_TYPE, PROBLEM_MEDIA_TYPE = "application/json", "application/problem+json"

_MAX_TEXT_CHARS = 600
_DEFAULT_RETRY_AFTER_S = 1.0
_CHALLENGE = 'Bearer realm="snowsage"'

_logger = logging.getLogger(__name__)


def answer_to(error: Exception, path: str) -> Response:
    """The answer to ``error`` on a request for ``path``. An error that nobody foresaw is logged with its trace."""
    if isinstance(error, SnowsageError):
        return _answer(error.http_status, error.problem, str(error), path, _headers_of(error))
    if isinstance(error, HTTPException):
        return _answer_framework(error, path)
    if isinstance(error, RequestValidationError):
        places = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
        return _answer(400, "invalid-request", f"the request is wrong at: {places}", path, {})
    if isinstance(error, ClientDisconnect):
        return _answer(400, "invalid-request", "the caller went away before the request was complete", path, {})
    _log_unforeseen(error)
    return _answer(500, "failed", "the service failed; its log says how", path, {})


def is_plain(path: str) -> bool:
    """Whether an error on ``path`` is told in the one short form of Snowflake's path and of the Open Inference Protocol."""
    return path.startswith(_PLAIN_PREFIXES) or path == "/v2"


def install(app: FastAPI) -> None:
    """Have ``app`` answer its framework's errors and ours through ``answer_to``."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            error.headers = {"Allow": methods.allowed(request.scope, app.routes)}
        return answer_to(error, request.url.path)

    for kind in (SnowsageError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handle)


def _answer_framework(error: HTTPException, path: str) -> Response:
    headers = error.headers or {}
    if error.status_code == 404:
        below = (
            "; it may belong to an extension of the protocol that is not supported" if path.startswith("/v2/") else ""
        )
        return _answer(404, "unknown-path", f"there is no such path{below}", path, headers)
    if error.status_code == 405:
        return _answer(405, "method-not-allowed", f"this path takes {headers.get('Allow')}", path, headers)
    return _answer(error.status_code, "", str(error.detail), path, headers)


def _log_unforeseen(error: Exception) -> None:
    # Without the error's own text: nobody vouches that a library's message holds no value of a row.
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.event(_logger, logging.ERROR, "unforeseen failure", error=type(error).__name__, trace=trace)


def _answer(status: int, kind: str, text: str, path: str, headers: Mapping[str, str]) -> Response:
    text = text if len(text) <= _MAX_TEXT_CHARS else text[:_MAX_TEXT_CHARS] + "..."
    if is_plain(path):
        return _json({"error": text}, PLAIN_MEDIA_TYPE, status, headers)
    uri, title = (TYPES[kind].uri, TYPES[kind].title) if kind else ("about:blank", HTTPStatus(status).phrase)
    problem = {"type": uri, "title": title, "status": status, "detail": text}
    return _json(problem, PROBLEM_MEDIA_TYPE, status, headers)


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
    if isinstance(error, WrongType):
        return {"Accept": error.accepted}
    if isinstance(error, WrongEncoding):
        return {"Accept-Encoding": error.accepted}
    return {}
