"""An experiment over HTTP: what callers, files, logs and counters are told; and promoted through the local AWS, end to end."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
import xgboost

import sagemaker_entry
from app.cloud.aws.hosting import SageMakerEndpoint, SageMakerHosting
from app.cloud.aws.s3 import S3Store
from app.cloud.aws.session import AwsSession
from app.deploy.live import LiveVersion
from app.local.aws.cloud import Limits
from app.local.aws.server import AwsServer
from app.pipeline import World
from app.promotion import promote, rollback
from app.registry.versions import RegisteredVersion
from app.serve.arms import by_key
from sagemaker_entry.model import Model
from sagemaker_entry.train import SETUP_PY
from tests.contract.serve.running import Service
from tests.support.fakes import FakeTraining, FakeWarehouse
from tests.unit import churn
from tests.unit.serve.fakes import BUCKET, CONTRACT, SECRET
from tests.unit.serve.test_serve_shares import Variants, experiment

Start = Callable[[Service], Service]

LIVE = experiment(0.7, 0.3)
VERSION, VARIANT = "x-snowsage-version", "x-snowsage-variant"


def boosted(seed: int) -> xgboost.Booster:
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(200, 3)).astype(np.float32)
    label = (features.sum(axis=1) + chance.normal(size=200) > 0).astype(np.float32)
    given = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
    return xgboost.train(given, xgboost.DMatrix(features, label), 5)


BOOSTERS = {"variant-1": boosted(1), "variant-2": boosted(2)}
MATRIX = np.random.default_rng(5).normal(size=(200, 3)).astype(np.float32)
KEYS = [f"c-{number}" for number in range(200)]
AT = by_key(LIVE, KEYS)
WANTED = np.stack([booster.inplace_predict(MATRIX) for booster in BOOSTERS.values()])[AT, np.arange(200)]
ROWS = [int((AT == place).sum()) for place in (0, 1)]
SAID = f"v1;rows={ROWS[0]}, v2;rows={ROWS[1]}"


def batch(keys: list[Any] | None = None) -> bytes:
    rows = MATRIX.astype(np.float64).tolist()
    data = [[number, *([keys[number]] if keys else []), *row] for number, row in enumerate(rows)]
    return orjson.dumps({"data": data})


def named(**more: list[Any]) -> bytes:
    names = (*CONTRACT.names, *more)
    columns = [*MATRIX.astype(np.float64).T.tolist(), *more.values()]
    return orjson.dumps({"rows": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]})


@pytest.fixture(scope="module")
def running(churn: Service) -> Iterator[Service]:  # noqa: ARG001  # everything is compiled then
    from tests.contract.serve.running import answering

    logging.getLogger("app").setLevel(logging.INFO)
    with answering(Service(Variants(BOOSTERS, lambda: "variant-2"), LIVE, capture_share=1.0)) as service:
        yield service


def test_each_row_is_its_own_versions_and_the_answer_says_so(running: Service) -> None:
    answer = running.post("/predict/churn", content=batch(KEYS))
    assert [score for _, score in answer.json()["data"]] == WANTED.astype(np.float64).tolist()
    assert answer.headers[VERSION] == SAID
    assert answer.headers[VARIANT] == "variant-1, variant-2"
    direct = running.post("/models/churn/predict", content=named(CUSTOMER_ID=KEYS)).json()
    assert direct["versions"] == [f"v{place + 1}" for place in AT]
    assert direct["predictions"] == WANTED.astype(np.float64).tolist()
    assert direct["version"] == SAID


def test_one_row_has_one_version(running: Service) -> None:
    for place in (0, 1):
        row = int(np.flatnonzero(AT == place)[0])
        answer = running.post("/predict/churn", json={"data": [[0, KEYS[row], *MATRIX[row].tolist()]]})
        assert (answer.headers[VERSION], answer.headers[VARIANT]) == (f"v{place + 1}", f"variant-{place + 1}")


def test_without_the_key_one_version_takes_all(running: Service) -> None:
    answer = running.post("/models/churn/predict", content=named())
    assert answer.json()["versions"] == ["v2"] * 200
    assert (answer.json()["version"], answer.headers[VERSION], answer.headers[VARIANT]) == ("v2", "v2", "variant-2")


def test_a_version_that_the_path_names_answers_alone(running: Service) -> None:
    tensor = {"name": "features", "datatype": "FP32", "shape": [200, 3], "data": MATRIX.tolist()}
    for place, booster in enumerate(BOOSTERS.values(), start=1):
        answer = running.post(f"/v2/models/churn/versions/v{place}/infer", json={"inputs": [tensor]})
        assert answer.json()["model_version"] == answer.headers[VERSION] == f"v{place}"
        assert answer.json()["outputs"][0]["data"] == booster.inplace_predict(MATRIX).astype(np.float64).tolist()
        assert running.get(f"/v2/models/churn/versions/v{place}/ready").json()["ready"] is True
    assert running.get("/v2/models/churn").json()["versions"] == ["v1", "v2"]
    assert running.post("/v2/models/churn/versions/v3/infer", json={"inputs": [tensor]}).status_code == 404


def test_a_batch_sent_again_gets_the_same_bytes_and_headers(running: Service) -> None:
    headers = {"sf-external-function-query-batch-id": "again"}
    first, second = (running.post("/predict/churn", content=batch(KEYS), headers=headers) for _ in range(2))
    assert (first.content, first.headers[VERSION], first.headers[VARIANT]) == (
        second.content,
        second.headers[VERSION],
        second.headers[VARIANT],
    )


def test_rows_are_counted_and_logged_by_version(running: Service, caplog: pytest.LogCaptureFixture) -> None:
    def counted() -> dict[str, float]:
        lines = running.get("/metrics").text.splitlines()
        parts = [line.rsplit(" ", 1) for line in lines if line.startswith("snowsage_serve_version_rows_total")]
        return {name.partition("version=")[2]: float(value) for name, value in parts}

    before = counted()
    with caplog.at_level(logging.INFO, logger="app"):
        running.post("/predict/churn", content=batch(KEYS))
    after = counted()
    assert {name: after[name] - before.get(name, 0) for name in after} == {'"v1"}': ROWS[0], '"v2"}': ROWS[1]}
    assert any(SAID in str(vars(line)) for line in caplog.records)


def test_captured_rows_are_of_their_own_version(start: Start) -> None:
    service = start(Service(Variants(BOOSTERS), LIVE, capture_share=1.0, capture_file_s=0.1))
    service.post("/predict/churn", content=batch(KEYS))
    service.server.should_exit = True  # type: ignore[union-attr]
    deadline_files = _files(service)
    table = pq.read_table(io.BytesIO(deadline_files[0]))
    found = dict(zip(table["key"].to_pylist(), table["version"].to_pylist(), strict=True))
    assert found == {key: f"v{place + 1}" for key, place in zip(KEYS, AT, strict=True)}
    assert set(zip(table["version"].to_pylist(), table["variant"].to_pylist(), strict=True)) == {
        ("v1", "variant-1"),
        ("v2", "variant-2"),
    }
    scores = dict(zip(table["key"].to_pylist(), table["score"].to_pylist(), strict=True))
    assert [scores[key] for key in KEYS] == WANTED.astype(np.float64).tolist()


def _files(service: Service) -> list[bytes]:
    import time

    until = time.monotonic() + 20
    while not (found := [body for uri, body in service.store.objects.items() if "/serve/capture/" in uri]):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found
