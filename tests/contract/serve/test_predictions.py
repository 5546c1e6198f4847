"""Predictions over HTTP equal the booster's scores bit for bit, for every form of rows."""

from __future__ import annotations

import base64
import gzip
import hashlib
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import xgboost

from sagemaker_entry import npy
from sagemaker_entry.contract import Column, Contract
from tests.contract.serve.service import Service
from tests.unit.serve.fakes import CONTRACT, FakeEndpoint, live_version


@pytest.fixture(scope="module")
def rows() -> list[list[float | None]]:
    chance = np.random.default_rng(11)
    table = chance.normal(size=(1000, 3)).round(6)
    return [[None if chance.random() < 0.05 else value for value in row] for row in table.tolist()]


@pytest.fixture(scope="module")
def wanted(model: tuple[xgboost.Booster, Path], rows: list[list[float | None]]) -> list[float]:
    matrix = np.array(rows, dtype=np.float64).astype(np.float32)
    return model[0].inplace_predict(matrix).astype(np.float64).tolist()


def batch(rows: Any) -> bytes:
    return orjson.dumps({"data": [[number, *row] for number, row in enumerate(rows)]})


def assert_scored(answer: Any, wanted: list[float]) -> None:
    assert answer.status_code == 200, answer.text
    assert orjson.loads(answer.content) == {"data": [[number, score] for number, score in enumerate(wanted)]}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-md5"] == base64.b64encode(hashlib.md5(answer.content).digest()).decode()
    assert answer.headers["x-snowsage-version"] == "v1"
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [(bytes, None), (bytes, "gzip"), (gzip.compress, "gzip"), (gzip.compress, None), (zlib.compress, "deflate")],
)
def test_rows_are_scored_with_any_compression(
    churn: Service, rows: Any, wanted: Any, pack: Any, encoding: str | None
) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    assert_scored(churn.post("/predict/churn", content=pack(batch(rows)), headers=headers), wanted)


def test_a_body_with_snowflakes_whitespace_is_scored(churn: Service, rows: Any, wanted: Any) -> None:
    text = '{\n"data":[\n' + ",\n".join(orjson.dumps([n, *row]).decode() for n, row in enumerate(rows)) + "\n]\n}"
    assert_scored(churn.post("/predict/churn", content=text.encode()), wanted)


def test_arguments_in_another_order_are_scored(churn: Service, rows: Any, wanted: Any) -> None:
    headers = {"sf-external-function-signature": "(VISITS FLOAT, SPENT NUMBER(38,6), ORDERS FLOAT)"}
    turned = [[visits, spent, orders] for spent, orders, visits in rows]
    assert_scored(churn.post("/predict/churn", content=batch(turned), headers=headers), wanted)


def test_objects_are_scored(churn: Service, rows: Any, wanted: Any) -> None:
    objects = [[dict(zip(CONTRACT.names, row, strict=True))] for row in rows]
    assert_scored(churn.post("/predict/churn", content=batch(objects)), wanted)


def test_rows_with_a_key_are_scored(churn: Service, rows: Any, wanted: Any) -> None:
    keyed = [[f"c-{number}", *row] for number, row in enumerate(rows)]
    assert_scored(churn.post("/predict/keyed", content=batch(keyed)), wanted)


def test_rows_in_the_direct_form_are_scored(churn: Service, rows: Any, wanted: Any) -> None:
    body = {"rows": [dict(zip(("spent", "ORDERS", "Visits"), row, strict=True)) for row in rows]}
    answer = churn.post("/models/churn/predict", json=body)
    assert answer.json() == {"model": "churn", "version": "v1", "predictions": wanted}
    assert answer.headers["x-snowsage-version"] == "v1"


@pytest.mark.parametrize(
    ("path", "body", "reply"),
    [
        ("/predict/churn", {"data": []}, {"data": []}),
        ("/models/churn/predict", {"rows": []}, {"model": "churn", "version": "v1", "predictions": []}),
    ],
)
def test_no_rows_give_no_scores(churn: Service, path: str, body: Any, reply: Any) -> None:
    assert churn.post(path, json=body).json() == reply


def test_a_rejection_by_an_endpoint_of_another_contract_is_final(start: Any, churn: Service) -> None:
    other = live_version(contract=Contract((Column("SPENT"), Column("ORDERS")), ("CUSTOMER_ID",), "CHURNED"))
    service = start(Service(churn.endpoint, other))
    answer = service.post("/predict/churn", content=batch([[1, 2]]))
    assert answer.status_code == 400
    assert "contract" in answer.json()["error"]
    service.store.put(live_version())
    assert service.post("/predict/churn", content=batch([[1, 2, 3]])).status_code == 400  # decoded by the old record
    assert (
        service.post("/predict/churn", content=batch([[1, 2]])).status_code == 400
    )  # rejected, decoded again, does not match
    assert service.post("/predict/churn", content=batch([[1, 2, 3]])).status_code == 200


def test_a_switch_is_atomic_for_requests_in_progress(start: Any) -> None:
    def answer(endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        return npy.encode(np.full(len(matrix), float(endpoint), np.float32))

    versions = [live_version(version=str(number), endpoint=str(number)) for number in range(30)]
    service = start(Service(FakeEndpoint(answer), versions[0]))
    seen: list[tuple[str, set[float]]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            reply = service.post("/predict/churn", content=batch([[1, 2, 3]] * 50))
            seen.append((reply.headers["x-snowsage-version"], {score for _, score in reply.json()["data"]}))

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    for version in versions:
        service.store.put(version)
        told = service.post("/models/churn/refresh").json()
        assert told == {
            "model": "churn",
            "version": version.version,
            "fingerprint": CONTRACT.fingerprint,
            "endpoint": version.endpoint,
            "live_from_s": 0.0,
        }
        after = service.post("/predict/churn", content=batch([[1, 2, 3]]))
        assert after.headers["x-snowsage-version"] == version.version
    done.set()
    for caller in callers:
        caller.join()
    assert len({version for version, _ in seen}) > 1
    assert all(scores == {float(version)} for version, scores in seen)
