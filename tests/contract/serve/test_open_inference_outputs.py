"""The Open Inference Protocol with outputs other than scores: labels and reasons as tensors, and invalid rows."""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import xgboost

from app.deploy.rules import ServingRules
from app.ports import Invoked
from tests.contract.serve.raw_http import metric
from tests.contract.serve.service import ModelEndpoint, Service, answering
from tests.contract.serve.test_open_inference import HEADERS, tensor, triton
from tests.unit.serve.fakes import CONTRACT, live_version

RULES = {
    "plain": ServingRules(on_bad_row="null"),
    "labelled": ServingRules("variant", threshold=0.5, labels=("BLEIBT", "KÜNDIGT"), on_bad_row="error"),
    "explained": ServingRules("variant", reasons=2, threshold=0.5, labels=("STAYS", "CHURNS")),
    "reasons": ServingRules("variant", reasons=1),
}
OUTPUTS = {
    "plain": ["score"],
    "labelled": ["score", "label"],
    "explained": ["score", "label", "reasons"],
    "reasons": ["score", "reasons"],
}
SCORERS = ("endpoint", "embedded")


class RecordingEndpoint(ModelEndpoint):
    """Records its invocations."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[str] = []

    def invoke(self, *request: Any, **more: Any) -> Invoked:
        self.asked.append(str((request, more)))
        return super().invoke(*request, **more)


@pytest.fixture(scope="module")
def endpoint(model: tuple[xgboost.Booster, Path]) -> RecordingEndpoint:
    return RecordingEndpoint(model[1])


@pytest.fixture(scope="module")
def service(model: tuple[xgboost.Booster, Path], endpoint: RecordingEndpoint) -> Iterator[Service]:
    """A service with one model for each of RULES and each scorer, such as ``plain-embedded``."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file in model[1].iterdir():
            tar.add(file, file.name)
    digest = hashlib.sha256(archive.getvalue()).hexdigest()
    lives = [
        replace(live_version(f"{name}-{scorer}"), rules=rules, scorer=scorer, artifact_sha256=digest)
        for name, rules in RULES.items()
        for scorer in SCORERS
    ]
    made = Service(endpoint, *lives)
    for live in lives:
        made.store.objects[live.artifact_uri] = archive.getvalue()
    with answering(made) as found:
        while found.get("/v2/health/ready").status_code != 200:
            time.sleep(0.005)
        yield found


@pytest.fixture
def client(service: Service) -> Iterator[Any]:
    with triton.InferenceServerClient(str(service.client.base_url).removeprefix("http://")) as found:
        yield found


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(40, 3)).astype(np.float32)


def directly(service: Service, model: str, values: np.ndarray) -> list[Any]:
    """The outputs of the same rows in the direct form."""
    rows = [dict(zip(CONTRACT.names, row, strict=True)) for row in values.astype(np.float64).tolist()]
    answer = service.post(f"/models/{model}/predict", json={"rows": rows})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["predictions"])


def as_objects(answer: Any, names: list[str]) -> list[Any]:
    """The response's tensors in the direct form."""
    columns: dict[str, list[Any]] = {}
    for name in names:
        found = answer.as_numpy(name)
        texts = [text.decode() if isinstance(text, bytes) else text for text in found.tolist()]
        columns[name] = [orjson.loads(text) for text in texts] if name == "reasons" else texts
    if names == ["score"]:
        return columns["score"]
    version = {"version": answer.get_response()["model_version"]}
    return [dict(zip(names, row, strict=True)) | version for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("name", RULES)
def test_the_response_has_the_outputs_in_the_metadata(
    service: Service, client: Any, values: np.ndarray, name: str, scorer: str
) -> None:
    model = f"{name}-{scorer}"
    listed = client.get_model_metadata(model, headers=dict(HEADERS))["outputs"]
    assert listed == [
        {"name": each, "datatype": "FP32" if each == "score" else "BYTES", "shape": [-1]} for each in OUTPUTS[name]
    ]
    wanted = directly(service, model, values)
    answer = client.infer(model, [tensor("features", values)], headers=dict(HEADERS))
    assert [each["name"] for each in answer.get_response()["outputs"]] == OUTPUTS[name]
    assert as_objects(answer, OUTPUTS[name]) == wanted
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput(each, binary_data=binary) for each in OUTPUTS[name]]
        for packed in (None, "gzip"):
            answer = client.infer(
                model,
                [tensor("features", values)],
                outputs=outputs,
                headers=dict(HEADERS),
                response_compression_algorithm=packed,
            )
            assert as_objects(answer, OUTPUTS[name]) == wanted


def test_outputs_have_the_requested_order_and_form(client: Any, values: np.ndarray) -> None:
    outputs = [
        triton.InferRequestedOutput("reasons", binary_data=True),
        triton.InferRequestedOutput("score", binary_data=False),
        triton.InferRequestedOutput("label", binary_data=True),
    ]
    answer = client.infer("explained-embedded", [tensor("features", values)], outputs=outputs, headers=dict(HEADERS))
    found = answer.get_response()["outputs"]
    assert [(each["name"], "data" in each, each["shape"]) for each in found] == [
        ("reasons", False, [40]),
        ("score", True, [40]),
        ("label", False, [40]),
    ]
    assert set(answer.as_numpy("label").tolist()) == {b"STAYS", b"CHURNS"}
    assert len(orjson.loads(answer.as_numpy("reasons")[0])) == 2


def test_reasons_are_not_computed_unless_requested(
    client: Any, endpoint: RecordingEndpoint, values: np.ndarray, model: tuple[xgboost.Booster, Path]
) -> None:
    endpoint.asked.clear()
    only = [triton.InferRequestedOutput("score")]
    scores = client.infer(
        "explained-endpoint", [tensor("features", values)], outputs=only, headers=dict(HEADERS)
    ).as_numpy("score")
    client.infer("explained-endpoint", [tensor("features", values)], headers=dict(HEADERS))
    assert ["reasons=2" in asked for asked in endpoint.asked] == [False, True]
    assert scores.tobytes() == model[0].inplace_predict(values).tobytes()


@pytest.mark.parametrize("before", range(1, 5))
def test_raw_tensors_may_begin_at_any_offset(
    client: Any, values: np.ndarray, model: tuple[xgboost.Booster, Path], before: int
) -> None:
    """XGBoost accepts no unaligned array, but the client decides the length of the JSON before the tensor."""
    wanted = model[0].inplace_predict(values).tobytes()
    columns = [tensor(name, values[:, [at]].copy()) for at, name in enumerate(CONTRACT.names)]
    for inputs in ([tensor("features", values)], columns):
        answer = client.infer("plain-embedded", inputs, request_id="x" * before, headers=dict(HEADERS))
        assert answer.as_numpy("score").tobytes() == wanted


def test_no_rows_have_no_labels_and_no_reasons(client: Any) -> None:
    for scorer in SCORERS:
        answer = client.infer(
            f"explained-{scorer}", [tensor("features", np.empty((0, 3), np.float32))], headers=dict(HEADERS)
        )
        assert [answer.as_numpy(name).shape for name in OUTPUTS["explained"]] == [(0,), (0,), (0,)]


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ([{"name": "reasons"}], "the outputs of model labelled-embedded are: score, label"),
        ([{"name": "score"}, {"name": "score"}], "output score is named twice"),
        ([{}], "the outputs of model labelled-embedded are: score, label"),
        ([{"name": ["score"]}], "the outputs of model labelled-embedded are: score, label"),
    ],
)
def test_unknown_outputs_are_reported(service: Service, outputs: list[Any], text: str) -> None:
    given = {"name": "features", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    answer = service.post("/v2/models/labelled-embedded/infer", json={"inputs": [given], "outputs": outputs})
    assert (answer.status_code, answer.json()) == (400, {"error": text})


def test_an_empty_list_of_outputs_means_all(service: Service) -> None:
    given = {"name": "features", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    for outputs in ([], None):
        answer = service.post("/v2/models/labelled-embedded/infer", json={"inputs": [given], "outputs": outputs})
        assert [each["name"] for each in answer.json()["outputs"]] == ["score", "label"]


@pytest.mark.parametrize("name", ["plain-embedded", "labelled-embedded", "labelled-endpoint"])
def test_an_invalid_row_fails_the_request_and_is_named(service: Service, name: str) -> None:
    """With any ``on_bad_row``: a tensor of scores has no NULL and cannot contain an error."""

    def refused(*inputs: dict[str, Any]) -> str:
        answer = service.post(f"/v2/models/{name}/infer", json={"inputs": inputs})
        assert answer.status_code == 400
        return str(answer.json()["error"])

    infinite = "a value that is infinite or beyond the range of a 32-bit float"
    matrix = {"name": "features", "shape": [3, 3], "datatype": "FP64"}
    assert refused({**matrix, "data": [1, 2, 3, 4, 5, 6, 7, 1e39, 9]}) == f"row 2: feature ORDERS has {infinite}"
    assert (
        refused({**matrix, "data": [1, 2, 3, 4, "5", 6, 7, 8, 9]})
        == "row 1: input features has a value that is not FP64"
    )
    each = {name: {"name": name, "shape": [3], "datatype": "FP64", "data": [1, 2, 3]} for name in CONTRACT.names}
    each["VISITS"]["data"] = [1, 2, -1e39]
    assert refused(*each.values()) == f"row 2: feature VISITS has {infinite}"
    each["VISITS"] = {"name": "VISITS", "shape": [3], "datatype": "BYTES", "data": [None, "7", "8"]}
    assert refused(*each.values()) == "row 1: feature VISITS must be a number or NULL"
    assert "missing: VISITS" in refused(each["SPENT"], each["ORDERS"])


def test_raw_tensors_are_counted_as_compiled_decodes(service: Service, client: Any, values: np.ndarray) -> None:
    def decodes() -> tuple[float, float]:
        labels = '",model="reasons-embedded"}'
        return tuple(metric(service, f'decodes_total{{decoder="{how}{labels}') for how in ("compiled", "general"))  # type: ignore[return-value]

    compiled, general = decodes()
    client.infer("reasons-embedded", [tensor("features", values)], headers=dict(HEADERS))
    assert decodes() == (compiled + 1, general)
    client.infer("reasons-embedded", [tensor("features", values, binary=False)], headers=dict(HEADERS))
    assert decodes() == (compiled + 1, general + 1)
