"""The functions of a deployment in both return types: numbers, objects, NULL, and a change of the type."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.deploy import function
from app.sql import Name
from localcloud.tests.snowflake.service import Seen, Service, rows_reply
from sagemaker_entry.contract import Column, Contract

Sql = Callable[..., list[tuple[Any, ...]]]

CONTRACT = Contract((Column("SPENT"), Column("PLAN", "category", ("free", "paid"))), ("ID",), "CHURNED")
SCORE = 0.10000000149011612
OBJECT = {"score": SCORE, "label": "STAYS", "version": "v1", "reasons": [{"feature": "SPENT", "contribution": -0.25}]}


def answered(values: list[Any]) -> Callable[[Seen], Any]:
    return lambda request: rows_reply([values[at % len(values)] for at in range(len(request.rows))])


@pytest.fixture
def deploy(sql: Sql, service: Service, schema: str) -> Callable[..., None]:
    """Create both forms of ``f``, which return these values in turn."""
    sql(
        "CREATE API INTEGRATION IF NOT EXISTS api API_PROVIDER = aws_api_gateway API_AWS_ROLE_ARN = 'arn:r' "
        f"API_ALLOWED_PREFIXES = ('{service.url}/') ENABLED = TRUE"
    )

    def make(output: Any, *values: Any) -> None:
        service.behaviours[f"/{schema.lower()}/predict/m"] = answered(list(values))
        url = f"{service.url}/{schema.lower()}"
        for form in function.forms(Name.of("F"), "m", CONTRACT, {}, None, Name.of("API"), url, output):
            sql(form.create().text)

    return make


def test_a_score_in_an_object_is_the_same_double_as_a_number(sql: Sql, deploy: Callable[..., None]) -> None:
    deploy("number", SCORE)
    assert sql("SELECT f(1, 'free')") == [(SCORE,)]
    deploy("variant", OBJECT)
    found = sql(
        "SELECT v:score::FLOAT, v:label::VARCHAR, v:version::VARCHAR, v:reasons[0]:feature::VARCHAR, v:nothing "
        "FROM (SELECT f(OBJECT_CONSTRUCT_KEEP_NULL('SPENT', 1, 'PLAN', NULL)) AS v)"
    )
    assert found == [(SCORE, "STAYS", "v1", "SPENT", None)]
    assert json.loads(sql("SELECT f(1, 'free')")[0][0]) == OBJECT


def test_a_changed_return_type_needs_no_drop(sql: Sql, deploy: Callable[..., None], schema: str) -> None:
    for output, value, shown in (("number", SCORE, "FLOAT"), ("variant", OBJECT, "VARIANT"), ("number", 0.5, "FLOAT")):
        deploy(output, value)
        described = [
            dict(zip(("property", "value"), row, strict=False)) for row in sql("DESCRIBE FUNCTION f(FLOAT, VARCHAR)")
        ]
        assert [row["value"] for row in described if row["property"] == "returns"] == [shown]
        assert [row[2] for row in sql("SHOW USER FUNCTIONS LIKE 'F'")].count(schema.upper()) == 2


def test_null_in_either_type_is_null(sql: Sql, deploy: Callable[..., None]) -> None:
    deploy("number", SCORE, None)
    rows = "FROM (SELECT 1 AS i, 'free' AS p UNION ALL SELECT 2, 'paid')"
    assert sql(f"SELECT COUNT(y) FROM (SELECT f(i, p) AS y {rows})") == [(1,)]
    deploy("variant", OBJECT, None)
    assert sql(f"SELECT COUNT_IF(y IS NULL), COUNT_IF(y:score::FLOAT > 0) FROM (SELECT f(i, p) AS y {rows})") == [
        (1, 1)
    ]
    deploy("variant", OBJECT, {"error": "feature PLAN has a value outside its 2 declared categories"})
    assert sql(f"SELECT COUNT(y:error), COUNT(y:score) FROM (SELECT f(i, p) AS y {rows})") == [(1, 1)]


@pytest.mark.parametrize(("output", "value"), [("number", SCORE), ("variant", OBJECT)])
def test_the_probe_of_a_deployment_returns_the_score(
    sql: Sql, deploy: Callable[..., None], output: Any, value: Any
) -> None:
    deploy(output, value)
    assert sql(function.probe(Name.of("F"), CONTRACT, {}, None, output).text) == [(SCORE,)]
