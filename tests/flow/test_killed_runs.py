"""A run is killed in each of its stages and started again each time; the end is that of a run left alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import Clouds, running_clouds

STAGES = ["features", "export", "train", "registry", "deploy", "batch", "monitor"]


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    """Where runs are killed."""
    with running_clouds(tmp_path_factory.mktemp("killed") / "state", pipeline) as found:
        yield found


@pytest.fixture(scope="module")
def other_clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    """Where they are left alone, side by side with the first."""
    with running_clouds(tmp_path_factory.mktemp("alone") / "state", pipeline) as found:
        yield found


#: What a run leaves behind, without times: each must be the same however often the run was killed.
LEFT_BEHIND = {
    "versions": "SELECT MODEL, VERSION, STAGE, IS_DEFAULT, FINGERPRINT, RUN_ID, METRICS FROM ML.MODEL_REGISTRY",
    "scores": "SELECT COUNT(*) N, COUNT(DISTINCT CUSTOMER_ID) C, "
    "HASH_AGG(CUSTOMER_ID, AS_OF, SCORE, LABEL, MODEL_VERSION, RUN_ID) H "
    "FROM ANALYTICS.CHURN_SCORES",
    "drift": "SELECT FEATURE, PSI, ROW_COUNT, DRIFTED FROM ML.DRIFT ORDER BY FEATURE",
    "slices": "SELECT VIEW_NAME, FEATURE_VERSION, AS_OF, DEFINITION_SHA256, SOURCES_SHA256, ROW_COUNT, RUN_ID "
    "FROM FEATURE_STORE.FEATURE_LINEAGE ORDER BY VIEW_NAME, AS_OF",
    "features": "SELECT COUNT(*) N, HASH_AGG(CUSTOMER_ID, AS_OF, TOTAL_SPENT, RFM_SCORE) H FROM FEATURE_STORE.CUSTOMER_ORDERS",
    "stages": "SELECT RUN_ID, STAGE FROM ML.RUNS ORDER BY STAGE",
    "tables": "SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA IN ('ML', 'ANALYTICS', "
    "'FEATURE_STORE') ORDER BY TABLE_SCHEMA, TABLE_NAME",
}


def left_behind(clouds: Clouds) -> dict[str, Any]:
    return {name: clouds.query(statement) for name, statement in LEFT_BEHIND.items()}


def kill_in(clouds: Clouds, pipeline: Path, stage: str, log: Path) -> None:
    """Start a run and kill it, with everything it started, shortly after ``stage`` began."""
    with log.open("wb") as words:
        process = subprocess.Popen(
            clouds.command("run", str(pipeline)),
            env=clouds.environment,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
        before = STAGES.index(stage) - 1
        mark = rf"^[✓=] {STAGES[before]}\b" if before >= 0 else r"^run \S+ of churn"
        deadline = time.monotonic() + 120
        while not re.search(mark, log.read_text(errors="replace"), re.MULTILINE):
            assert process.poll() is None, f"the run ended before {stage}:\n{log.read_text()}"
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.005)
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = re.search(rf"^[✓=] {stage}\b", log.read_text(errors="replace"), re.MULTILINE)
    assert not finished, f"{stage} had finished when the run was killed:\n{log.read_text()}"


def test_a_run_killed_in_each_stage_ends_like_one_left_alone(
    clouds: Clouds, other_clouds: Clouds, pipeline: Path, tmp_path: Path
) -> None:
    for stage in STAGES:
        kill_in(clouds, pipeline, stage, tmp_path / f"{stage}.log")
    resumed = clouds.snowsage("run", str(pipeline), "--json")
    alone = other_clouds.snowsage("run", str(pipeline), "--json")
    assert [item["stage"] for item in json.loads(resumed.stdout)] == STAGES
    assert not any(item["found"] for item in json.loads(alone.stdout))
    assert left_behind(clouds) == left_behind(other_clouds)
    jobs = clouds.aws("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert len(jobs) == 1, "a killed run's training job is found, not started again"


def test_a_finished_run_is_found_and_batch_twice_is_once(other_clouds: Clouds, pipeline: Path) -> None:
    other_clouds.snowsage("run", str(pipeline))
    before = left_behind(other_clouds)
    scored_at = "SELECT MIN(SCORED_AT), MAX(SCORED_AT) FROM ANALYTICS.CHURN_SCORES"
    times = other_clouds.query(scored_at)
    again = json.loads(other_clouds.snowsage("run", str(pipeline), "--json").stdout)
    assert all(item["found"] for item in again)
    batch = json.loads(other_clouds.snowsage("batch", str(pipeline), "--json").stdout)[0]["result"]
    assert (batch["scored"], batch["inserted"], batch["updated"]) == (before["scores"][0][0], 0, 0)
    assert other_clouds.query(scored_at) == times
    assert left_behind(other_clouds) == before


def test_a_dry_run_changes_nothing(other_clouds: Clouds, pipeline: Path, tmp_path: Path) -> None:
    other_clouds.snowsage("run", str(pipeline))
    before = left_behind(other_clouds)
    shown = other_clouds.snowsage("run", str(pipeline), "--dry-run", "--date", "1998-06-30").stdout
    for stage in STAGES:
        assert f"\n{stage}\n" in shown
    assert "COPY INTO @ML.LAKE/churn/19980630-" in shown
    assert left_behind(other_clouds) == before
