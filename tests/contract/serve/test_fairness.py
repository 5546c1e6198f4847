"""Quotas follow the credential: what a key's requests claim about themselves gives them no more, and takes nothing from others."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.contract.serve.blocking_endpoint import BATCH, BlockingEndpoint, metric, until
from tests.contract.serve.raw_http import HOST, open_to
from tests.contract.serve.service import Service
from tests.contract.serve.test_deferral import QUICK, SlowEndpoint, rows
from tests.contract.serve.test_replay import BATCH as BATCH_HEADER
from tests.unit.serve.fakes import FakeEndpoint, live_version

KEYS = ("slow", "other")
LINES = tuple(f"{name}:predict:{hashlib.sha256(name.encode()).hexdigest()}" for name in KEYS)


def ask(service: Service, key: str, method: str = "POST", **request: Any) -> httpx.Response:
    headers = {"x-api-key": key, **request.pop("headers", {})}
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.request(method, f"{service.client.base_url}/predict/churn", headers=headers, **request)


def test_slow_bodies_of_one_key_leave_slots_of_the_model_to_others(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version(), api_keys=LINES, body_s=30.0))
    head = f"POST /predict/churn HTTP/1.1\r\n{HOST}X-Api-Key: slow\r\nContent-Length: 100\r\n\r\n{{"
    connections = [open_to(service) for _ in range(40)]
    try:
        for number, connection in enumerate(connections):
            user = f"\r\nsf-context-current-user: U{number}\r\n"
            connection.sendall(head.replace("\r\nContent", f"{user}Content", 1).encode())
        until(lambda: metric(service, "admitted_requests") >= 8)
        assert [ask(service, "other", json=BATCH).status_code for _ in range(5)] == [200] * 5
    finally:
        for connection in connections:
            connection.close()


def test_the_user_header_of_a_key_gives_no_share_of_its_own(start: Any) -> None:
    endpoint = BlockingEndpoint("churn-endpoint")
    shares = {"scorer_threads": 4, "model_share": 1, "caller_share": 0.5, "queue_wait_s": 60}
    service = start(Service(endpoint, live_version(), api_keys=LINES, **shares))
    with ThreadPoolExecutor(8) as callers:
        try:
            mine = [
                callers.submit(ask, service, "slow", json=BATCH, headers={"sf-context-current-user": f"U{number}"})
                for number in range(6)
            ]
            until(lambda: metric(service, "queued_requests") == 4)
            assert metric(service, "admitted_requests") == 2
            another = callers.submit(ask, service, "other", json=BATCH)
            until(lambda: metric(service, "admitted_requests") == 3)
        finally:
            endpoint.release.set()
        assert {each.result().status_code for each in (*mine, another)} == {200}


def test_users_behind_the_gateway_have_shares_of_their_own(start: Any) -> None:
    endpoint = BlockingEndpoint("churn-endpoint")
    shares = {"scorer_threads": 4, "model_share": 1, "caller_share": 0.5, "queue_wait_s": 60}
    service = start(Service(endpoint, live_version(), **shares))
    with ThreadPoolExecutor(8) as callers:
        try:
            for user in ("ANN", "ANN", "ANN", "BOB"):
                callers.submit(service.post, "/predict/churn", json=BATCH, headers={"sf-context-current-user": user})
            until(lambda: metric(service, "admitted_requests") == 3 and metric(service, "queued_requests") == 1)
        finally:
            endpoint.release.set()


def test_a_deferred_answer_is_read_only_by_its_caller(start: Any) -> None:
    service = start(Service(SlowEndpoint(0.03), live_version(), api_keys=LINES, **QUICK))
    mine = {"headers": {BATCH_HEADER: "b-1"}}
    assert ask(service, "slow", content=rows(80), **mine).status_code == 202
    until(lambda: ask(service, "slow", "GET", **mine).status_code == 200)
    assert ask(service, "other", "GET", **mine).status_code == 404
    assert service.get("/predict/churn", **mine).status_code == 404
    assert ask(service, "slow", "GET", **mine).status_code == 200
