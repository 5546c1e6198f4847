"""Training sets of the features stage: rebuilt as they were, of two entities, and of rows with times of their own."""

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
from app.runs.ledger import Ledger
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


@pytest.fixture
def complaints(sales: SnowflakeWarehouse) -> Iterator[SnowflakeWarehouse]:
    """Rows with times and labels of their own: two of one pair, one of a pair without sales, two outside of the slices' times."""
    at = ("2026-01-25 00:00", "2026-02-07 12:30", "2026-02-07 12:30", "2026-01-24 23:59", "2026-02-22 00:00")
    rows = ", ".join(
        f"({customer}, {merchant}, '{when}', {label})"
        for (customer, merchant, label), when in zip(
            ((0, 0, 1), (0, 0, 0), (7, 1, 1), (0, 0, 1), (0, 0, 1)), at, strict=True
        )
    )
    sales.run(
        Statement(
            "CREATE OR REPLACE TABLE RAW.COMPLAINTS AS SELECT column1::NUMBER AS CUSTOMER_ID, column2::NUMBER AS MERCHANT_ID, "
            f"(column3 || ' +00:00')::TIMESTAMP_TZ AS MADE_AT, column4 AS UPHELD FROM VALUES {rows}"
        )
    )
    yield sales
    sales.run(Statement("DROP TABLE RAW.COMPLAINTS"))


def spine(folder: Path, known: str) -> Path:
    """The pipeline with complaints as its training rows."""
    source = "complaints: {table: RAW.COMPLAINTS, event_time: MADE_AT}"
    label = f"label: {{source: complaints, column: UPHELD, horizon: 7 days, as_of: {{every: 7 days, last: 5}}, known: {known}}}"
    text = PIPELINE.replace("SOLD_AT}}", f"SOLD_AT}}, {source}}}")
    text = "\n".join(label if line.startswith("label:") else line for line in text.splitlines())
    (folder / "pipeline.yaml").write_text(text.replace("define: pair.sql", "define: pair.sql, ttl: 10 days"))
    return folder


def test_each_row_of_a_spine_gets_the_slices_of_its_own_time(complaints: SnowflakeWarehouse, folder: Path) -> None:
    made = features(complaints, spine(folder, "run"))
    found = rows(complaints, made)
    early, late = datetime(2026, 1, 25), datetime(2026, 2, 7, 12, 30)
    spent = {
        cut: sum(day + 0.25 for day in range(0, 58, 6) if datetime(2026, 1, 1) + timedelta(days=day) < cut)
        for cut in (early, datetime(2026, 2, 1))
    }
    assert found == [
        (0, 0, early, 1.0, spent[early], 12.0),
        (0, 0, late, 0.0, spent[datetime(2026, 2, 1)], 16.0),
        (7, 1, late, 1.0, None, 15.0),
    ]


@pytest.mark.slow
def test_a_row_gets_no_correction_that_came_after_it(complaints: SnowflakeWarehouse, folder: Path) -> None:
    """The first slices are backfilled, so they are taken as available at their times; the second ones came much later."""
    before = rows(complaints, features(complaints, spine(folder, "row")))
    complaints.run(Statement("INSERT INTO RAW.SALES SELECT 0, 0, '2026-01-10'::TIMESTAMP_NTZ, 1000"))
    assert rows(complaints, features(complaints, spine(folder, "row"))) == before
    corrected = rows(complaints, features(complaints, spine(folder, "run")))
    assert [row[4] for row in corrected if row[0] == 0] == [row[4] + 1000 for row in before if row[0] == 0]


def features(warehouse: SnowflakeWarehouse, folder: Path, known_at: datetime | None = None) -> FeatureSet:
    file = spec.load(folder)
    world: Any = SimpleNamespace(warehouse=warehouse)
    run = Ledger(warehouse).begin(look_up_run(file, warehouse, date(2026, 3, 1), known_at))
    context = Context(file, run, world)
    return STAGE.run(context, STAGE.plan(context))


def rows(warehouse: SnowflakeWarehouse, made: FeatureSet) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in warehouse.run(Statement(training_query(made))).rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["TIMESTAMP_LTZ", "TIMESTAMP_TZ"])
def test_the_time_zone_of_an_account_moves_no_row(
    sales: SnowflakeWarehouse, environment: dict[str, str], folder: Path, kind: str
) -> None:
    """Moments of an account in Los Angeles, with sales near the cuts at midnight UTC, give the rows of the same times in UTC."""
    near = "INSERT INTO RAW.SALES SELECT 0, 0, column1::TIMESTAMP_NTZ, 500 FROM VALUES ('2026-01-24 23:30'), ('2026-02-01 00:30')"
    sales.run(Statement(near))
    expected = rows(sales, features(sales, folder))
    sales.run(Statement("ALTER ACCOUNT SET TIMEZONE = 'America/Los_Angeles'"))
    theirs = SnowflakeWarehouse("SNOWSAGE", environment)
    try:
        theirs.run(
            Statement(f"CREATE TABLE RAW.MOMENTS AS SELECT * REPLACE (SOLD_AT::{kind} AS SOLD_AT) FROM RAW.SALES")
        )
        text = PIPELINE.replace("RAW.SALES", "RAW.MOMENTS").replace("sales_pair", "sales_zoned_pair")
        (folder / "pipeline.yaml").write_text(text.replace("sales_merchant", "sales_zoned_merchant"))
        assert rows(theirs, features(theirs, folder)) == expected
    finally:
        sales.run(Statement("ALTER ACCOUNT UNSET TIMEZONE"))
        for name in ("RAW.MOMENTS", "FEATURE_STORE.SALES_ZONED_PAIR", "FEATURE_STORE.SALES_ZONED_MERCHANT"):
            theirs.run(Statement(f"DROP TABLE IF EXISTS {name}"))
        theirs.close()


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
