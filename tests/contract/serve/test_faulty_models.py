"""A model that cannot be loaded: readiness, metrics and the model index name it, and the other models answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from app.deploy.live import live_uri
from tests.contract.serve.service import Service, fast_clock
from tests.unit.serve.fakes import BUCKET, FakeEndpoint, live_version

BATCH = {"data": [[0, 1, 2, 3]]}
FAULTY = 'snowsage_serve_model_faulty{model="fraud"} 1.0'


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_damaged_record_leaves_the_other_models_and_readiness_as_they_are(start: Any) -> None:
    service = Service(FakeEndpoint(), live_version(), live_version("zeta"), clock=fast_clock, live_poll_s=0.02)
    service.store.objects[live_uri(BUCKET, "fraud")] = b"{"
    start(service)
    ready = service.get("/v2/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "faulty_models": {"fraud": "PermanentError"}})
    assert FAULTY in service.get("/metrics").text
    index = {entry["name"]: entry for entry in service.post("/v2/repository/index").json()}
    assert (index["fraud"]["state"], index["churn"]["state"]) == ("UNAVAILABLE", "READY")
    assert "cannot be loaded" in index["fraud"]["reason"]
    assert service.get("/v2/models/fraud/ready").status_code == 500
    assert service.post("/predict/fraud", json=BATCH).status_code == 500
    assert service.post("/predict/churn", json=BATCH).status_code == 200
    # Later versions of other models are noticed, in names before and after the damaged one.
    for name in ("churn", "zeta"):
        service.store.put(live_version(name, version="v2"))
        until(lambda name=name: service.get(f"/v2/models/{name}").json()["versions"] == ["v2"])
    service.store.put(live_version("fraud"))
    until(lambda: service.get("/v2/health/ready").json() == {"ready": True})
    assert service.post("/predict/fraud", json=BATCH).status_code == 200
    assert FAULTY not in service.get("/metrics").text


def test_the_watch_survives_whatever_a_store_raises(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version(), clock=fast_clock, live_poll_s=0.02))
    service.store.failure = RuntimeError("unforeseen")
    until(lambda: "churn" in service.get("/v2/health/ready").json().get("faulty_models", {}))
    assert service.post("/predict/churn", json=BATCH).status_code == 200
    service.store.failure = None
    service.store.put(live_version(version="v2"))
    until(lambda: service.get("/v2/models/churn").json()["versions"] == ["v2"])
