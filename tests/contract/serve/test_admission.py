"""Overload over HTTP: which requests are answered, which are rejected and how fast, and fairness between callers and models."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from app.errors import TransientError
from tests.contract.serve.blocking_endpoint import ASK, BATCH, BlockingEndpoint, metric, port_of, until, zeros
from tests.contract.serve.load import Seen, caller, flood, head
from tests.contract.serve.service import Service
from tests.unit.serve.fakes import FakeEndpoint, live_version


def test_a_full_service_rejects_requests_before_their_body_and_keeps_the_connection(full: Any) -> None:
    service, endpoint, answers = full
    with socket.create_connection(("127.0.0.1", port_of(service)), timeout=10) as connection:
        connection.sendall(head("/predict/churn", 1_000_000))
        refusal = connection.recv(65536)
        assert refusal.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nretry-after: 1\r\n" in refusal
        assert b"connection: close" not in refusal
        endpoint.release.set()
        assert [answer.result().status_code for answer in answers] == [200] * 4
        connection.sendall(b" " * 1_000_000 + ASK)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert metric(service, 'shed_requests_total{model="churn",reason="queue"}') == 1
    assert metric(service, "queued_requests") == metric(service, "admitted_requests") == 0
    assert metric(service, 'phase_duration_seconds_count{model="churn",phase="queue"}') == 2


def test_the_bodies_of_waiting_requests_are_not_read(full: Any) -> None:
    service, endpoint, answers = full
    endpoint.release.set()
    assert [answer.result().status_code for answer in answers] == [200] * 4
    endpoint.release.clear()
    with ThreadPoolExecutor(2) as callers:
        first = [callers.submit(service.post, "/predict/churn", json=BATCH) for _ in range(2)]
        until(lambda: metric(service, "admitted_requests") == 2)
        with socket.create_connection(("127.0.0.1", port_of(service)), timeout=10) as connection:
            connection.setblocking(False)
            connection.sendall(head("/predict/churn", 9_000_000))
            until(lambda: metric(service, "queued_requests") == 1)
            assert sent_until_held_back(connection, 9_000_000) < 9_000_000
        endpoint.release.set()
        assert [answer.result().status_code for answer in first] == [200] * 2
    until(lambda: metric(service, "admitted_requests") == 0)  # a caller that disconnected while waiting takes no slot


def sent_until_held_back(connection: socket.socket, most: int) -> int:
    sent = 0
    while sent < most:
        try:
            sent += connection.send(b" " * 100_000)
        except BlockingIOError:
            return sent
        time.sleep(0.001)
    return sent


def test_a_request_that_waits_too_long_is_a_429(start: Any) -> None:
    endpoint = BlockingEndpoint("churn-endpoint")
    service = start(Service(endpoint, live_version(), scorer_threads=1, queue_wait_s=0.05))
    with ThreadPoolExecutor(1) as callers:
        first = callers.submit(service.post, "/predict/churn", json=BATCH)
        assert endpoint.began.acquire(timeout=60)
        late = service.post("/models/churn/predict", json={"rows": []})
        assert (late.status_code, late.headers["content-type"]) == (429, "application/problem+json")
        endpoint.release.set()
        assert first.result().status_code == 200
    assert metric(service, 'shed_requests_total{model="churn",reason="waited"}') == 1


def test_a_hanging_call_is_answered_at_the_deadline_and_keeps_its_slot(start: Any) -> None:
    endpoint = BlockingEndpoint("churn-endpoint")
    service = start(Service(endpoint, live_version(), scorer_threads=1, budget_s=2.0, queue_wait_s=0.05))
    answer = service.post("/predict/churn", json=BATCH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "did not answer within the time" in answer.json()["error"]
    assert service.post("/predict/churn", json=BATCH).status_code == 429
    endpoint.release.set()
    until(lambda: metric(service, "admitted_requests") == 0)
    assert service.post("/predict/churn", json=BATCH).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("which", ["model", "caller"])
def test_a_flooded_and_hanging_model_or_caller_does_not_starve_another(start: Any, which: str) -> None:
    endpoint = BlockingEndpoint("churn-endpoint")
    fraud = live_version("fraud", endpoint="fraud-endpoint")
    service = start(Service(endpoint, live_version(), fraud, scorer_threads=8, queue_requests=8, queue_wait_s=5))
    with ThreadPoolExecutor(30) as callers:
        flooding = [
            callers.submit(
                service.post, "/predict/churn", json=BATCH, headers={"sf-context-current-user": f"u{number % 3}"}
            )
            if which == "model"
            else callers.submit(service.post, "/predict/churn", json=BATCH, headers={"sf-context-current-user": "ann"})
            for number in range(30)
        ]
        until(lambda: metric(service, "shed_requests_total") >= 16)  # all but six in slots and six in the queue
        others = {"sf-context-current-user": "u0" if which == "model" else "bob"}
        answers = [service.post("/predict/fraud", json=BATCH, headers=others) for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        endpoint.release.set()
        statuses = [answer.result().status_code for answer in flooding]
    # A model has six slots and six places in the queue. One caller has at most 70% of its slots.
    accepted = 12 if which == "model" else 11
    assert (statuses.count(200), statuses.count(429)) == (accepted, 30 - accepted)


class Busy(FakeEndpoint):
    """Handles a number of requests at a time, each for some seconds; further ones wait inside."""

    def __init__(self, at_a_time: int, seconds: float) -> None:
        super().__init__(self._answer)
        self._turns, self._seconds = threading.Semaphore(at_a_time), seconds

    def _answer(self, endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        with self._turns:
            time.sleep(self._seconds)
        return zeros(matrix)


@pytest.mark.slow
def test_a_flood_does_not_reduce_goodput_and_is_rejected_quickly(start: Any) -> None:
    service = start(Service(Busy(4, 0.2), live_version(), queue_requests=16, queue_wait_s=0.8, caller_share=1))
    port = port_of(service)
    calm = flood(port, 4, 4, ASK)
    seen_waiting: list[float] = []

    async def watch() -> None:
        async with httpx.AsyncClient(headers=service.client.headers, trust_env=False) as client:
            for _ in range(8):
                text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                line = next(line for line in text.splitlines() if line.startswith("snowsage_serve_queued_requests{"))
                seen_waiting.append(float(line.rpartition(" ")[2]))
                await asyncio.sleep(0.3)

    flooded = flood(port, 80, 4, ASK, watch())
    assert calm.seconds.keys() == {200}
    assert flooded.seconds.keys() == {200, 429}
    assert flooded.broken == []
    assert flooded.count(429) > 3 * flooded.count(200)  # many times the capacity
    assert flooded.count(200) > 0.7 * calm.count(200)
    assert flooded.median(429) < flooded.median(200)
    assert 0 < max(seen_waiting) <= 16
    assert flood(port, 4, 0.5, ASK).seconds.keys() == {200}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/models/churn/predict", b'{"rows":' + b"[" * 200_000, 400),
        ("/models/churn/predict", b'{"rows":[' + b"[]," * 300_000 + b"[]]}", 413),
        ("/predict/churn", b'{"data":[' + b"{}," * 300_000 + b"{}]}", 413),
        ("/predict/churn", b"[" * 1_000_000, 400),
        ("/predict/churn", b'{"data":[' + b",".join(b"[%d,1,2,3]" % number for number in range(101)) + b"]}", 413),
    ],
)
def test_decompression_bombs_and_too_many_rows_are_rejected(start: Any, path: str, body: bytes, status: int) -> None:
    endpoint = FakeEndpoint()
    service = start(Service(endpoint, live_version(), max_rows=100))
    assert service.post(path, content=body).status_code == status
    assert endpoint.bodies == []


def test_a_body_with_a_too_large_content_length_is_rejected_unread(churn: Service) -> None:
    with socket.create_connection(("127.0.0.1", port_of(churn)), timeout=10) as connection:
        connection.sendall(head("/predict/churn", 500_001))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_arrive_frees_its_slot(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version(), scorer_threads=1, body_s=1.0))
    with socket.create_connection(("127.0.0.1", port_of(service)), timeout=10) as connection:
        connection.sendall(head("/predict/churn", 100) + b"{")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert service.post("/predict/churn", json=BATCH).status_code == 200


def test_draining_under_load_fails_no_request(start: Any) -> None:
    settings = {"lame_duck_s": 3.0, "caller_share": 1, "model_share": 1, "open_paths": ("/v2/health/ready",)}
    service = start(Service(Busy(16, 0.02), live_version(), **settings))
    port, seen, sent_on = port_of(service), Seen(), [True]
    ready: list[int] = []
    after: list[httpx.Response] = []

    async def balance() -> None:
        """Acts as a load balancer, which sends requests as long as the readiness probe returns 200."""
        async with httpx.AsyncClient(trust_env=False) as client:
            for probe in range(100):
                ready.append((await client.get(f"http://127.0.0.1:{port}/v2/health/ready")).status_code)
                if ready[-1] != 200 and probe > 5:
                    break
                if probe == 5:
                    service.server.handle_exit(15, None)  # type: ignore[union-attr]
                await asyncio.sleep(0.02)
            after.append(await client.post(f"http://127.0.0.1:{port}/predict/churn", json=BATCH, headers=secret))
        await asyncio.sleep(0.1)
        sent_on[0] = False

    async def run() -> None:
        await asyncio.gather(balance(), *(caller(port, ASK, seen, lambda: sent_on[0]) for _ in range(12)))

    secret = {"x-snowsage-secret": service.client.headers["x-snowsage-secret"]}
    asyncio.run(run())
    assert ready[-1] == 503
    assert (after[0].status_code, after[0].headers["connection"]) == (200, "close")
    assert seen.broken == []
    assert seen.seconds.keys() == {200}
    assert seen.closed > 12
    until(lambda: not listening(port))


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_readiness_reports_the_shutdown_while_liveness_stays_ok(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version(), lame_duck_s=1))
    until(lambda: service.get("/v2/health/ready").status_code == 200)
    service.server.handle_exit(15, None)  # type: ignore[union-attr]
    answer = service.get("/v2/health/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "the service is shutting down")
    assert service.get("/v2/health/live").json() == {"live": True}
    service.server.handle_exit(2, None)  # type: ignore[union-attr]  # a second signal does not wait


def test_a_failing_endpoint_does_not_change_the_concurrency_limit(start: Any) -> None:
    def fail(*_: object) -> bytes:
        raise TransientError("down")

    service = start(Service(FakeEndpoint(fail), live_version()))
    for _ in range(40):
        assert service.post("/predict/churn", json=BATCH).status_code == 503
    assert metric(service, "concurrency_limit_requests") == 12
