"""A training set is built again as it was, after its sources were corrected; and rows of two entities."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import spec
from app.cloud.snowflake import SnowflakeWarehouse
from app.errors import CallerError
from app.features.stage import STAGE
from app.features.training_set import FeatureSet, training_query
from app.pipeline import look_up_run
from app.runs.stage import Context
from app.sql import Statement

PIPELINE = """name: sales
logical_date: 2026-03-01
entity: {customer_id: NUMBER, merchant_id: NUMBER}
sources: {sales: {table: RAW.SALES, event_time: SOLD_AT}}
features:
  - {view: sales_pair, version: 1, define: pair.sql}
  - {view: sales_merchant, version: 1, define: merchant.sql, entity: [merchant_id]}
label: {define: label.sql, column: AGAIN, horizon: 7 days, as_of: {every: 7 days, last: 5}}
training: {split: {by: time, validation: 0.2, test: 0.2}}
serving: {function: PREDICT_SALES}
batch: {table: ANALYTICS.SALES_SCORES}
"""
DEFINITIONS = {
    "pair.sql": "SELECT customer_id, merchant_id, SUM(amount) AS spent FROM sales GROUP BY 1, 2",
    "merchant.sql": "SELECT merchant_id, COUNT(*) AS merchant_sales FROM sales GROUP BY 1",
    "label.sql": "SELECT customer_id, merchant_id, MAX(sold_at >= :as_of) AS again FROM sales GROUP BY 1, 2",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    for name, text in DEFINITIONS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def sales(warehouse: SnowflakeWarehouse) -> Iterator[SnowflakeWarehouse]:
    """Sales of three customers at two merchants, one a day."""
    rows = ", ".join(
        f"({day % 3}, {day % 2}, '{datetime(2026, 1, 1) + timedelta(days=day)}'::TIMESTAMP_NTZ, {day}.25)"
        for day in range(58)
    )
    warehouse.run(
        Statement(
            "CREATE OR REPLACE TABLE RAW.SALES AS SELECT column1::NUMBER AS CUSTOMER_ID, column2::NUMBER AS MERCHANT_ID, "
            f"column3 AS SOLD_AT, column4::NUMBER(10, 2) AS AMOUNT FROM VALUES {rows}"
        )
    )
    yield warehouse
    for name in ("SALES_PAIR", "SALES_MERCHANT", "SALES_LABEL"):
        warehouse.run(Statement(f"DROP TABLE IF EXISTS FEATURE_STORE.{name}"))
    warehouse.run(Statement("DROP VIEW IF EXISTS FEATURE_STORE.SALES_FEATURES"))
    warehouse.run(Statement("DELETE FROM FEATURE_STORE.FEATURE_LINEAGE WHERE VIEW_NAME LIKE 'SALES%'"))
    warehouse.run(Statement("DROP TABLE RAW.SALES"))


def features(warehouse: SnowflakeWarehouse, folder: Path, known_at: datetime | None = None) -> FeatureSet:
    file = spec.load(folder)
    world: Any = SimpleNamespace(warehouse=warehouse)
    context = Context(file, look_up_run(file, warehouse, date(2026, 3, 1), known_at), world)
    return STAGE.run(context, STAGE.plan(context))


def rows(warehouse: SnowflakeWarehouse, made: FeatureSet) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in warehouse.run(Statement(training_query(made))).rows)


def test_a_training_set_is_rebuilt_as_it_was_known(sales: SnowflakeWarehouse, folder: Path) -> None:
    before = features(sales, folder)
    first = rows(sales, before)
    # Columns: customer, merchant, as-of time, label, spent by the pair, sales of the merchant.
    assert (len(first), len(first[0])) == (5 * 6, 6)
    assert {row[1]: row[5] for row in first if row[2] == datetime(2026, 1, 25)} == {0: 12.0, 1: 12.0}
    known_at = max(part.known_at for part in before.slices)

    sales.run(Statement("INSERT INTO RAW.SALES SELECT 0, 0, '2026-01-10'::TIMESTAMP_NTZ, 1000"))
    corrected = features(sales, folder)
    assert rows(sales, corrected) != first

    rebuilt = features(sales, folder, known_at)
    assert rows(sales, rebuilt) == first
    assert rebuilt.slices == before.slices
    current = sales.run(Statement("SELECT MAX(SPENT) FROM FEATURE_STORE.SALES_FEATURES")).rows
    assert current[0][0] > 1000, "the view of current rows keeps showing the newest slices"
    with pytest.raises(
        CallerError, match=r"SALES_PAIR, version 1: the store held no slice of 2026-01-25, .* and 3 more at"
    ):
        features(sales, folder, known_at - timedelta(days=1))
