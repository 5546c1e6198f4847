"""The example of one table without time: from the table to scores in a table and in SQL, and what ``init`` writes for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.running import Clouds

EXAMPLE = Path(__file__).parents[2] / "examples/snapshot"

TEXTS = {
    "CONTRACT": ["Month-to-month", "One year", "Two year"],
    "INTERNET": ["DSL", "Fiber optic", "No"],
    "PAYMENT": ["Bank transfer", "Credit card", "Electronic check", "Mailed check"],
    "REGION": ["east", "north", "south", "west"],
}


@pytest.fixture(scope="module")
def scored(clouds: Clouds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example after a run, with fewer rounds."""
    folder = tmp_path_factory.mktemp("examples") / "snapshot"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    body = yaml.safe_load((folder / "pipeline.yaml").read_text())
    body["logical_date"] = str(body["logical_date"])
    body["training"]["hyperparameters"]["n_estimators"] = 40
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
    clouds.snowsage("run", str(folder))
    return folder


def test_every_customer_is_scored_and_those_with_a_label_are_trained_on(clouds: Clouds, scored: Path) -> None:
    [version] = json.loads(clouds.snowsage("versions", str(scored), "--json").stdout)
    columns = {column["name"]: column for column in version["contract"]["columns"]}
    assert {name: column["categories"] for name, column in columns.items() if column["categories"]} == TEXTS
    assert {columns[name]["unknown"] for name in TEXTS} == {"null"}
    assert version["stage"] == "production"
    assert clouds.query("SELECT COUNT(*), COUNT(SCORE), COUNT(DISTINCT LABEL) FROM ANALYTICS.TELCO_SCORES") == [
        (2000, 2000, 2)
    ]
    assert clouds.query("SELECT COUNT(*), SUM(CHURN) FROM FEATURE_STORE.TELCO_LABEL") == [(1926, 401)]


def test_the_function_gives_the_scores_of_the_table_and_takes_a_category_that_it_never_saw(
    clouds: Clouds, scored: Path
) -> None:
    differing = clouds.query(
        "SELECT COUNT_IF(ML.PREDICT_TELCO_CHURN(OBJECT_CONSTRUCT_KEEP_NULL(f.* EXCLUDE AS_OF)) <> s.SCORE), COUNT(*) "
        "FROM FEATURE_STORE.TELCO_FEATURES AS f JOIN ANALYTICS.TELCO_SCORES AS s ON s.CUSTOMER_ID = f.CUSTOMER_ID"
    )
    assert differing == [(0, 2000)]
    features = "'x', 90, 3, 0, {}, 'Fiber optic', NULL, 'north', 2, 80, 240"
    asked = ", ".join(
        f"ML.PREDICT_TELCO_CHURN({features.format(contract)}) AS S{number}"
        for number, contract in enumerate(("NULL", "'Five years'", "'Fünf \"Jahre\"'", "'Two year'"))
    )
    [(null, *unknown, known)] = clouds.query(f"SELECT {asked}")
    assert unknown == [null, null]
    assert known != null


def test_init_writes_such_a_pipeline(clouds: Clouds, tmp_path: Path) -> None:
    folder = tmp_path / "drafted"
    said = clouds.snowsage("init", str(folder), "--table", "RAW.CUSTOMERS", "--label", "churn").stdout
    assert "nothing tells which columns were filled after what is to be predicted" in " ".join(said.split())
    body = yaml.safe_load((folder / "pipeline.yaml").read_text())
    assert body["label"] == {"source": "customers", "column": "CHURN", "positive": "Yes"}
    assert (body["features"][0]["categories"], body["training"]["split"]["by"]) == ("auto", "hash")
    clouds.snowsage("run", str(folder), "--to", "features", "--dry-run")


def test_the_generator_writes_the_committed_file(tmp_path: Path) -> None:
    copy = tmp_path / "generate.py"
    shutil.copy(EXAMPLE / "data/generate.py", copy)
    subprocess.run([sys.executable, str(copy)], check=True)
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "customers.parquet").equals(pq.read_table(EXAMPLE / "data/customers.parquet"))
