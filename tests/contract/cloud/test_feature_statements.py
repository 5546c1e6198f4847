"""How many statements the features stage sends: all that reach Snowflake count, Snowpark's questions about columns too."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snowflake.connector import SnowflakeConnection

from app import spec
from app.cloud.snowflake import SnowflakeWarehouse
from app.features.stage import STAGE
from app.pipeline import look_up_run
from app.runs.ledger import Ledger
from app.runs.stage import Context


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of all statements that the connector sends, described ones among them."""
    texts: list[str] = []
    send = SnowflakeConnection.cmd_query

    def recorded(self: SnowflakeConnection, sql: str, *given: Any, **named: Any) -> Any:
        texts.append(sql)
        return send(self, sql, *given, **named)

    monkeypatch.setattr(SnowflakeConnection, "cmd_query", recorded)
    return texts


@pytest.mark.parametrize(
    "day", [date(1998, 5, 6), pytest.param(date(1998, 5, 7), marks=pytest.mark.slow, id="a second run")]
)
def test_planning_and_features_take_five_statements_a_view_and_one_for_twenty_slices(
    warehouse: SnowflakeWarehouse, pipeline: Path, sent: list[str], day: date
) -> None:
    file = spec.load(pipeline)
    world: Any = SimpleNamespace(warehouse=warehouse)
    context = Context(file, Ledger(warehouse).begin(look_up_run(file, warehouse, day)), world)
    sent.clear()
    plan = STAGE.plan(context)
    STAGE.run(context, plan)
    slices = [len(view.missing) for view in (*plan.views, plan.label)]
    assert plan.missing
    # Two ask for the policies of the sources: what is a table and what a view, and what is set on them.
    assert len(sent) <= 2 + 5 * len(slices) + sum(math.ceil(count / 20) for count in slices), sent


def test_queries_that_are_described_together_have_each_its_columns(warehouse: SnowflakeWarehouse) -> None:
    queries = [
        "SELECT 1 AS A, 'x' AS B",
        "WITH t AS (SELECT 1.5::FLOAT AS A) SELECT * FROM t -- the end of the text is a comment",
        "SELECT '1998-01-01'::TIMESTAMP_NTZ AS \"end of\", TRUE AS A",
    ]
    assert warehouse.describe_all(queries) == [warehouse.describe(query) for query in queries]
    assert warehouse.describe_all([]) == []
