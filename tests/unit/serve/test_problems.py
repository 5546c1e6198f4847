"""Problem types: each error class has one with a status, and the documentation lists all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import app.serve
from app.errors import CallerError, PermanentError, SnowsageError, TransientError
from app.serve.http.problem_types import TYPES, table
from app.serve.http.problems import problem_of, response_to

DOCUMENT = Path(__file__).parents[3] / "docs" / "service.md"


def raised_by_the_service() -> Iterator[type[SnowsageError]]:
    """The errors of the product and of the service."""
    for module in pkgutil.walk_packages(app.serve.__path__, "app.serve."):
        importlib.import_module(module.name)
    pending = [SnowsageError]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__.startswith(("app.serve", "app.errors")):
            yield kind


STATUSES = {
    "BodyTimeout": 408,
    "Busy": 503,
    "CallerError": 400,
    "CircuitOpen": 503,
    "ContractMismatch": 400,
    "DeferralExpired": 400,
    "EndpointRefusal": 400,
    "Forbidden": 403,
    "GateRefused": 400,
    "NotFound": 404,
    "Overloaded": 429,
    "PermanentError": 500,
    "QueryCapExceeded": 400,
    "SnowsageError": 500,
    "TooLarge": 413,
    "TooManyParts": 413,
    "TooManyRows": 413,
    "TransientError": 503,
    "Unauthorized": 401,
    "UnsupportedEncoding": 415,
    "UnsupportedMediaType": 415,
}


def test_each_error_class_has_a_problem_type_and_a_status() -> None:
    assert {kind.__name__: TYPES[problem_of(kind)].status for kind in raised_by_the_service()} == STATUSES


def test_each_problem_type_is_used() -> None:
    by_the_framework = {"unknown-path", "method-not-allowed"}
    assert {problem_of(kind) for kind in raised_by_the_service()} | by_the_framework == set(TYPES)


def test_the_documentation_contains_the_table() -> None:
    assert table() in DOCUMENT.read_text()


def test_titles_and_remedies_are_whole_sentences() -> None:
    for kind in TYPES.values():
        assert kind.uri == f"/problems/{kind.name}"
        assert kind.text.count(kind.title) == 1
        assert all(text.endswith(".") and "|" not in text for text in (kind.meaning, kind.remedy))


@pytest.mark.parametrize(
    "address",
    [
        "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/churn/invocations",
        "http://127.0.0.1:4566/lake",
        "s3://lake/churn/live.json",
        "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/churn",
        "10.0.12.7:8443",
        "[fe80::1ff:fe23:4567:890a]:443",
        "vpce-0a1b.s3.eu-west-1.vpce.amazonaws.com",
        "minio.storage.svc:9000",
    ],
)
@pytest.mark.parametrize("path", ["/predict/churn", "/models/churn/predict"])
@pytest.mark.parametrize("kind", [TransientError, PermanentError, CallerError])
def test_no_response_shows_an_address_of_what_is_behind_the_service(
    kind: type[SnowsageError], path: str, address: str
) -> None:
    body = response_to(kind(f'invoking churn: Could not connect to "{address}", try later'), path).body.decode()
    assert address not in body
    assert "invoking churn: Could not connect to" in body
    assert "try later" in body
