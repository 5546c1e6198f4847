"""Routing of AWS requests: to a service's handler, or to the fallback with the body unread."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from localcloud.aws.http.protocol import AwsError, DelegateToMoto, Environ, Params, StartResponse, ValidationException
from localcloud.aws.http.routing import Router
from localcloud.aws.http.services import JsonService, PathService, QueryService


def _fallback(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b"fallback " + environ["wsgi.input"].read()]


def _delegate(_params: Any) -> Any:
    raise DelegateToMoto


def _validate(_operation: str, params: Params) -> None:
    if "Bad" in params:
        raise ValidationException("Bad is not allowed.")


def _check_fallback(operation: str) -> None:
    if operation != "Kept":
        raise AwsError("UnknownOperationException", f"no operation {operation}")


_ROUTER = Router(
    [
        JsonService(
            name="toys",
            target="Toys",
            operations={"Echo": lambda params: {"given": params}, "Delegated": _delegate},
            validate=_validate,
            check_fallback=_check_fallback,
        ),
        PathService(
            name="toys",
            collection="boxes",
            operations={"open": lambda box, _environ, start: (start("200 OK", []), [box.encode()])[1]},
        ),
        QueryService(
            "forms", {"Echo": lambda form: f"<Given>{form['Given']}</Given>", "Delegated": lambda form: _delegate(form)}
        ),
    ],
    _fallback,
)


def _call(service: str, body: bytes, path: str = "/", **headers: str) -> tuple[str, bytes]:
    statuses: list[str] = []
    environ = {
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/{service}/aws4_request",
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "wsgi.input": io.BytesIO(body),
        **headers,
    }
    parts = _ROUTER(environ, lambda status, _headers: statuses.append(status))
    return statuses[0], b"".join(parts)


@pytest.mark.parametrize(
    ("operation", "body", "status", "answer"),
    [
        ("Echo", b'{"A": 1}', "200 OK", {"given": {"A": 1}}),
        ("Echo", b"", "200 OK", {"given": {}}),
        ("Echo", b"no json", "400 Bad Request", {"__type": "SerializationException"}),
        ("Echo", b'{"Bad": 1}', "400 Bad Request", {"__type": "ValidationException", "message": "Bad is not allowed."}),
        ("Other", b"{}", "400 Bad Request", {"__type": "UnknownOperationException", "message": "no operation Other"}),
    ],
)
def test_a_json_service_answers_by_operation(operation: str, body: bytes, status: str, answer: dict[str, Any]) -> None:
    found_status, found = _call("toys", body, HTTP_X_AMZ_TARGET=f"Toys.{operation}")
    assert (found_status, {**json.loads(found), **answer}) == (status, json.loads(found))


@pytest.mark.parametrize(
    ("service", "body", "headers"),
    [
        ("toys", b'{"A": 1}', {"HTTP_X_AMZ_TARGET": "Toys.Delegated"}),
        ("toys", b'{"A": 1}', {"HTTP_X_AMZ_TARGET": "Toys.Kept"}),
        ("toys", b"x", {}),
        ("forms", b"Action=Delegated", {}),
        ("forms", b"Action=Other", {}),
        ("unknown", b"x", {}),
    ],
)
def test_the_fallback_gets_the_whole_body(service: str, body: bytes, headers: dict[str, str]) -> None:
    assert _call(service, body, **headers) == ("200 OK", b"fallback " + body)


def test_a_query_service_answers_by_action() -> None:
    status, answer = _call("forms", b"Action=Echo&Given=x")
    assert status == "200 OK"
    assert b"<EchoResult><Given>x</Given></EchoResult>" in answer


def test_a_path_service_answers_by_path() -> None:
    assert _call("toys", b"", "/boxes/red/open") == ("200 OK", b"red")
    status, answer = _call("toys", b"", "/boxes/red/close")
    assert (status, json.loads(answer)) == ("400 Bad Request", {"Message": "The local AWS does not support close."})
