"""``snowsage init`` on tables in Snowflake: each form of table gives a pipeline whose queries Snowflake accepts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cloud.snowflake import SnowflakeWarehouse
from app.sql import Statement
from tests.support.running import Clouds

TABLES = {
    # A snapshot, with the faults of a real export: mixed case, numbers in a text, blanks, a value with a comma.
    "RAW.INIT_TELCO": """SELECT 'c' || SEQ4() AS "customerID", SEQ4() % 70 AS "tenure",
        IFF(SEQ4() % 3 = 0, 'Month, to month', 'One year') AS "Contract Type",
        IFF(SEQ4() % 70 = 0, ' ', TO_VARCHAR(SEQ4() * 1.5)) AS "TotalCharges",
        IFF(SEQ4() % 4 = 0, 'Yes', 'No') AS "Churn", CURRENT_DATE() AS "Joined"
        FROM TABLE(GENERATOR(ROWCOUNT => 400))""",
    "RAW.INIT_EVENTS": """SELECT SEQ4() AS FLIGHT_ID, DATEADD('hour', SEQ4() * 20, '2024-01-01'::TIMESTAMP_NTZ) AS SCHEDULED,
        SEQ4() % 9 AS CARRIER_CODE, SEQ4() % 5 = 0 AS DELAYED FROM TABLE(GENERATOR(ROWCOUNT => 400))""",
    "RAW.INIT_HISTORY": """SELECT SEQ4() % 40 AS CUSTOMER_ID, DATEADD('day', SEQ4() * 2, '2023-01-01'::DATE) AS DAY,
        SEQ4() % 7 AS VISITS, SEQ4() % 11 AS SPEND FROM TABLE(GENERATOR(ROWCOUNT => 400))""",
}


@pytest.fixture(scope="module", autouse=True)
def _tables(warehouse: SnowflakeWarehouse) -> Iterator[None]:
    for name, query in TABLES.items():
        warehouse.run(Statement(f"CREATE OR REPLACE TABLE {name} AS {query}"))
    yield
    for name in TABLES:
        warehouse.run(Statement(f"DROP TABLE {name}"))


@pytest.mark.parametrize(
    ("arguments", "features"),
    [
        (
            ("--table", "RAW.INIT_TELCO", "--label", "churn"),
            ['"Contract Type" AS contract_type', 'TRY_TO_DOUBLE(TRIM("TotalCharges")) AS total_charges'],
        ),
        (("--table", "SNOWSAGE.RAW.INIT_EVENTS", "--label", "DELAYED", "--time", "SCHEDULED"), ["carrier_code"]),
        (
            ("--table", "RAW.INIT_HISTORY", "--label", "SPEND", "--time", "DAY", "--key", "CUSTOMER_ID"),
            ["ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY day DESC)"],
        ),
    ],
)  # fmt: skip
def test_a_new_pipeline_is_planned_by_a_dry_run(
    clouds: Clouds, tmp_path: Path, arguments: tuple[str, ...], features: list[str]
) -> None:
    folder = tmp_path / "drafted"
    said = clouds.snowsage("init", str(folder), *arguments).stdout
    assert f"snowsage run {folder}" in said
    for line in features:
        assert line in (folder / "features.sql").read_text()
    assert clouds.snowsage("validate", str(folder)).returncode == 0
    plan = clouds.snowsage("run", str(folder), "--to", "features", "--dry-run").stdout
    assert "Nothing was changed." in plan


def test_what_fails_leaves_no_folder(clouds: Clouds, tmp_path: Path) -> None:
    for label, said in (("nothing", "has no column nothing"), ("tenure", "")):
        folder = tmp_path / label
        done = clouds.attempt("init", str(folder), "--table", "RAW.INIT_TELCO", "--label", label, "--key", "Churn")
        assert done.returncode == 2
        assert said in done.stderr
        assert not folder.exists()


@pytest.mark.slow
def test_a_table_without_time_becomes_scores(clouds: Clouds, tmp_path: Path) -> None:
    folder = tmp_path / "drafted"
    clouds.snowsage("init", str(folder), "--table", "RAW.INIT_TELCO", "--label", "Churn")
    pipeline = folder / "pipeline.yaml"
    # The made-up label follows from nothing; the gate would rightly refuse the model.
    pipeline.write_text(pipeline.read_text().replace("at_least: 0.6", "at_least: 0.0"))
    clouds.snowsage("run", str(folder))
    assert clouds.query("SELECT COUNT(*), COUNT(DISTINCT CUSTOMER_ID), COUNT(SCORE) FROM ANALYTICS.DRAFTED_SCORES") == [
        (400, 400, 400)
    ]
