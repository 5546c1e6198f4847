"""The Open Inference Protocol: tritonclient works unchanged, and scores equal inplace_predict bit for bit."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest
import xgboost

from tests.contract.serve.service import ModelEndpoint, Service, answering
from tests.unit.serve.fakes import CONTRACT, SECRET, live_version

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

HEADERS = {"x-snowsage-secret": SECRET}  # tritonclient changes the headers that it gets, so each call has its own


@pytest.fixture(scope="module")
def service(model: tuple[xgboost.Booster, Any]) -> Iterator[Service]:
    with answering(Service(ModelEndpoint(model[1]), live_version(), live_version("keyed", key="CUSTOMER_ID"))) as found:
        while found.get("/v2/health/ready").status_code != 200:
            time.sleep(0.005)
        yield found


@pytest.fixture
def client(service: Service) -> Iterator[Any]:
    with triton.InferenceServerClient(str(service.client.base_url).removeprefix("http://")) as found:
        yield found


def rows(number: int = 500) -> np.ndarray:
    chance = np.random.default_rng(11)
    values = chance.normal(size=(number, 3)).astype(np.float32)
    values[chance.random(values.shape) < 0.1] = np.nan
    return values


def tensor(name: str, values: np.ndarray, datatype: str = "FP32", binary: bool = True) -> Any:
    found = triton.InferInput(name, list(values.shape), datatype)
    found.set_data_from_numpy(values, binary_data=binary)
    return found


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    return found.dtype == wanted.dtype == np.float32 and found.tobytes() == wanted.tobytes()


def test_metadata_describes_the_server_and_its_models(client: Any) -> None:
    assert client.is_server_live(headers=dict(HEADERS))
    assert client.is_server_ready(headers=dict(HEADERS))
    assert client.is_model_ready("churn", headers=dict(HEADERS))
    assert client.is_model_ready("churn", "v1", headers=dict(HEADERS))
    assert not client.is_model_ready("churn", "v9", headers=dict(HEADERS))
    assert not client.is_model_ready("nothing", headers=dict(HEADERS))
    assert client.get_server_metadata(headers=dict(HEADERS))["name"] == "snowsage"
    metadata = client.get_model_metadata("churn", headers=dict(HEADERS))
    assert metadata["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}]
    assert metadata["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1]}]
    assert metadata["versions"] == ["v1"]
    assert {item["name"] for item in client.get_model_repository_index(headers=dict(HEADERS))} == {"churn", "keyed"}


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("wanted_binary", [True, False])
@pytest.mark.parametrize("binary", [True, False])
def test_scores_equal_inplace_predict(
    client: Any, model: tuple[xgboost.Booster, Any], binary: bool, wanted_binary: bool, compression: str | None
) -> None:
    values = rows() if binary else np.nan_to_num(rows())  # tritonclient writes NaN, which JSON does not have
    answer = client.infer(
        "churn",
        [tensor("features", values, binary=binary)],
        outputs=[triton.InferRequestedOutput("score", binary_data=wanted_binary)],
        request_id="42",
        headers=dict(HEADERS),
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    assert same(answer.as_numpy("score"), model[0].inplace_predict(values))
    assert (answer.get_response()["id"], answer.get_response()["model_version"]) == ("42", "v1")


def test_each_feature_may_be_a_tensor_in_any_order_and_datatype(
    client: Any, model: tuple[xgboost.Booster, Any]
) -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    inputs = [
        tensor("VISITS", values[:, 2].astype(np.int64), "INT64"),
        tensor("SPENT", values[:, [0]].astype(np.float64), "FP64"),
        tensor("ORDERS", values[:, 1].astype(np.uint8), "UINT8", binary=False),
    ]
    wanted = model[0].inplace_predict(values)
    assert same(client.infer("churn", inputs, "v1", headers=dict(HEADERS)).as_numpy("score"), wanted)
    key = tensor("CUSTOMER_ID", np.array([b"a", b"", "ü".encode(), b"d"], dtype=object), "BYTES")
    assert same(client.infer("keyed", [key, *inputs], headers=dict(HEADERS)).as_numpy("score"), wanted)


def test_no_rows_give_no_scores(client: Any) -> None:
    assert client.infer("churn", [tensor("features", np.empty((0, 3), np.float32))], headers=dict(HEADERS)).as_numpy(
        "score"
    ).shape == (0,)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([tensor("features", np.zeros((2, 4), np.float32))], r"numbers of the shape \[rows, 3\]"),
        (
            [tensor("features", np.full((1, 3), np.inf, np.float32))],
            "row 0: feature SPENT has a value that is infinite",
        ),
        ([tensor("SPENT", np.zeros(2, np.float32))], "missing: ORDERS, VISITS"),
        ([tensor(name, np.zeros(2, np.float32)) for name in (*CONTRACT.names, "MORE")], "unknown: MORE"),
        ([tensor(name, np.zeros(2, np.float32)) for name in ("SPENT", "SPENT")], "SPENT is given twice"),
        (
            [tensor(name, np.zeros(at + 1, np.float32)) for at, name in enumerate(CONTRACT.names)],
            "different numbers of rows",
        ),
    ],
)
def test_the_error_names_the_wrong_input(client: Any, inputs: list[Any], text: str) -> None:
    with pytest.raises(InferenceServerException, match=text) as caught:
        client.infer("churn", inputs, headers=dict(HEADERS))
    assert caught.value.status() == "400"


GOOD = {"name": "features", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}


def test_a_length_of_thousands_of_digits_is_400(service: Service) -> None:
    headers = {"inference-header-content-length": "9" * 5000}
    answer = service.post("/v2/models/churn/infer", content=b"{}", headers=headers)
    assert answer.status_code == 400
    assert "must be the length of the JSON" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [{**GOOD, "name": ""}]}, "no name"),
        ({"inputs": [{**GOOD, "datatype": "FP33"}]}, "datatype must be one of"),
        ({"inputs": [{**GOOD, "shape": [3]}]}, "shape"),
        ({"inputs": [{**GOOD, "shape": [-1, 3]}]}, "shape"),
        ({"inputs": [{**GOOD, "shape": [10**12, 3]}]}, "3 values were sent"),
        ({"inputs": [{**GOOD, "shape": [2**63 - 1, 0], "data": []}]}, "shape"),
        ({"inputs": [{**GOOD, "name": f"X{number}"} for number in range(12_000)]}, "12000 inputs were sent"),
        ({"inputs": [{**GOOD, "data": [1, 2]}]}, "2 values were sent"),
        ({"inputs": [{**GOOD, "data": [1, 2, "7777"]}]}, "not FP32"),
        ({"inputs": [{**GOOD, "data": [1, 2, [3]]}]}, "not FP32"),
        ({"inputs": [{**GOOD, "datatype": "INT8", "data": [1, 2, 300]}]}, "beyond INT8"),
        ({"inputs": [{**GOOD, "data": [1, 2, 1e39]}]}, "VISITS has a value that is infinite"),
        ({"inputs": [{**GOOD, "parameters": {"binary_data_size": 12}}]}, "both data and binary_data_size"),
        ({"inputs": [{**GOOD, "parameters": {"shared_memory_region": "x"}}]}, "shared memory is not supported"),
        ({"inputs": [GOOD], "outputs": [{"name": "label"}]}, "the outputs of model churn are: score"),
        ({"inputs": [GOOD], "outputs": [{"name": "score", "parameters": {"classification": 2}}]}, "only binary_data"),
        ({"inputs": [GOOD], "id": 7}, "id must be a text"),
        ({"inputs": [GOOD], "parameters": False}, "parameters must be an object"),
        ({"inputs": [GOOD], "parameters": {"binary_data_output": 1}}, "binary_data_output must be true or false"),
        (
            {"inputs": [GOOD], "outputs": [{"name": "score", "parameters": {"binary_data": []}}]},
            "must be true or false",
        ),
    ],
)
def test_invalid_bodies_are_400_with_a_message_without_values(service: Service, body: Any, text: str) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = service.post("/v2/models/churn/infer", content=content)
    assert answer.status_code == 400
    assert text in answer.json()["error"]
    assert "7777" not in answer.text


@pytest.mark.parametrize("length", ["x", "-1", "100000", "10"])
def test_a_wrong_length_of_the_json_part_is_rejected(service: Service, length: str) -> None:
    body = orjson.dumps({"inputs": [GOOD]})
    answer = service.post("/v2/models/churn/infer", content=body, headers={"Inference-Header-Content-Length": length})
    assert answer.status_code == 400


def test_nested_lists_and_nulls_are_decoded(service: Service, model: tuple[xgboost.Booster, Any]) -> None:
    body = {"inputs": [{**GOOD, "shape": [2, 3], "data": [[1, None, 3.5], [4, 5, 6]]}]}
    found = service.post("/v2/models/churn/infer", json=body).json()["outputs"][0]["data"]
    matrix = np.array([[1, np.nan, 3.5], [4, 5, 6]], dtype=np.float32)
    assert found == model[0].inplace_predict(matrix).astype(np.float64).tolist()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/models/churn/config"),
        ("GET", "/v2/models/stats"),
        ("POST", "/v2/repository/models/churn/load"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/models/churn/versions/v2"),
        ("POST", "/v2/models/churn/versions/v2/infer"),
        ("POST", "/v2/models/nothing/infer"),
    ],
)
def test_missing_models_and_versions_are_404_with_one_sentence(service: Service, method: str, path: str) -> None:
    answer = service.client.request(method, path, content=orjson.dumps({"inputs": [GOOD]}))
    assert answer.status_code == 404
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2/health/live", "GET, HEAD"),
        ("POST", "/v2/models/churn", "GET, HEAD"),
        ("GET", "/v2/models/churn/infer", "POST"),
        ("GET", "/v2/repository/index", "POST"),
        ("DELETE", "/v2/models/churn/ready", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_with_the_allowed_one(service: Service, method: str, path: str, allowed: str) -> None:
    answer = service.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]


def test_only_the_path_selects_a_version(service: Service) -> None:
    assert service.get("/v2/models/churn?version=v9").status_code == 200
    assert service.get("/v2/models/churn/ready?version=v9").status_code == 200
