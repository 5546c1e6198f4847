"""An experiment over HTTP: versions in responses, captured files, logs and metrics; and its promotion on the local AWS."""

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
from app.cloud.aws.endpoint import SageMakerEndpoint
from app.cloud.aws.hosting import SageMakerHosting
from app.cloud.aws.s3 import S3Store
from app.cloud.aws.session import AwsSession
from app.deploy.live import live_uri
from app.deploy.plan import plan_deploy
from app.deploy.promotion import promote
from app.ownership import Home, mark_folder
from app.ports import Table
from app.registry.versions import RegisteredVersion
from app.runs.stage import World
from app.serve.models.traffic_split import by_key
from localcloud.aws.account import Limits
from localcloud.aws.server import AwsServer
from sagemaker_entry.model import Model
from sagemaker_entry.train import SETUP_PY
from tests.contract.serve.service import Service
from tests.support.fakes import FakeTraining, FakeWarehouse
from tests.unit import churn
from tests.unit.serve.fakes import BUCKET, CONTRACT
from tests.unit.serve.test_experiment import Variants, experiment

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
FALLS = by_key(LIVE, KEYS)
WANTED = np.stack([booster.inplace_predict(MATRIX) for booster in BOOSTERS.values()])[FALLS, np.arange(200)]
ROWS = [int((place == FALLS).sum()) for place in (0, 1)]
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
def running(churn: Service) -> Iterator[Service]:  # to compile everything
    from tests.contract.serve.service import answering

    logging.getLogger("app").setLevel(logging.INFO)
    with answering(Service(Variants(BOOSTERS, lambda: "variant-2"), LIVE, capture_share=1.0)) as service:
        yield service


def test_each_row_is_scored_by_its_version_and_the_response_names_it(running: Service) -> None:
    answer = running.post("/predict/churn", content=batch(KEYS))
    assert [score for _, score in answer.json()["data"]] == WANTED.astype(np.float64).tolist()
    assert answer.headers[VERSION] == SAID
    assert answer.headers[VARIANT] == "variant-1, variant-2"
    direct = running.post("/models/churn/predict", content=named(CUSTOMER_ID=KEYS)).json()
    assert direct["versions"] == [f"v{place + 1}" for place in FALLS]
    assert direct["predictions"] == WANTED.astype(np.float64).tolist()
    assert direct["version"] == SAID


def test_one_row_has_one_version(running: Service) -> None:
    for place in (0, 1):
        row = int(np.flatnonzero(place == FALLS)[0])
        answer = running.post("/predict/churn", json={"data": [[0, KEYS[row], *MATRIX[row].tolist()]]})
        assert (answer.headers[VERSION], answer.headers[VARIANT]) == (f"v{place + 1}", f"variant-{place + 1}")


def test_without_the_key_one_version_scores_all_rows(running: Service) -> None:
    answer = running.post("/models/churn/predict", content=named())
    assert answer.json()["versions"] == ["v2"] * 200
    assert (answer.json()["version"], answer.headers[VERSION], answer.headers[VARIANT]) == ("v2", "v2", "variant-2")


def test_a_version_in_the_path_scores_all_rows(running: Service) -> None:
    tensor = {"name": "features", "datatype": "FP32", "shape": [200, 3], "data": MATRIX.tolist()}
    for place, booster in enumerate(BOOSTERS.values(), start=1):
        answer = running.post(f"/v2/models/churn/versions/v{place}/infer", json={"inputs": [tensor]})
        assert answer.json()["model_version"] == answer.headers[VERSION] == f"v{place}"
        assert answer.json()["outputs"][0]["data"] == booster.inplace_predict(MATRIX).astype(np.float64).tolist()
        assert running.get(f"/v2/models/churn/versions/v{place}/ready").json()["ready"] is True
    assert running.get("/v2/models/churn").json()["versions"] == ["v1", "v2"]
    assert running.post("/v2/models/churn/versions/v3/infer", json={"inputs": [tensor]}).status_code == 404


def test_open_inference_returns_the_version_as_an_output(running: Service) -> None:
    columns = [*MATRIX.T, KEYS]
    tensors = [
        {"name": name, "datatype": kind, "shape": [200], "data": list(map(type_, column))}
        for name, kind, type_, column in zip(
            (*CONTRACT.names, "CUSTOMER_ID"), ["FP32"] * 3 + ["BYTES"], [float] * 3 + [str], columns, strict=True
        )
    ]
    answer = running.post("/v2/models/churn/infer", json={"inputs": tensors})
    given = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert given == {"score": WANTED.astype(np.float64).tolist(), "version": [f"v{place + 1}" for place in FALLS]}
    assert answer.json()["model_version"] == answer.headers[VERSION] == SAID
    wanted = {"inputs": tensors, "outputs": [{"name": "score"}]}
    assert len(running.post("/v2/models/churn/infer", json=wanted).json()["outputs"]) == 1


def test_a_repeated_batch_gets_the_same_bytes_and_headers(running: Service) -> None:
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


def test_the_description_lists_the_headers(running: Service) -> None:
    paths = running.get("/openapi.json").json()["paths"]
    for path in ("/predict/{model}", "/models/{model}/predict", "/v2/models/{model}/infer"):
        told = {name.lower() for name in paths[path]["post"]["responses"]["200"]["headers"]}
        assert told >= {VERSION, VARIANT}


def test_captured_rows_contain_their_version(start: Start) -> None:
    service = start(Service(Variants(BOOSTERS), LIVE, capture_share=1.0, capture_file_s=0.1))
    service.post("/predict/churn", content=batch(KEYS))
    service.server.should_exit = True  # type: ignore[union-attr]
    deadline_files = _files(service)
    table = pq.read_table(io.BytesIO(deadline_files[0]))
    found = dict(zip(table["key"].to_pylist(), table["version"].to_pylist(), strict=True))
    assert found == {key: f"v{place + 1}" for key, place in zip(KEYS, FALLS, strict=True)}
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


# --- through the local AWS ------------------------------------------------------------------------------------------------

LAKE = BUCKET
PIPELINE = churn.PIPELINE.model_copy(
    update={"serving": churn.PIPELINE.serving.model_copy(update={"key": "CUSTOMER_ID", "function": "PREDICT_CHURN"})}
)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsSession]:
    server = AwsServer(
        work_dir=tmp_path_factory.mktemp("aws"), limits=Limits(stop_grace_s=1.0, startup_s=60.0, invocation_s=20.0)
    )
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint_url)
        session = AwsSession(boto3.Session("local", "local", region_name="us-east-1"))
        session.client("s3").create_bucket(Bucket=LAKE)
        yield session
    server.stop()


def artefact(folder: Path, booster: xgboost.Booster) -> bytes:
    """A model.tar.gz of ``booster``, as training writes it."""
    folder.mkdir()
    Model(booster, CONTRACT).save(folder)
    shutil.copytree(
        Path(sagemaker_entry.__file__).parent, folder / "code/sagemaker_entry", ignore=shutil.ignore_patterns("__py*")
    )
    (folder / "code/setup.py").write_text(SETUP_PY)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return packed.getvalue()


class Registry(FakeWarehouse):
    """A warehouse with registered versions. It records promotions, and its probe calls ``service``."""

    def __init__(self, versions: list[RegisteredVersion]) -> None:
        super().__init__({"CURRENT_ACCOUNT": [("A", "D")], "SELECT": [(0.5,)]})
        self.versions = versions

    def run(self, statement: Any) -> Any:
        if statement.text.startswith("UPDATE"):
            chosen, stage = statement.binds[1], "production" if "IS_DEFAULT = TRUE" in statement.text else "archived"
            self.versions = [
                replace(item, stage=stage)
                if (item.version == chosen) == (stage == "production")
                and (stage == "production" or item.stage == "production")
                else item
                for item in self.versions
            ]
        if "MODEL_REGISTRY" in statement.text and statement.text.startswith("SELECT"):
            return Table((), [_row(item) for item in self.versions])
        return super().run(statement)


def _row(item: RegisteredVersion) -> tuple[Any, ...]:
    told = (json.dumps(item.contract), json.dumps(item.report), json.dumps(item.verdict), item.training_job)
    return (item.model, item.version, item.run_id, item.stage, *told, item.artifact_uri, item.artifact_sha256)


class HttpServiceControl:
    """``ServiceControl`` over HTTP."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def refresh(self, model: str) -> Any:
        answer = self.service.post(f"/models/{model}/refresh")
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.mark.slow
def test_two_variants_share_the_entities_until_one_is_promoted(aws: AwsSession, start: Start, tmp_path: Path) -> None:
    store = S3Store(aws)
    versions = []
    for number, booster in enumerate(BOOSTERS.values()):
        body = artefact(tmp_path / str(number), booster)
        uri = f"s3://{LAKE}/churn/{number}/model.tar.gz"
        store.write(uri, body)
        digest = hashlib.sha256(body).hexdigest()
        stage = "candidate" if number else "production"
        made: dict[str, Any] = {"artifact_uri": uri, "artifact_sha256": digest, "stage": stage}
        versions.append(churn.registered(version=f"1.{number}", contract=CONTRACT.to_dict(), **made))
    service = start(Service(SageMakerEndpoint(aws, 16), store=store))  # type: ignore[arg-type]
    platform = churn.platform().model_copy(
        update={"switch_lead_s": 0.0, "drain_s": 0.0, "poll_s": 0.1, "endpoint_timeout_s": 120}
    )
    registry = Registry(versions)
    world = World(
        platform,
        registry,
        store,
        FakeTraining(None),  # type: ignore[arg-type]
        SageMakerHosting(aws, churn.ROLE),
        HttpServiceControl(service),
    )
    file = replace(churn.FILE, pipeline=PIPELINE)

    def shared() -> dict[str, int]:
        """The number of rows by version. Fails the test if a score differs from its version's."""
        answer = service.post("/models/churn/predict", content=named(CUSTOMER_ID=KEYS))
        assert answer.status_code == 200, answer.text
        given = answer.json()
        by_version = given.get("versions") or [given["version"]] * len(KEYS)
        at = [int(version.removeprefix("1.")) for version in by_version]
        every = np.stack([booster.inplace_predict(MATRIX) for booster in BOOSTERS.values()])
        assert given["predictions"] == every[at, np.arange(200)].astype(np.float64).tolist()
        assert len(answer.headers[VARIANT].split(", ")) == len(set(by_version))
        return {version: by_version.count(version) for version in sorted(set(by_version))}

    def weights() -> list[float]:
        found = aws.client("sagemaker").describe_endpoint(EndpointName="churn")
        return sorted(variant["CurrentWeight"] for variant in found["ProductionVariants"])

    mark_folder(store, LAKE, Home("churn", "A", "D"))
    # The first version has been live for long, but has no endpoint: starting one takes seconds.
    store.write(live_uri(LAKE, "churn"), plan_deploy(PIPELINE, versions[0], [], None, platform).live.to_json())
    promote(file, world, "1.1", 0.3, str)
    both = shared()
    assert (sum(both.values()), 30 < both["1.1"] < 90) == (200, True)
    assert shared() == both
    assert weights() == pytest.approx([0.3, 0.7])
    keyless = service.post("/models/churn/predict", content=named())
    assert keyless.headers[VERSION] in ("1.0", "1.1")
    assert set(keyless.json()["versions"]) == {keyless.headers[VERSION]}
    promote(file, world, "1.1", None, str)
    assert shared() == {"1.1": 200}
    assert weights() == [1.0]
    assert {item.version: item.stage for item in registry.versions} == {"1.0": "archived", "1.1": "production"}
