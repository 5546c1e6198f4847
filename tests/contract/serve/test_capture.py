"""Capture over HTTP: the files contain the returned scores, and a store that hangs or fails delays no caller."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost

from app.errors import TransientError
from tests.contract.serve.service import ModelEndpoint, Service, answering, fast_clock
from tests.contract.serve.test_deferral import QUICK, SlowEndpoint, outcome, rows, send
from tests.unit.serve.fakes import CONTRACT, FakeEndpoint, live_version

BATCH = {"data": [[0, 1, 2, 3], [1, 4, 5, None]]}


def captured(service: Service) -> list[pa.Table]:
    files = sorted(uri for uri in service.store.objects if "/serve/capture/" in uri)
    return [pq.read_table(io.BytesIO(service.store.objects[uri])) for uri in files]


def metric(service: Service, name: str) -> float:
    lines = [line for line in service.get("/metrics").text.splitlines() if line.startswith(f"snowsage_serve_{name}")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_the_files_contain_the_scored_rows(model: tuple[xgboost.Booster, Path]) -> None:
    chance = np.random.default_rng(3)
    features = chance.normal(size=(500, 3)).astype(np.float32)
    features[chance.random(features.shape) < 0.1] = np.nan
    told: dict[str, float] = {}
    keyed = live_version("keyed", key="CUSTOMER_ID")
    with answering(Service(ModelEndpoint(model[1]), keyed, capture_share=1.0)) as service:
        for start in range(0, 500, 100):
            part = [
                [None if np.isnan(value) else float(value) for value in row] for row in features[start : start + 100]
            ]
            data = [[number, f"C-{start + number}", *row] for number, row in enumerate(part)]
            headers = {
                "sf-external-function-current-query-id": "01b0",
                "sf-external-function-query-batch-id": f"01b0:{start}",
            }
            answer = service.post("/predict/keyed", json={"data": data}, headers=headers)
            told |= {f"C-{start + number}": score for number, score in answer.json()["data"]}
    (table,) = captured(service)
    order = np.argsort([int(key[2:]) for key in table["key"].to_pylist()])
    table = table.take(order)
    assert table["key"].to_pylist() == [f"C-{number}" for number in range(500)]
    assert table["row"].to_pylist() == [number % 100 for number in range(500)]
    assert table["batch_id"].to_pylist() == [f"01b0:{number // 100 * 100}" for number in range(500)]
    assert set(table["query_id"].to_pylist()) == {"01b0"}
    assert set(table["contract"].to_pylist()) == {CONTRACT.fingerprint}
    read = np.stack(
        [table["features"].combine_chunks().field(name).to_numpy(zero_copy_only=False) for name in CONTRACT.names], 1
    )
    np.testing.assert_array_equal(read, features)
    scores = table["score"].to_numpy()
    np.testing.assert_array_equal(scores, model[0].inplace_predict(features))
    np.testing.assert_array_equal(scores.astype(np.float64), [told[f"C-{number}"] for number in range(500)])


def test_all_forms_of_rows_are_captured_and_rejected_requests_are_not() -> None:
    keyed = live_version("keyed", key="CUSTOMER_ID")
    row = {"CUSTOMER_ID": 17, "SPENT": 1.5, "ORDERS": None, "VISITS": 3}
    with answering(Service(FakeEndpoint(), keyed, capture_share=1.0)) as service:
        assert service.post("/predict/keyed", json={"data": [[0, row]]}).status_code == 200
        assert service.post("/models/keyed/predict", json={"rows": [row]}).status_code == 200
        assert service.post("/predict/keyed", json={"data": [[0, 17, 1.5, None, 3]]}).status_code == 200
        assert service.post("/predict/keyed", json={"data": [[0, 17, "x", None, 3]]}).status_code == 400
        assert service.post("/predict/keyed", json={"data": []}).status_code == 200
    (table,) = captured(service)
    assert table["key"].to_pylist() == ["17"] * 3
    assert table["features"].to_pylist() == [{"SPENT": 1.5, "ORDERS": None, "VISITS": 3.0}] * 3
    assert table["score"].to_pylist() == [4.5] * 3


def test_a_deferred_batch_is_captured_once_and_counted_once_for_its_query() -> None:
    settings = {**QUICK, "capture_share": 1.0, "max_query_rows": 40}
    with answering(Service(SlowEndpoint(0.075), live_version(), **settings)) as service:
        assert send(service, rows(40)).status_code == 202
        assert len(outcome(service).json()["data"]) == 40
    (table,) = captured(service)
    assert table["row"].to_pylist() == list(range(40))
    assert set(table["batch_id"].to_pylist()) == {"b-1"}


def test_a_store_that_hangs_delays_no_caller_and_lost_rows_are_counted() -> None:
    hanging, go_on = threading.Event(), threading.Event()
    settings: dict[str, Any] = {"capture_share": 1.0, "capture_file_rows": 1, "capture_buffer_bytes": 2000}
    service = Service(FakeEndpoint(), live_version(), **settings)

    def write(uri: str, body: bytes) -> None:
        hanging.set()
        assert go_on.wait(30)

    service.store.write = write  # type: ignore[method-assign]
    with answering(service):
        assert service.post("/predict/churn", json=BATCH).status_code == 200
        assert hanging.wait(10)
        # The store hangs until all of these are answered, so none of them waits for it.
        assert {service.post("/predict/churn", json=BATCH).status_code for _ in range(100)} == {200}
        lost = metric(service, 'capture_lost_rows_total{reason="no_room"}')
        assert 0 < lost < 200
        go_on.set()


def test_failures_of_the_store_are_counted_and_logged_without_values(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(FakeEndpoint(), live_version(), clock=fast_clock, capture_share=1.0, capture_file_rows=1)
    failed = threading.Event()

    def write(uri: str, body: bytes) -> None:
        failed.set()
        raise TransientError("S3 is slow")

    service.store.write = write  # type: ignore[method-assign]
    with answering(service):
        assert service.post("/predict/churn", json={"data": [[0, 31337.125, 2, 3]]}).status_code == 200
        assert failed.wait(10)
        wait_for(lambda: metric(service, 'capture_lost_rows_total{reason="write_failed"}') == 1)
        assert metric(service, "capture_rows_total") == 0
    written = [vars(record) for record in caplog.records]
    assert "S3 is slow" in str(written)
    assert "31337.125" not in str(written)


def wait_for(happened: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(6000):
        if happened():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen")


def test_nothing_is_captured_by_default() -> None:
    with answering(Service(FakeEndpoint(), live_version())) as service:
        service.post("/predict/churn", json=BATCH)
        assert not [thread for thread in threading.enumerate() if thread.name == "snowsage-capture"]
    assert captured(service) == []
