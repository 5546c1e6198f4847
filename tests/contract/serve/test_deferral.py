"""Deferred batches over HTTP: 202, then the scores by GET from any replica, even if the first one fails."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from app.errors import CallerError, PermanentError, TransientError
from app.serve.codecs import warm
from sagemaker_entry import npy
from tests.contract.serve.service import Service, answering
from tests.contract.serve.test_replay import BATCH, PausedEndpoint, metric, told, wait_for
from tests.unit.serve.fakes import FakeEndpoint, MemoryStore, live_version

# A batch is deferred after a second; a busy machine has three more to write it.
QUICK = {"budget_s": 4.0, "deferred_reserve_s": 3.0, "deferred_lease_s": 3.0}


class SlowEndpoint(FakeEndpoint):
    """Takes ``row_s`` seconds for each row."""

    def __init__(self, row_s: float) -> None:
        super().__init__(self._slowly)
        self.row_s = row_s

    def _slowly(self, endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        time.sleep(self.row_s * len(matrix))
        return npy.encode(matrix.sum(axis=1))


class FailingEndpoint(FakeEndpoint):
    """Stalls the first call beyond the budget, so the batch is deferred, then fails with ``error``."""

    def __init__(self, error: Exception) -> None:
        super().__init__(self._fail)
        self.error = error

    def _fail(self, endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        if len(self.bodies) == 1:
            time.sleep(2.5)
        raise self.error


class SharedStore(MemoryStore):
    """One replica's access to a store that replicas share; ``failure`` blocks it."""

    def __init__(self, shared: MemoryStore) -> None:
        super().__init__()
        self.objects = shared.objects


def rows(count: int, first: int = 0) -> bytes:
    return orjson.dumps({"data": [[number, first, 1, number] for number in range(count)]})


def send(service: Service, body: bytes, batch_id: str = "b-1", model: str = "churn") -> httpx.Response:
    return service.post(f"/predict/{model}", content=body, headers={BATCH: batch_id})


def ask(service: Service, batch_id: str = "b-1", model: str = "churn") -> httpx.Response:
    return service.get(f"/predict/{model}", headers={BATCH: batch_id})


def outcome(service: Service, batch_id: str = "b-1", model: str = "churn") -> httpx.Response:
    """Poll until the batch is done, as Snowflake does."""
    deadline = time.monotonic() + 60
    while (answer := ask(service, batch_id, model)).status_code == 202:
        assert answer.content == b"{}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return answer


def assert_scored(answer: httpx.Response, count: int, first: int = 0) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"data": [[number, float(first + 1 + number)] for number in range(count)]}
    assert answer.headers["content-md5"] == base64.b64encode(hashlib.md5(answer.content).digest()).decode()
    assert answer.headers["x-snowsage-version"] == "v1"


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Compile the readers before the short budget of a test starts."""
    warm()


@pytest.fixture
def replicas(start: Callable[[Service], Service]) -> Callable[..., tuple[Service, Service]]:
    """Two services on one store."""

    def started(first: FakeEndpoint, second: FakeEndpoint, **settings: Any) -> tuple[Service, Service]:
        store = MemoryStore(live_version())
        one, two = (
            Service(endpoint, store=SharedStore(store), **{**QUICK, **settings}) for endpoint in (first, second)
        )
        return start(one), start(two)

    return started


def test_a_batch_that_is_still_running_near_its_deadline_is_deferred(start: Any) -> None:
    endpoint = PausedEndpoint()
    service = start(Service(endpoint, live_version(), budget_s=1.5))
    body = rows(10)
    assert send(service, body).status_code == 202
    assert ask(service).status_code == 202
    assert send(service, body).status_code == 202
    endpoint.go.set()
    done = outcome(service)
    assert_scored(done, 10)
    assert told(ask(service)) == told(done)
    assert told(send(service, body)) == told(done)
    assert len(endpoint.bodies) == 1  # the scoring in progress was not repeated
    assert (metric(service, "deferred_total"), metric(service, "deferred_answered_total")) == (1, 1)
    assert metric(service, "deferred_held") == 0


def test_a_batch_estimated_to_take_too_long_is_deferred_at_once_and_scored_in_slices(start: Any) -> None:
    endpoint = SlowEndpoint(0.0025)
    service = start(Service(endpoint, live_version(), budget_s=2.0))
    assert send(service, rows(300), "quick").status_code == 200
    largest = len(endpoint.bodies[0])
    assert send(service, rows(1200), "slow").status_code == 202
    assert_scored(outcome(service, "slow"), 1200)
    assert len(endpoint.bodies) > 2
    assert max(len(body) for body in endpoint.bodies) == largest  # never sent in one call
    assert send(service, rows(300), "as quick as before").status_code == 200


def test_requests_are_answered_while_deferred_batches_are_scored(start: Any) -> None:
    held = threading.Event()

    def answer(endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        if endpoint == "slow":
            assert held.wait(60)
        return npy.encode(matrix.sum(axis=1))

    slow, quick = live_version("slow", endpoint="slow"), live_version("quick", endpoint="quick")
    service = start(Service(FakeEndpoint(answer), slow, quick, scorer_threads=4, deferred_waiting=3, **QUICK))
    for number in range(3):
        assert send(service, rows(5), f"b-{number}", "slow").status_code == 202
    for number in range(5):
        assert_scored(send(service, rows(5), f"q-{number}", "quick"), 5)
    full = send(service, rows(5), "b-3", "slow")
    assert (full.status_code, full.headers["retry-after"]) == (503, "5")
    held.set()
    for number in range(3):
        assert_scored(outcome(service, f"b-{number}", "slow"), 5)


def test_another_replica_serves_the_scores_of_the_first(replicas: Any) -> None:
    endpoint = PausedEndpoint()
    one, two = replicas(endpoint, FakeEndpoint(), deferred_lease_s=60)
    body = rows(10)
    assert send(one, body).status_code == 202
    assert ask(two).status_code == 202
    assert two.endpoint.bodies == []  # the first is alive
    endpoint.go.set()
    done = outcome(two)
    assert_scored(done, 10)
    assert told(outcome(one)) == told(done)
    assert two.endpoint.bodies == []


def test_another_replica_takes_over_from_a_failed_one(replicas: Any) -> None:
    endpoint = PausedEndpoint()
    one, two = replicas(endpoint, FakeEndpoint())
    assert send(one, rows(10)).status_code == 202
    one.store.failure = TransientError("cut off")  # it can no longer renew its lease
    done = outcome(two)
    assert_scored(done, 10)
    assert (metric(two, "deferred_taken_over_total"), len(two.endpoint.bodies)) == (1, 1)
    one.store.failure = None
    endpoint.go.set()  # it finishes too, and does not overwrite the response
    wait_for(lambda: metric(one, "deferred_held") == 0)
    assert told(ask(one)) == told(ask(two)) == told(done)


def test_a_restart_releases_its_batches_at_once(start: Any) -> None:
    store = MemoryStore(live_version())
    endpoint = PausedEndpoint()
    with answering(Service(endpoint, store=store, **{**QUICK, "deferred_lease_s": 60})) as first:
        assert send(first, rows(10)).status_code == 202
        threading.Timer(0.6, endpoint.go.set).start()
        endpoint.answer = _unavailable
    second = start(Service(FakeEndpoint(), store=store, **{**QUICK, "deferred_lease_s": 60}))
    assert_scored(outcome(second), 10)


def _unavailable(endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
    raise TransientError("busy")


def test_a_deferred_batch_is_scored_by_the_version_at_acceptance(replicas: Any) -> None:
    endpoint = PausedEndpoint()
    one, two = replicas(endpoint, FakeEndpoint())
    assert send(one, rows(10)).status_code == 202
    one.store.put(live_version(version="v2", endpoint="new"))
    for service in (one, two):
        service.post("/models/churn/refresh")
    one.store.failure = TransientError("cut off")  # it can no longer renew its lease
    assert_scored(outcome(two), 10)
    assert two.post("/predict/churn", content=rows(1)).headers["x-snowsage-version"] == "v2"
    endpoint.go.set()


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [(CallerError("no such column"), 400, "no such column"), (PermanentError("broken"), 422, "broken")],
)
def test_a_failure_is_stored_and_returned_with_its_status(
    replicas: Any, error: Exception, status: int, words: str
) -> None:
    one, two = replicas(FailingEndpoint(error), FakeEndpoint())
    assert send(one, rows(10)).status_code == 202
    failed = outcome(one)
    assert failed.status_code == status
    assert words in failed.json()["error"]
    assert list(failed.json()) == ["error"]
    assert told(ask(two)) == told(failed)
    assert metric(one, "deferred_failed_total") == 1


def test_work_beyond_snowflakes_timeout_fails(replicas: Any) -> None:
    one, two = replicas(
        FailingEndpoint(TransientError("busy")), FakeEndpoint(), deferred_limit_s=8.0, breaker_failures=1000
    )
    assert send(one, rows(10)).status_code == 202
    failed = outcome(one)
    assert failed.status_code == 400
    assert "MAX_BATCH_ROWS" in failed.json()["error"]
    assert "busy" in failed.json()["error"]
    assert told(ask(two)) == told(failed)


def test_transient_errors_are_retried_until_they_pass(start: Any) -> None:
    def answer(endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        if len(stuttering.bodies) == 1:
            time.sleep(2.5)
        if len(stuttering.bodies) < 4:
            raise TransientError("busy")
        return npy.encode(matrix.sum(axis=1))

    stuttering = FakeEndpoint(answer)
    service = start(Service(stuttering, live_version(), **QUICK))
    assert send(service, rows(10)).status_code == 202
    assert_scored(outcome(service), 10)


@pytest.mark.parametrize(
    ("batch_id", "name", "status"), [("never sent", "churn", 404), ("b-1", "unregistered", 404), ("", "churn", 400)]
)
def test_unknown_ids_are_rejected(churn: Service, batch_id: str, name: str, status: int) -> None:
    answer = ask(churn, batch_id, name)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]


def test_the_description_contains_deferred_batches(churn: Service) -> None:
    described = churn.get("/openapi.json").json()["paths"]["/predict/{model}"]
    assert {"200", "202", "400", "404"} <= set(described["get"]["responses"])
    assert [parameter["required"] for parameter in described["get"]["parameters"]] == [True, True]
    assert "requestBody" not in described["get"]
    assert [parameter["required"] for parameter in described["post"]["parameters"]] == [True, False]


def test_a_batch_answered_at_once_cannot_be_polled(churn: Service) -> None:
    assert send(churn, rows(1), "at once").status_code == 200
    assert ask(churn, "at once").status_code == 404


def test_another_batch_with_the_id_of_a_deferred_one_is_scored_separately(start: Any) -> None:
    endpoint = PausedEndpoint()
    service = start(Service(endpoint, live_version(), **QUICK))
    assert send(service, rows(10)).status_code == 202
    assert send(service, rows(11)).status_code == 503  # scored separately, within the time of a request or not at all
    endpoint.go.set()
    assert_scored(send(service, rows(11)), 11)
    assert_scored(outcome(service), 10)


def test_no_secret_is_stored(start: Any) -> None:
    endpoint = PausedEndpoint()
    service = start(Service(endpoint, live_version(), **QUICK))
    headers = {BATCH: "b-1", "sf-context-current-user": "ANN", "authorization": "AWS4 abc", "sf-custom-pin": "1"}
    assert service.post("/predict/churn", content=rows(3), headers=headers).status_code == 202
    name = hashlib.sha256(b"b-1").hexdigest()
    record = service.store.objects[f"s3://lake/churn/serve/deferred/{name}/request"]
    for secret in (b"correct-horse", b"ANN", b"AWS4"):
        assert secret not in record
    assert b"sf-custom-pin" in record
    assert service.store.tags == {"snowsage-expires": "deferred"}
    endpoint.go.set()
    assert_scored(outcome(service), 3)


def test_nothing_is_deferred_if_deferral_is_off(start: Any) -> None:
    service = start(Service(SlowEndpoint(0.05), live_version(), deferred_concurrency=0, **QUICK))
    assert_scored(send(service, rows(2)), 2)
    assert send(service, rows(100)).status_code == 503


def test_a_batch_that_cannot_be_recorded_may_be_sent_again(start: Any) -> None:
    endpoint = PausedEndpoint()
    service = start(Service(endpoint, live_version(), **QUICK))
    send(service, b'{"data":[]}', "to know the model")
    service.store.failure = TransientError("S3 is away")
    assert send(service, rows(10)).status_code == 503
    service.store.failure = None
    endpoint.go.set()
    answer = send(service, rows(10))
    assert_scored(answer if answer.status_code == 200 else outcome(service), 10)
