"""InvokeEndpoint without boto3: its requests, results and errors are boto3's; botocore's connections are replaced in all cases."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.credentials import RefreshableCredentials
from opentelemetry import context, trace
from urllib3 import HTTPResponse

from app.cloud.aws.endpoint import SageMakerEndpoint
from app.cloud.aws.session import AwsSession
from app.cloud.aws.signed_request import pattern_of, plain
from app.errors import CallerError, NotFound, Overloaded, TransientError
from app.ports import Invocation
from tests.contract.serve import faulty_runtime
from tests.contract.serve.faulty_runtime import FaultyRuntime, faulty_runtime_at

INVOKE = "before-send.sagemaker-runtime.InvokeEndpoint"
CALL = Invocation("churn", b"body", "application/x-npy; contract=0123456789abcdef")
TRACE = "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def prepared(session: boto3.Session, invocation: Invocation, attributes: str = "") -> AWSPreparedRequest:
    """What botocore would send."""
    found: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        found.append(request)
        return AWSResponse(request.url, 200, {}, HTTPResponse(b"", preload_content=False))

    client = AwsSession(session).client("sagemaker-runtime")
    client.meta.events.register(INVOKE, answer)
    optional = {"TargetVariant": invocation.variant, "CustomAttributes": attributes}
    client.invoke_endpoint(
        EndpointName=invocation.endpoint,
        Body=invocation.body,
        ContentType=invocation.content_type,
        Accept=invocation.accept,
        **{name: value for name, value in optional.items() if value},
    )
    return found[0]


def text(headers: Any) -> dict[str, str]:
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in headers.items()}


CALLS = [
    Invocation(endpoint, body, content_type, variant, accept)
    for endpoint, body, content_type, variant, accept in product(
        ("churn", "a", "Churn--2-b"),
        (b"", b"\x93NUMPY\x00\xff", b"x" * 100_000),
        ("text/csv", CALL.content_type, 'application/json; note="a b"'),
        ("", "v1-2"),
        ("application/x-npy", "text/csv;q=0.9,*/*"),
    )
]
ADDRESSES = [
    None,
    "http://127.0.0.1:4566",
    "http://localhost",
    "http://LocalHost:80/",
    "https://vpce-1.runtime.sagemaker.eu-west-1.vpce.amazonaws.com:443/a/b~c",
    "http://[::1]:8080/x",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(("token", "region"), [(None, "us-east-1"), ("token/+=", "eu-west-1")])
def test_a_request_has_botocores_headers_and_signature(
    address: str | None, token: str | None, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address is None:
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
    session = boto3.Session("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token, region_name=region)
    pattern = pattern_of(prepared(session, CALL), CALL, "", "wJalrXUtnFEMI/K7MDENG")
    assert pattern is not None
    step = 1 if address == ADDRESSES[1] else 7  # all calls to one address, some to the others
    for number, call in enumerate(CALLS[::step]):
        attributes = TRACE if number % 2 else ""
        expected = prepared(session, call, attributes)
        headers = text(expected.headers)
        assert plain(call, attributes)
        assert pattern.url(call.endpoint) == expected.url
        assert pattern.headers(call, attributes, headers["X-Amz-Date"], headers["amz-sdk-invocation-id"]) == headers


def test_a_signature_of_another_day_has_another_key() -> None:
    """AWS's own steps, at a fixed time: the key follows the day of the request."""
    session = boto3.Session("AKIDEXAMPLE", "secret", region_name="us-east-1")
    pattern = pattern_of(prepared(session, CALL), CALL, "", "secret")
    assert pattern is not None
    days = ["20260131T235959Z", "20260201T000000Z", "20260131T235959Z"]
    first, second, again = (pattern.headers(CALL, "", day, "id")["Authorization"] for day in days)
    assert first == again != second
    assert "/20260131/us-east-1/sagemaker/aws4_request" in first
    assert "/20260201/us-east-1/sagemaker/aws4_request" in second


@pytest.mark.parametrize(
    "header", [{"Authorization": "Bearer token"}, {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, {"X-New": "1"}]
)
def test_a_request_of_another_form_has_no_pattern(header: dict[str, str]) -> None:
    request = prepared(boto3.Session("AKIDEXAMPLE", "secret", region_name="us-east-1"), CALL)
    assert pattern_of(request, CALL, "", "secret") is not None
    assert pattern_of(request, CALL, "", "another secret") is None
    for name, value in header.items():
        request.headers[name] = value
    assert pattern_of(request, CALL, "", "secret") is None


@pytest.mark.parametrize(
    "call",
    [
        replace(CALL, endpoint="a b"),
        replace(CALL, endpoint="a/../b"),
        replace(CALL, endpoint=""),
        replace(CALL, content_type="text/csv;  header=present"),
        replace(CALL, content_type=" text/csv"),
        replace(CALL, accept="a\r\nHost: b"),
        replace(CALL, accept=""),
        replace(CALL, variant="é"),
    ],
)
def test_a_call_that_needs_escapes_is_boto3s(call: Invocation) -> None:
    assert not plain(call, "")
    assert not plain(CALL, "a  b")


class Boto:
    """A session that counts what boto3 sends, and a runtime that records what arrives."""

    def __init__(self, runtime: FaultyRuntime, session: boto3.Session) -> None:
        self.runtime, self.sent = runtime, 0
        session.events.register(INVOKE, self._count)
        self.session = AwsSession(session)

    def _count(self, **_: Any) -> None:
        self.sent += 1

    def endpoint(self, *, known: bool) -> SageMakerEndpoint:
        """An endpoint whose next call is sent by boto3, or, if it is ``known``, without it."""
        endpoint = SageMakerEndpoint(self.session, connections=2)
        if known:
            endpoint.invoke(CALL, timeout_s=30)
        self.sent = 0
        return endpoint


@pytest.fixture
def boto(monkeypatch: pytest.MonkeyPatch) -> Iterator[Boto]:
    with faulty_runtime_at(monkeypatch) as runtime:
        runtime.behave = lambda request: request.answer(200, b"scores", x_Amzn_Invoked_Production_Variant="v1")
        yield Boto(runtime, boto3.Session("test", "test", "token", region_name="us-east-1"))


def test_what_arrives_is_the_same_by_both_ways(boto: Boto) -> None:
    arrived: list[tuple[str, dict[str, str], bytes]] = []

    def record(request: Any) -> None:
        arrived.append((request.requestline, dict(request.headers), request.body))
        request.answer(200, b"scores")

    boto.runtime.behave = record
    with ExitStack() as stack:
        span = trace.NonRecordingSpan(trace.SpanContext(0xAF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, False))
        token = context.attach(trace.set_span_in_context(span))
        stack.callback(context.detach, token)
        endpoint = boto.endpoint(known=False)
        for _ in range(2):
            endpoint.invoke(replace(CALL, variant="v1"), timeout_s=30)
    assert boto.sent == 1
    changing = {"X-Amz-Date", "Authorization", "amz-sdk-invocation-id"}
    (line, headers, body), (other_line, other_headers, other_body) = arrived
    assert (line, body) == (other_line, other_body)
    assert headers.keys() == other_headers.keys()
    assert {name: value for name, value in headers.items() if name not in changing} == {
        name: value for name, value in other_headers.items() if name not in changing
    }
    assert headers["X-Amzn-SageMaker-Custom-Attributes"].startswith("traceparent=00-0af7651916cd43dd8448eb211c80319c-")
    assert headers["amz-sdk-invocation-id"] != other_headers["amz-sdk-invocation-id"]


def test_the_result_is_the_same_by_both_ways(boto: Boto) -> None:
    by_boto3 = boto.endpoint(known=False).invoke(CALL, timeout_s=30)
    assert boto.sent == 1
    endpoint = boto.endpoint(known=True)
    assert endpoint.invoke(CALL, timeout_s=30) == by_boto3
    assert by_boto3.variant == "v1"
    assert boto.sent == 0


def refused(status: int, code: str, message: str, **fields: object) -> Callable[[Any], None]:
    body = json.dumps({"message": message, **fields}).encode()
    return lambda request: request.answer(status, body, x_amzn_ErrorType=code)


FAULTS: list[tuple[Callable[[Any], None], type[Exception]]] = [
    (faulty_runtime.throttled, Overloaded),
    (faulty_runtime.unavailable, TransientError),
    (faulty_runtime.model_failed, TransientError),
    (faulty_runtime.refused, CallerError),
    (faulty_runtime.reset, TransientError),
    (faulty_runtime.ended, TransientError),
    (refused(424, "ModelError", "m", OriginalStatusCode=413, OriginalMessage="too large"), CallerError),
    (refused(429, "ModelNotReadyException", "starting"), Overloaded),
    (refused(530, "InternalDependencyException", "later"), TransientError),
    (refused(400, "ValidationError", "Endpoint churn of account 1 not found."), TransientError),
    (refused(400, "ValidationError:http://internal/", "Variant v1 not found for endpoint churn."), NotFound),
    (refused(403, "ExpiredTokenException", "The security token included in the request is expired"), CallerError),
    (refused(413, "413", "HTTP content length exceeded 6291456 bytes."), CallerError),
    (lambda request: request.answer(302, b"", Location="http://127.0.0.1:9/"), CallerError),
    (lambda request: request.answer(500, b"<html>not JSON</html>"), TransientError),
    (lambda request: request.answer(400, b"", Content_Type="application/json"), CallerError),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_an_error_is_the_same_by_both_ways(fault: Any, expected: type[Exception], boto: Boto) -> None:
    call = replace(CALL, variant="v1")
    raised = []
    for known in (False, True):
        endpoint = boto.endpoint(known=known)
        well, boto.runtime.behave = boto.runtime.behave, fault
        with pytest.raises(expected) as error:
            endpoint.invoke(call, timeout_s=30)
        boto.runtime.behave = well
        raised.append((type(error.value), str(error.value)))
    assert raised[0] == raised[1]


def test_a_response_that_is_cut_is_transient_by_both_ways(boto: Boto) -> None:
    for known in (False, True):
        endpoint = boto.endpoint(known=known)
        well, boto.runtime.behave = boto.runtime.behave, faulty_runtime.cut_text
        with pytest.raises(TransientError, match=r"response stream.*4 bytes read, 2 more expected"):
            endpoint.invoke(CALL, timeout_s=30)
        boto.runtime.behave = well


def test_a_first_call_that_fails_is_enough_for_the_next(boto: Boto) -> None:
    endpoint = boto.endpoint(known=False)
    well, boto.runtime.behave = boto.runtime.behave, faulty_runtime.throttled
    with pytest.raises(Overloaded):
        endpoint.invoke(CALL, timeout_s=30)
    boto.runtime.behave = well
    assert endpoint.invoke(CALL, timeout_s=30).body == b"scores"
    assert boto.sent == 1


def test_behind_a_proxy_boto3_sends(boto: Boto, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[str] = []

    def record(request: Any) -> None:
        arrived.append(request.path)
        request.answer(200, b"scores")

    boto.runtime.behave = record
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{boto.runtime.server_port}")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://runtime.test")
    endpoint = boto.endpoint(known=False)
    for _ in range(3):
        endpoint.invoke(CALL, timeout_s=30)
    assert arrived == ["http://runtime.test/endpoints/churn/invocations"] * 3
    assert boto.sent == 3


def test_a_call_with_escapes_is_sent_by_boto3(boto: Boto) -> None:
    endpoint = boto.endpoint(known=True)
    assert endpoint.invoke(replace(CALL, endpoint="a b"), timeout_s=30).body == b"scores"
    assert boto.sent == 1


def test_credentials_are_refreshed_before_they_expire(boto: Boto) -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    arrived: list[tuple[str, str]] = []
    made = iter(range(1, 100))

    def fresh() -> dict[str, str]:
        number = next(made)
        expires = (now + dt.timedelta(hours=1)).isoformat()
        return {"access_key": f"AK{number}", "secret_key": "s", "token": f"token{number}", "expiry_time": expires}

    def record(request: Any) -> None:
        credential = request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        arrived.append((credential, request.headers["X-Amz-Security-Token"]))
        request.answer(200, b"scores")

    boto.runtime.behave = record
    credentials = RefreshableCredentials.create_from_metadata(fresh(), fresh, "test")
    credentials._time_fetcher = lambda: now  # type: ignore[attr-defined]
    core = botocore.session.Session()
    core._credentials = credentials  # type: ignore[attr-defined]
    boto = Boto(boto.runtime, boto3.Session(botocore_session=core, region_name="us-east-1"))
    endpoint = boto.endpoint(known=False)
    for _ in range(3):
        endpoint.invoke(CALL, timeout_s=30)
    now += dt.timedelta(minutes=59)
    for _ in range(3):
        endpoint.invoke(CALL, timeout_s=30)
    assert arrived == [("AK1", "token1")] * 3 + [("AK2", "token2")] * 3
    assert boto.sent == 2, "the first call with each credentials"
