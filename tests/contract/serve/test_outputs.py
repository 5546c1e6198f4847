"""Outputs over HTTP, by both scorers and both kinds of endpoints, equal the booster's values bit for bit."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import xgboost

from app.deploy.live import LiveVersion
from app.deploy.rules import ServingRules
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.model import Model
from tests.contract.serve.service import BuiltInEndpoint, ModelEndpoint, Service, answering
from tests.unit.serve.fakes import live_version

PLANS = ("free", "paid", "größe")
CONTRACT = Contract(
    (Column("SPENT"), Column("PLAN", "category", PLANS), Column("ORDERS"), Column("VISITS")),
    ("CUSTOMER_ID",),
    "CHURNED",
)
RULES = {
    "plain": ServingRules(),
    "labelled": ServingRules("variant", threshold=0.5, labels=("STAYS", "CHURNS")),
    "explained": ServingRules("variant", reasons=3),
    "null": ServingRules(on_bad_row="null", absent_is_null=True),
    "error": ServingRules("variant", on_bad_row="error"),
}
OBJECT = {"sf-external-function-signature": "(FEATURES OBJECT)"}


@pytest.fixture(scope="module")
def booster(tmp_path_factory: pytest.TempPathFactory) -> tuple[xgboost.Booster, Path]:
    """A booster that splits on numbers and on a category, and its folder."""
    chance = np.random.default_rng(3)
    features = chance.normal(size=(500, 4)).astype(np.float32)
    features[:, 1] = chance.integers(0, 3, 500)
    features[chance.random(features.shape) < 0.1] = np.nan
    label = (np.nan_to_num(features[:, 0]) + (features[:, 1] == 1) > 0.3).astype(np.float32)
    data = xgboost.DMatrix(
        features,
        label,
        feature_names=list(CONTRACT.names),
        feature_types=["float", "c", "float", "float"],
        enable_categorical=True,
    )
    made = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 12)
    folder = tmp_path_factory.mktemp("mixed")
    Model(made, CONTRACT).save(folder)
    return made, folder


@pytest.fixture(scope="module")
def service(booster: tuple[xgboost.Booster, Path]) -> Iterator[Service]:
    """A service with one model for each of RULES and each scorer, such as ``plain-embedded``."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file in booster[1].iterdir():
            tar.add(file, file.name)
    digest = hashlib.sha256(archive.getvalue()).hexdigest()
    lives: list[LiveVersion] = []
    for name, rules in RULES.items():
        live = replace(live_version(f"{name}-endpoint", contract=CONTRACT), rules=rules)
        lives.append(live)
        lives.append(replace(live, model=f"{name}-embedded", scorer="embedded", artifact_sha256=digest))
    with ExitStack() as stack:
        made = Service(ModelEndpoint(booster[1]), *lives)
        for live in lives:
            made.store.objects[live.artifact_uri] = archive.getvalue()
        yield stack.enter_context(answering(made))


@pytest.fixture(scope="module")
def rows() -> list[list[Any]]:
    chance = np.random.default_rng(11)
    table = [[*values[:1], PLANS[code], *values[1:]] for values, code in
             zip(chance.normal(size=(300, 3)).round(6).tolist(), chance.integers(0, 3, 300).tolist(), strict=True)]  # fmt: skip
    return [[None if chance.random() < 0.05 else value for value in row] for row in table]


@pytest.fixture(scope="module")
def matrix(rows: list[list[Any]]) -> np.ndarray:
    wide = [[PLANS.index(value) if isinstance(value, str) else value for value in row] for row in rows]
    return np.array(wide, dtype=np.float64).astype(np.float32)


@pytest.fixture(scope="module")
def wanted(booster: tuple[xgboost.Booster, Path], matrix: np.ndarray) -> list[float]:
    return booster[0].inplace_predict(matrix).astype(np.float64).tolist()


def values(answer: Any) -> list[Any]:
    assert answer.status_code == 200, answer.text
    data = orjson.loads(answer.content)["data"]
    assert [number for number, _ in data] == list(range(len(data)))
    return [value for _, value in data]


def in_every_form(service: Service, model: str, rows: list[list[Any]]) -> list[list[Any]]:
    """The outputs of the same rows as arguments in two notations, as uniform and mixed objects, and in the direct form."""
    typed = [[number, *row] for number, row in enumerate(rows)]
    named = [dict(zip(CONTRACT.names, row, strict=True)) for row in rows]
    turned = [dict(reversed(row.items())) if number % 2 else row for number, row in enumerate(named)]
    direct = service.post(f"/models/{model}/predict", json={"rows": named})
    escaped = orjson.dumps({"data": typed}).replace("ö".encode(), b"\\u00f6")
    path = f"/predict/{model}"
    return [
        values(service.post(path, content=orjson.dumps({"data": typed}))),
        values(service.post(path, content=escaped)),
        values(service.post(path, content=orjson.dumps({"data": list(enumerate(named))}), headers=OBJECT)),
        values(service.post(path, content=orjson.dumps({"data": list(enumerate(turned))}), headers=OBJECT)),
        direct.json()["predictions"],
    ]


@pytest.mark.parametrize("scorer", ["endpoint", "embedded"])
def test_scores_equal_the_boosters_in_every_form(service: Service, rows: Any, wanted: list[float], scorer: str) -> None:
    for found in in_every_form(service, f"plain-{scorer}", rows):
        assert found == wanted
    for found in in_every_form(service, f"labelled-{scorer}", rows):
        labels = ["CHURNS" if score >= 0.5 else "STAYS" for score in wanted]
        assert found == [
            {"score": score, "label": label, "version": "v1"} for score, label in zip(wanted, labels, strict=True)
        ]


def test_reasons_equal_the_boosters_contributions_for_both_scorers(
    service: Service, booster: tuple[xgboost.Booster, Path], rows: Any, matrix: np.ndarray, wanted: list[float]
) -> None:
    types = ["float", "c", "float", "float"]
    data = xgboost.DMatrix(matrix, feature_names=list(CONTRACT.names), feature_types=types, enable_categorical=True)
    contributions = booster[0].predict(data, pred_contribs=True).astype(np.float64)
    margins = booster[0].predict(data, output_margin=True)
    np.testing.assert_allclose(contributions.sum(axis=1), margins, rtol=1e-4, atol=1e-5)
    for model in ("explained-endpoint", "explained-embedded"):
        for found in in_every_form(service, model, rows):
            assert [row["score"] for row in found] == wanted
            for row, given in zip(found, contributions.tolist(), strict=True):
                by_size = sorted(zip(CONTRACT.names, given[:-1], strict=True), key=lambda pair: -abs(pair[1]))
                assert row["reasons"] == [{"feature": name, "contribution": value} for name, value in by_size[:3]]


@pytest.mark.parametrize("scorer", ["endpoint", "embedded"])
def test_invalid_rows_do_not_affect_others(service: Service, rows: Any, wanted: list[float], scorer: str) -> None:
    damaged = [list(row) for row in rows]
    damaged[7][0], damaged[11][1], damaged[13][2] = "7777", "gold", 1e39
    del damaged[17][3]
    body = orjson.dumps({"data": [[number, *row] for number, row in enumerate(damaged)]})
    nulls = [None if at in (7, 11, 13, 17) else score for at, score in enumerate(wanted)]
    assert values(service.post(f"/predict/null-{scorer}", content=body)) == nulls
    found = values(service.post(f"/predict/error-{scorer}", content=body))
    assert [row.get("score") for row in found] == nulls
    assert {at: row["error"] for at, row in enumerate(found) if "error" in row} == {
        7: "feature SPENT must be a number or NULL",
        11: "feature PLAN has a value outside its 3 declared categories",
        13: "feature ORDERS has a value that is infinite or beyond the range of a 32-bit float",
        17: "it has 3 argument(s), 4 are needed: SPENT, PLAN, ORDERS, VISITS",
    }
    failed = service.post(f"/predict/plain-{scorer}", content=body)
    assert failed.status_code == 400
    assert failed.json()["error"] == "row 7: feature SPENT must be a number or NULL"


def test_a_batch_of_only_invalid_rows_is_answered(service: Service) -> None:
    assert values(service.post("/predict/null-embedded", json={"data": [[0, "x"], [1, 1, 1, 1, 1]]})) == [None, None]
    answer = service.post("/models/null-embedded/predict", json={"rows": [{"NO": 1}, None]})
    assert answer.json()["predictions"] == [None, None]


def test_invalid_row_numbers_fail_the_whole_batch(service: Service) -> None:
    answer = service.post("/predict/null-embedded", json={"data": [[0, 1, "free", 1, 1], [2, 1, "free", 1, 1]]})
    assert answer.status_code == 400
    assert "row 1 must be an array that starts with the row number 1" in answer.json()["error"]


def test_absent_keys_mean_null_if_the_rules_say_so(service: Service, booster: tuple[xgboost.Booster, Path]) -> None:
    objects = [{"SPENT": 1.5}, {"SPENT": -1.5, "PLAN": "paid"}, {}]
    given = np.array([[1.5] + [np.nan] * 3, [-1.5, 1, np.nan, np.nan], [np.nan] * 4], dtype=np.float32)
    body = orjson.dumps({"data": list(enumerate(objects))})
    found = values(service.post("/predict/null-endpoint", content=body, headers=OBJECT))
    assert found == booster[0].inplace_predict(given).astype(np.float64).tolist()
    refused = service.post("/predict/plain-endpoint", content=body, headers=OBJECT)
    assert (
        refused.json()["error"] == "row 0: the object does not fit the model's features; missing: PLAN, ORDERS, VISITS"
    )


def test_the_built_in_algorithms_container_returns_the_boosters_scores(
    model: tuple[xgboost.Booster, Path], start: Any
) -> None:
    chance = np.random.default_rng(4)
    table = [
        [None if chance.random() < 0.2 else value for value in row] for row in chance.normal(size=(500, 3)).tolist()
    ]
    table[0] = [None, None, None]
    live = replace(live_version(), rules=ServingRules(payload="csv", output="variant"))
    service = start(Service(BuiltInEndpoint(model[0]), live))
    body = orjson.dumps({"data": [[number, *row] for number, row in enumerate(table)]})
    matrix = np.array(table, dtype=np.float64).astype(np.float32)
    wanted = model[0].inplace_predict(matrix).astype(np.float64).tolist()
    assert [row["score"] for row in values(service.post("/predict/churn", content=body))] == wanted


def test_the_built_in_algorithms_container_scores_categories(
    booster: tuple[xgboost.Booster, Path], rows: Any, wanted: list[float], start: Any
) -> None:
    live = replace(live_version(contract=CONTRACT), rules=ServingRules(payload="csv"))
    service = start(Service(BuiltInEndpoint(booster[0]), live))
    for found in in_every_form(service, "churn", rows):
        assert found == wanted


def test_a_batch_of_one_column_is_not_sent_to_the_built_in_algorithm(
    model: tuple[xgboost.Booster, Path], start: Any
) -> None:
    live = replace(live_version(), rules=ServingRules(payload="csv"))
    service = start(Service(BuiltInEndpoint(model[0]), live))
    answer = service.post("/predict/churn", json={"data": [[0, 1, 2]]})
    assert answer.status_code == 400
    assert answer.json()["error"] == "row 0: it has 2 argument(s), 3 are needed: SPENT, ORDERS, VISITS"
