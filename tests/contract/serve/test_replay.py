"""A repeated batch over HTTP: one call of the model, the same bytes."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import orjson

from sagemaker_entry import npy
from tests.contract.serve.service import Service
from tests.unit.serve.fakes import SECRET, FakeEndpoint, live_version

BATCH = "sf-external-function-query-batch-id"
ROWS = orjson.dumps({"data": [[number, 1, 2, number] for number in range(50)]})
OTHER_ROWS = orjson.dumps({"data": [[0, 3, 3, 3]]})


class PausedEndpoint(FakeEndpoint):
    """Answers once ``go`` is set."""

    def __init__(self) -> None:
        super().__init__(self._held)
        self.go = threading.Event()

    def _held(self, endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        assert self.go.wait(60)
        return npy.encode(matrix.sum(axis=1))


def told(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """All of a response except its time."""
    return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k != "date"}


def metric(service: Service, name: str) -> float:
    lines = service.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"snowsage_serve_{name} ")).split()[1])


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_batch_sent_64_times_at_once_is_scored_once(start: Any) -> None:
    endpoint = PausedEndpoint()
    service = start(Service(endpoint, live_version()))
    with ThreadPoolExecutor(64) as callers:
        sent = [callers.submit(service.post, "/predict/churn", content=ROWS, headers={BATCH: "b-1"}) for _ in range(64)]
        wait_for(lambda: metric(service, "replays_joined_total") == 63)
        endpoint.go.set()
        answers = [told(one.result()) for one in sent]
    assert answers == [answers[0]] * 64
    status, body, headers = answers[0]
    assert (status, len(endpoint.bodies)) == (200, 1)
    assert orjson.loads(body)["data"] == [[number, 3.0 + number] for number in range(50)]
    assert {"content-md5", "x-snowsage-version"} <= set(headers)

    assert told(service.post("/predict/churn", content=ROWS, headers={BATCH: "b-1"})) == answers[0]
    assert (len(endpoint.bodies), metric(service, "replays_total")) == (1, 1)
    assert metric(service, "replay_bytes") > len(body)


def test_a_repeated_batch_keeps_the_version_of_its_first_response(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version(version="v1")))
    first = service.post("/predict/churn", content=ROWS, headers={BATCH: "b-1"})
    service.store.put(live_version(version="v2"))
    service.post("/models/churn/refresh")
    assert told(service.post("/predict/churn", content=ROWS, headers={BATCH: "b-1"})) == told(first)
    assert service.post("/predict/churn", content=ROWS).headers["x-snowsage-version"] == "v2"


def test_other_rows_another_model_or_a_missing_id_are_scored_separately(start: Any) -> None:
    endpoint = FakeEndpoint()
    service = start(Service(endpoint, live_version(), live_version("other")))
    for path, body, headers in (
        ("/predict/churn", ROWS, {BATCH: "b-1"}),
        ("/predict/churn", OTHER_ROWS, {BATCH: "b-1"}),
        ("/predict/other", ROWS, {BATCH: "b-1"}),
        ("/predict/churn", ROWS, {}),
        ("/predict/churn", ROWS, {}),
    ):
        answer = service.post(path, content=body, headers=headers)
        assert [row[1] for row in answer.json()["data"]] == [sum(row[1:]) for row in orjson.loads(body)["data"]]
    assert len(endpoint.bodies) == 5
    assert metric(service, "replay_conflicts_total") == 1


def test_errors_are_not_cached(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version()))
    for _ in range(2):
        assert service.post("/predict/later", content=ROWS, headers={BATCH: "b-1"}).status_code == 404
    service.store.put(live_version("later"))
    service.post("/models/later/refresh")
    assert service.post("/predict/later", content=ROWS, headers={BATCH: "b-1"}).status_code == 200


def test_the_second_sender_gets_the_response_if_the_first_disconnects(start: Any) -> None:
    endpoint = PausedEndpoint()
    service = start(Service(endpoint, live_version()))
    with socket.create_connection((service.client.base_url.host, service.client.base_url.port)) as gone:
        head = f"POST /predict/churn HTTP/1.1\r\nHost: x\r\nx-snowsage-secret: {SECRET}\r\n{BATCH}: b-1\r\n"
        gone.sendall(f"{head}Content-Length: {len(ROWS)}\r\n\r\n".encode() + ROWS)
        wait_for(lambda: endpoint.bodies)
    with ThreadPoolExecutor(1) as caller:
        second = caller.submit(service.post, "/predict/churn", content=ROWS, headers={BATCH: "b-1"})
        wait_for(lambda: metric(service, "replays_joined_total") == 1)
        endpoint.go.set()
        assert second.result().status_code == 200
    assert len(endpoint.bodies) == 1


def test_memory_and_retention_are_bounded(start: Any) -> None:
    endpoint = FakeEndpoint()
    small = start(Service(endpoint, live_version(), replay_bytes=6000))
    for number in (1, 2, 3, 4, 1):
        small.post("/predict/churn", content=ROWS, headers={BATCH: f"b-{number}"})
    assert len(endpoint.bodies) == 5
    assert metric(small, "replay_evictions_total") >= 2
    assert metric(small, "replay_bytes") <= 6000
    forgetful = start(Service(endpoint, live_version(), replay_retention_s=0))
    for _ in range(2):
        forgetful.post("/predict/churn", content=ROWS, headers={BATCH: "b-1"})
    assert len(endpoint.bodies) == 7
