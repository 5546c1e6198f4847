"""Version switches under load: all replicas switch at once, no request fails, and queries end with their first version."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from app.deploy.live import LiveVersion
from app.errors import NotFound
from sagemaker_entry import npy
from tests.contract.serve.service import Service
from tests.unit.serve.fakes import FakeEndpoint, live_version

Start = Callable[[Service], Service]

BATCH = {"data": [[number, 1, 2, 3] for number in range(50)]}
QUERY = "sf-external-function-current-query-id"


def version(number: int, **moments: float) -> LiveVersion:
    return replace(live_version(version=f"{number}.0", endpoint=str(number)), variant=f"v{number}", **moments)


def answers_its_number(endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
    return npy.encode(np.full(len(matrix), float(endpoint), np.float32))


def ask(service: Service, query: str = "") -> tuple[float, float, str]:
    """(start, end, version) of one request, all of whose rows have that version's score."""
    begun = time.time()
    reply = service.post("/predict/churn", json=BATCH, headers={QUERY: query} if query else {})
    ended = time.time()
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-snowsage-version"] == f"{ {score for _, score in reply.json()['data']}.pop() }"
    assert len({score for _, score in reply.json()["data"]}) == 1
    return begun, ended, reply.headers["x-snowsage-version"]


@pytest.mark.slow
def test_replicas_switch_at_the_recorded_time_and_queries_keep_their_version(start: Start) -> None:
    replicas = [start(Service(FakeEndpoint(answers_its_number), version(1), live_poll_s=0.05)) for _ in range(2)]
    seen: dict[str, list[tuple[float, float, str]]] = {"": [], "begun": []}
    done = threading.Event()

    def keep_asking(service: Service, query: str) -> None:
        while not done.is_set():
            seen[query].append(ask(service, query))

    callers = [
        threading.Thread(target=keep_asking, args=(replica, query)) for replica in replicas for query in ("", "begun")
    ]
    for caller in callers:
        caller.start()
    while not (len(seen[""]) > 2 and len(seen["begun"]) > 2):
        time.sleep(0.01)
    moment = time.time() + 3
    for replica in replicas:
        replica.store.put(version(2, live_from_s=moment, last_until_s=moment + 1))
    deadline = time.monotonic() + 60
    while not all(told == "2.0" for found in seen.values() for _, _, told in found[-20:]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done.set()
    for caller in callers:
        caller.join()
    for begun, ended, told in seen[""]:
        assert told in (
            {"1.0", "2.0"} - ({"2.0"} if ended < moment else set()) - ({"1.0"} if begun >= moment else set())
        )
    for begun, ended, told in seen["begun"]:
        assert told in (
            {"1.0", "2.0"} - ({"2.0"} if ended < moment + 1 else set()) - ({"1.0"} if begun >= moment + 1 else set())
        )
    assert {told for _, _, told in seen[""]} == {told for _, _, told in seen["begun"]} == {"1.0", "2.0"}


def test_a_query_whose_version_is_no_longer_on_the_endpoint_uses_the_live_one(start: Start) -> None:
    left = False

    def answer(endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        if left and endpoint == "1":
            raise NotFound("the endpoint has no variant v1 any more")
        return answers_its_number(endpoint, matrix, fingerprint)

    service = start(Service(FakeEndpoint(answer), version(1)))
    assert ask(service, "begun")[2] == "1.0"
    service.store.put(version(2, last_until_s=time.time() + 60))
    assert service.post("/models/churn/refresh").json()["version"] == "2.0"
    assert [ask(service, query)[2] for query in ("begun", "new")] == ["1.0", "2.0"]
    left = True
    assert [ask(service, query)[2] for query in ("begun", "new")] == ["2.0", "2.0"]
