"""Endpoint faults (throttling, slowness, resets, truncation, no listener) through boto3 and HTTP: call counts and responses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.cloud.aws.endpoint import SageMakerEndpoint
from tests.contract.serve import faulty_runtime
from tests.contract.serve.faulty_runtime import FaultyRuntime, faulty_endpoint
from tests.contract.serve.service import Service, answering
from tests.unit.serve.fakes import live_version

BATCH = {"data": [[0, 1, 2, 3]]}
SCORED = {"data": [[0, 6.0]]}
NEVER = 10**6


@pytest.fixture
def runtime_and_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FaultyRuntime, SageMakerEndpoint]]:
    with faulty_endpoint(monkeypatch) as both:
        yield both


@pytest.fixture
def runtime(runtime_and_endpoint: tuple[FaultyRuntime, SageMakerEndpoint]) -> FaultyRuntime:
    return runtime_and_endpoint[0]


@pytest.fixture
def serve(start: Any, runtime_and_endpoint: tuple[FaultyRuntime, SageMakerEndpoint]) -> Any:
    return lambda **settings: start(Service(runtime_and_endpoint[1], live_version(), **settings))


def ask(service: Service) -> httpx.Response:
    return service.post("/predict/churn", json=BATCH)


def count(service: Service, name: str) -> float:
    lines = service.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"snowsage_serve_{name}"))


FAULTS = [
    faulty_runtime.throttled,
    faulty_runtime.unavailable,
    faulty_runtime.model_failed,
    faulty_runtime.reset,
    faulty_runtime.cut,
]


@pytest.mark.parametrize("fault", FAULTS, ids=["throttled", "unavailable", "model failed", "reset", "cut"])
def test_retries_add_a_fifth_to_the_calls_of_a_failing_endpoint(fault: Any, serve: Any, runtime: FaultyRuntime) -> None:
    # The circuit breaker would reject some of these calls.
    service = serve(breaker_failures=NEVER, caller_share=1)
    runtime.behave = fault
    calls = 40
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: ask(service), range(calls)))
    expected = 429 if fault is faulty_runtime.throttled else 503
    assert {answer.status_code for answer in answers} == {expected}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert all(list(answer.json()) == ["error"] for answer in answers)
    assert calls < runtime.asked <= 1.2 * calls
    assert runtime.asked == count(service, "endpoint_attempts_total")
    assert count(service, 'endpoint_retries_total{endpoint="churn-endpoint",outcome="made"}') <= 0.2 * calls


def test_an_open_breaker_rejects_requests_before_their_body_is_read(serve: Any, runtime: FaultyRuntime) -> None:
    service = serve(breaker_failures=3, breaker_open_s=60)
    runtime.behave = faulty_runtime.reset
    for _ in range(3):
        assert ask(service).status_code == 503
    assert (runtime.asked, count(service, "breaker_state")) == (3, 2)
    runtime.behave = faulty_runtime.well
    for content in (b"{", b'{"data":[[0,1,2,3]]}'):
        answer = service.post("/predict/churn", content=content)
        assert answer.status_code == 503
        assert 1 < int(answer.headers["retry-after"]) <= 60
        assert "circuit breaker is open" in answer.json()["error"]
    assert runtime.asked == 3
    assert count(service, "breaker_refused_requests_total") == 2


def test_probes_close_the_breaker_of_a_recovered_endpoint(serve: Any, runtime: FaultyRuntime) -> None:
    service = serve(breaker_failures=2, breaker_open_s=0.05)
    runtime.behave = faulty_runtime.unavailable
    for _ in range(2):
        ask(service)
    runtime.behave = faulty_runtime.well
    answers = [ask(service)]
    while answers[-1].status_code != 200:
        assert len(answers) < 1000
        answers.append(ask(service))
    assert count(service, "breaker_state") == 1
    assert [ask(service).json() for _ in range(2)] == [SCORED, SCORED]
    assert count(service, "breaker_state") == 0


@pytest.mark.parametrize("fault", [faulty_runtime.unavailable, faulty_runtime.reset, faulty_runtime.cut])
def test_a_single_fault_is_hidden_from_the_caller(fault: Any, serve: Any, runtime: FaultyRuntime) -> None:
    service = serve()
    for _ in range(5):
        assert ask(service).json() == SCORED
    faults = [fault]
    runtime.behave = lambda request: (faults.pop() if faults else faulty_runtime.well)(request)
    assert ask(service).json() == SCORED
    assert runtime.asked == 7


def test_a_rejection_by_the_model_code_is_final_and_not_retried(serve: Any, runtime: FaultyRuntime) -> None:
    service = serve()
    for _ in range(10):
        ask(service)
    runtime.behave, asked = faulty_runtime.refused, runtime.asked
    answer = ask(service)
    assert answer.status_code == 400
    assert "made to another contract" in answer.json()["error"]
    assert runtime.asked == asked + 1
    assert count(service, "breaker_state") == 0


def test_a_call_of_a_slow_endpoint_ends_within_the_budget_and_closes_its_connection(
    serve: Any, runtime: FaultyRuntime
) -> None:
    service = serve(budget_s=2.0)
    runtime.behave = faulty_runtime.hang
    answer = ask(service)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert runtime.abandoned.wait(60)
    assert runtime.asked == 1


def test_an_endpoint_without_a_listener_is_a_503_and_opens_the_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_endpoint(monkeypatch) as (_, endpoint):
        pass  # the address stays configured, but the server is closed
    with answering(Service(endpoint, live_version())) as service:
        answers = [ask(service) for _ in range(30)]
        assert {answer.status_code for answer in answers} == {503}
        assert count(service, "endpoint_attempts_total") <= 6
        assert count(service, "breaker_refused_requests_total") >= 24
