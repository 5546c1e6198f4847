"""SQL functions made from Python: both forms of the RFM score equal the Python function, and belong to the pipeline."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator

import pytest

from app.cloud.snowflake import SnowflakeWarehouse
from app.errors import CallerError
from app.features.routines import rfm
from app.features.routines.functions import Routine, create_routines, rfm_functions
from app.sql import Statement

PIPELINE = "contract-rfm"
RULES = {"recency": [(10, 5), (20.5, 3)], "frequency": [(4, 5), (2, 2)], "monetary": [(99.5, 4)]}


@pytest.fixture(scope="module")
def functions(warehouse: SnowflakeWarehouse) -> Iterator[tuple[Routine, ...]]:
    made = rfm_functions(PIPELINE)
    create_routines(warehouse, PIPELINE, made)
    yield made
    for each in made:
        warehouse.run(Statement(f"DROP FUNCTION {each.name.sql}(FLOAT, FLOAT, FLOAT)"))


def made_rows(count: int) -> list[list[float | None]]:
    """Rows around the rules' bounds, and missing values."""
    chosen = random.Random(7)
    bounds = {name: [bound for bound, _ in rules] for name, rules in rfm.RULES.items()}
    return [
        [
            chosen.choice([None, chosen.choice(values), chosen.choice(values) + chosen.choice([-0.01, 0.01]), 7])
            if chosen.random() < 0.9
            else chosen.randrange(10**6) / 100
            for values in bounds.values()
        ]
        for _ in range(count)
    ]


def answers(warehouse: SnowflakeWarehouse, functions: tuple[Routine, ...], rows: list[list[float | None]]) -> list:
    called = ", ".join(f"{each.name.sql}(R, F, M)" for each in functions)
    return warehouse.run(
        Statement(
            f"SELECT {called} FROM (SELECT INDEX AS I, VALUE[0]::FLOAT AS R, VALUE[1]::NUMBER(12, 2) AS F, "
            "VALUE[2]::NUMBER(12, 2) AS M FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?)))) ORDER BY I",
            (json.dumps(rows),),
        )
    ).rows


@pytest.mark.slow
def test_both_forms_equal_the_python_function(warehouse: SnowflakeWarehouse, functions: tuple[Routine, ...]) -> None:
    rows = made_rows(10_000)
    expected = [rfm.rfm_score_row(*row) for row in rows]
    found = answers(warehouse, functions, rows)
    assert [scalar for scalar, _ in found] == expected
    assert [batch for _, batch in found] == expected
    assert expected.count(None) > 1000
    assert {score for score in expected if score is not None} == {float(n) for n in range(3, 16)}


def test_the_functions_have_the_pipelines_rules(warehouse: SnowflakeWarehouse, functions: tuple[Routine, ...]) -> None:
    create_routines(warehouse, PIPELINE, rfm_functions(PIPELINE, RULES))
    try:
        rows = [[9.99, 4, 99.5], [10, 3.99, 99.49], [20.5, 1, None]]
        assert answers(warehouse, functions, rows) == [(14.0, 14.0), (6.0, 6.0), (None, None)]
    finally:
        create_routines(warehouse, PIPELINE, functions)


def test_another_pipelines_function_is_not_replaced(
    warehouse: SnowflakeWarehouse, functions: tuple[Routine, ...]
) -> None:
    with pytest.raises(
        CallerError, match=r"function FEATURE_STORE\.CONTRACT_RFM_RFM_SCORE belongs to pipeline contract-rfm"
    ):
        create_routines(warehouse, "other", functions)


def test_rules_of_which_one_never_holds_are_refused() -> None:
    with pytest.raises(CallerError, match=r"the frequency rules .* have the bounds \[2.0, 4.0\]; .* descending"):
        rfm_functions(PIPELINE, {**RULES, "frequency": [(2, 2), (4, 5)]})


def test_arrays_are_scored_as_rows_are() -> None:
    rows = made_rows(500)
    scored = rfm.rfm_score(*zip(*rows, strict=True))
    assert [None if math.isnan(score) else score for score in scored] == [rfm.rfm_score_row(*row) for row in rows]
