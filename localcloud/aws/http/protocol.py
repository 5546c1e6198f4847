"""What crosses the wire between a client and a handler of ours: parameters in, a result or an :class:`AwsError` out.

SageMaker speaks JSON 1.1 (the operation stands in ``X-Amz-Target``), its runtime REST-JSON, IAM the query protocol with
XML answers. The surprise: the error code travels in a header as well as in the body, and the runtime's bodies say
``Message`` where SageMaker's say ``message``.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
WsgiApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]
Params: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Params], Params | None]

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 413: "Request Entity Too Large"}


class AwsError(Exception):
    """An answer that says no in AWS's own form.

    ``code``: AWS's error code, which boto3 shows as ``error.response["Error"]["Code"]``; ``fields``: further members of
    the modelled error, such as ``OriginalStatusCode`` of a ModelError.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, **fields: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


class ValidationException(AwsError):
    """The control plane refuses the input (the runtime's own name for it is ``ValidationError``)."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class ConnectionDropped(Exception):
    """The connection is to be closed without an answer."""


class NotOurs(Exception):
    """A handler's way to say that the resource is one that moto keeps."""


def unsupported(what: str) -> ValidationException:
    """An honest no: AWS can do it, this local cloud cannot."""
    return ValidationException(f"The local AWS does not support {what}.")


def _json_default(value: Any) -> float:
    if isinstance(value, dt.datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def respond(start_response: StartResponse, status: int, body: bytes, headers: Mapping[str, str]) -> Iterable[bytes]:
    """Answer with ``body``; adds the length and a request id."""
    head = [*headers.items(), ("Content-Length", str(len(body))), ("x-amzn-RequestId", str(uuid.uuid4()))]
    start_response(f"{status} {_REASONS.get(status, 'Status')}", head)
    return [body]


def respond_json(start_response: StartResponse, result: Params | None) -> Iterable[bytes]:
    """The JSON 1.1 answer; times become epoch seconds, and an operation without output answers with no bytes."""
    body = b"" if result is None else json.dumps(result, default=_json_default).encode()
    return respond(start_response, 200, body, {"Content-Type": "application/x-amz-json-1.1"})


def respond_error(start_response: StartResponse, error: AwsError, *, rest: bool = False) -> Iterable[bytes]:
    """The error in JSON; ``rest`` for the runtime, whose members are capitalised."""
    fields = {"Message": error.message, **error.fields} if rest else {"message": error.message}
    body = json.dumps(fields if rest else {"__type": error.code, **fields}).encode()
    kind = "application/json" if rest else "application/x-amz-json-1.1"
    return respond(start_response, error.status, body, {"Content-Type": kind, "x-amzn-ErrorType": error.code})


def respond_query(start_response: StartResponse, operation: str, inner: str) -> Iterable[bytes]:
    """The query protocol's answer around the XML of the result's members."""
    xml = (
        f'<{operation}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<{operation}Result>{inner}</{operation}Result>"
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return respond(start_response, 200, xml.encode(), {"Content-Type": "text/xml"})


def respond_query_error(start_response: StartResponse, error: AwsError) -> Iterable[bytes]:
    """The query protocol's error document."""
    xml = (
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return respond(start_response, error.status, xml.encode(), {"Content-Type": "text/xml"})
