"""Responses in AWS's protocols: JSON 1.1 (SageMaker), REST-JSON (SageMaker Runtime) and query with XML (IAM, CloudFormation).

JSON errors carry their code in a header as well as in the body. The runtime's error bodies say ``Message``, SageMaker's say
``message``.
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
    """An AWS error response.

    ``code``: AWS's error code, ``error.response["Error"]["Code"]`` in boto3. ``status``: HTTP status. ``fields``: further members
    of the modelled error, such as ``OriginalStatusCode`` of a ModelError.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, **fields: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


class ValidationException(AwsError):
    """The control plane rejects the input. SageMaker Runtime's code for the same is ``ValidationError``."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class ConnectionDropped(Exception):
    """The server closes the connection without a response."""


class DelegateToMoto(Exception):
    """Raised by a handler to pass the request on to moto unchanged."""


def unsupported(what: str) -> ValidationException:
    """The error for a feature that AWS has and the local AWS does not."""
    return ValidationException(f"The local AWS does not support {what}.")


def _json_default(value: Any) -> float:
    if isinstance(value, dt.datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def respond(start_response: StartResponse, status: int, body: bytes, headers: Mapping[str, str]) -> Iterable[bytes]:
    """Send ``body``; adds the length and a request id."""
    head = [*headers.items(), ("Content-Length", str(len(body))), ("x-amzn-RequestId", str(uuid.uuid4()))]
    start_response(f"{status} {_REASONS.get(status, 'Status')}", head)
    return [body]


def respond_json(start_response: StartResponse, result: Params | None) -> Iterable[bytes]:
    """A JSON 1.1 response. Times become epoch seconds; an operation without output has an empty body."""
    body = b"" if result is None else json.dumps(result, default=_json_default).encode()
    return respond(start_response, 200, body, {"Content-Type": "application/x-amz-json-1.1"})


def respond_error(start_response: StartResponse, error: AwsError, *, rest: bool = False) -> Iterable[bytes]:
    """A JSON error. ``rest``: in the form of SageMaker Runtime, with capitalised members."""
    fields = {"Message": error.message, **error.fields} if rest else {"message": error.message}
    body = json.dumps(fields if rest else {"__type": error.code, **fields}).encode()
    kind = "application/json" if rest else "application/x-amz-json-1.1"
    return respond(start_response, error.status, body, {"Content-Type": kind, "x-amzn-ErrorType": error.code})


def respond_query(start_response: StartResponse, operation: str, inner: str) -> Iterable[bytes]:
    """A query protocol response; ``inner`` is the XML of the result's members."""
    xml = (
        f'<{operation}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<{operation}Result>{inner}</{operation}Result>"
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return respond(start_response, 200, xml.encode(), {"Content-Type": "text/xml"})


def respond_query_error(start_response: StartResponse, error: AwsError) -> Iterable[bytes]:
    """A query protocol error document."""
    xml = (
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return respond(start_response, error.status, xml.encode(), {"Content-Type": "text/xml"})
