"""A copy of a pipeline does not take over the first one's objects, and what a person changed stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.features.store import OWN_TABLES
from tests.flow.run_results import run_results
from tests.support.running import Clouds


def copied(pipeline: Path, folder: Path, **changes: Any) -> Path:
    """A copy of the pipeline with other blocks."""
    shutil.copytree(pipeline, folder)
    path = folder / "pipeline.yaml"
    body = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**body, **changes}, sort_keys=False))
    return folder


def blocks(pipeline: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((pipeline / "pipeline.yaml").read_text())
    return found


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("serving", "function ML.PREDICT_CHURN"),
        ("batch", "table ANALYTICS.CHURN_SCORES belongs to pipeline churn, and pipeline copy would replace it"),
    ],
)
def test_a_copy_with_another_name_is_refused_before_it_writes_anything(
    deployed: Clouds, pipeline: Path, tmp_path: Path, block: str, said: str
) -> None:
    before, body = run_results(deployed), blocks(pipeline)
    own = {
        "serving": {**body["serving"], "function": "PREDICT_COPY"},
        "batch": {**body["batch"], "table": "ANALYTICS.COPY_SCORES"},
    }
    folder = copied(pipeline, tmp_path / "copy", **{**own, block: body[block]}, name="copy")
    for extra in ([], ["--dry-run"]):
        done = deployed.attempt("run", str(folder), *extra)
        assert done.returncode == 2
        words = " ".join(done.stderr.split())
        assert said in words
        assert "belongs to pipeline churn" in words
    assert run_results(deployed) == before
    assert deployed.query("SELECT COUNT(*) FROM ML.RUNS WHERE PIPELINE = 'copy'") == [(0,)]


def test_every_object_names_its_pipeline(deployed: Clouds) -> None:
    owner = "snowsage: pipeline churn;"
    for statement, column in (
        ("SHOW OBJECTS IN SCHEMA FEATURE_STORE", 5),
        ("SHOW OBJECTS LIKE 'CHURN_SCORES' IN SCHEMA ANALYTICS", 5),
        ("SHOW FUNCTIONS LIKE 'PREDICT_CHURN' IN SCHEMA ML", 9),
    ):
        # Other tests of the same clouds have pipelines of their own.
        rows = [row for row in deployed.query(statement) if row[1] not in OWN_TABLES]
        assert any(row[column].startswith(owner) for row in rows), statement
        assert [row[1] for row in rows if not row[column].startswith("snowsage: pipeline ")] == []
    bucket = deployed.environment["SNOWSAGE_BUCKET"]
    found = json.loads(deployed.aws("s3").get_object(Bucket=bucket, Key="churn/owner.json")["Body"].read())
    assert found == {"pipeline": "churn", "account": "LOCAL", "database": "SNOWSAGE"}


def test_grants_that_were_given_by_hand_survive_a_deployment(deployed: Clouds, pipeline: Path, tmp_path: Path) -> None:
    deployed.query("CREATE ROLE IF NOT EXISTS ANALYST")
    view = "FEATURE_STORE.CHURN_FEATURES"
    deployed.query("GRANT USAGE ON FUNCTION ML.PREDICT_CHURN(OBJECT) TO ROLE ANALYST")
    deployed.query(f"GRANT SELECT ON VIEW {view} TO ROLE ANALYST WITH GRANT OPTION")

    def granted() -> list[tuple[str, ...]]:
        return sorted(
            (row[1], row[2], row[6])
            for row in deployed.query("SHOW GRANTS TO ROLE ANALYST")
            if row[2] in ("FUNCTION", "VIEW")
        )

    before = granted()
    assert before == [("SELECT", "VIEW", "true"), ("USAGE", "FUNCTION", "false")]
    deployed.snowsage("features", str(pipeline))
    deployed.snowsage("deploy", str(pipeline))
    assert granted() == before
    # Another return type makes new functions.
    serving = {**blocks(pipeline)["serving"], "output": "variant"}
    changed = copied(pipeline, tmp_path / "churn", serving=serving)
    done = json.loads(deployed.snowsage("run", str(changed), "--json").stdout)
    assert [item["stage"] for item in done if not item["found"]] == ["deploy"]
    assert granted() == before
    done = json.loads(deployed.snowsage("run", str(pipeline), "--json").stdout)
    assert [item["stage"] for item in done if not item["found"]] == ["deploy"]
    assert granted() == before


@pytest.mark.slow
def test_a_run_reports_what_a_person_made_live_and_leaves_it(deployed: Clouds, pipeline: Path, tmp_path: Path) -> None:
    """Another version is promoted by hand, and rolled back; each waits for the queries of the previous one."""
    other = copied(pipeline, tmp_path / "churn", logical_date="1998-06-30")
    deployed.snowsage("run", str(other), "--to", "registry")
    deployed.snowsage("promote", str(pipeline), "1.1")
    assert notes_of_deploy(deployed, pipeline) == [("1.1", "live is 1.1, promoted by hand; deploy leaves it")]
    done = deployed.snowsage("rollback", str(pipeline))
    assert "live now: churn: 1.0 answers 100 %" in done.stderr
    assert notes_of_deploy(deployed, pipeline) == [("1.0", "")]


def notes_of_deploy(clouds: Clouds, pipeline: Path) -> list[tuple[str, str]]:
    """(live version, note) as a run of finished stages reports them."""
    done = json.loads(clouds.snowsage("run", str(pipeline), "--from", "deploy", "--to", "deploy", "--json").stdout)
    return [(item["result"]["version"], item["note"]) for item in done if item["found"]]


def test_another_gate_does_not_train_again(deployed: Clouds, pipeline: Path, tmp_path: Path) -> None:
    jobs = "SELECT COUNT(*) FROM ML.RUNS WHERE STAGE = 'train'"
    before = deployed.query(jobs)
    training = blocks(pipeline)["training"]
    gates = (
        {"metric": "auc", "at_least": 0.55},
        {"metric": "logloss", "at_most": 0.9, "better_than_single_column_by": -1},
    )
    for number, gate in enumerate(gates):
        folder = copied(pipeline, tmp_path / str(number) / "churn", training={**training, "gate": gate})
        done = json.loads(deployed.snowsage("run", str(folder), "--json").stdout)
        assert all(item["found"] for item in done)
        assert deployed.query(jobs) == before


def test_a_dry_run_fits_on_one_screen(deployed: Clouds, pipeline: Path) -> None:
    shown = deployed.snowsage("run", str(pipeline), "--dry-run", "--date", "1998-06-29").stdout
    assert len(shown.splitlines()) <= 24
    assert "billed for at most 1 h" in shown
    assert "COPY INTO" not in shown
    assert (
        "COPY INTO" in deployed.snowsage("run", str(pipeline), "--dry-run", "--verbose", "--date", "1998-06-29").stdout
    )
