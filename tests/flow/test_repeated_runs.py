"""A finished run is not repeated, and a dry run changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.pipeline import STAGES
from tests.flow.run_results import run_results
from tests.support.running import Clouds


@pytest.mark.slow
def test_a_finished_run_is_not_repeated_and_a_second_batch_adds_no_rows(deployed: Clouds, pipeline: Path) -> None:
    before = run_results(deployed)
    scored_at = "SELECT MIN(SCORED_AT), MAX(SCORED_AT) FROM ANALYTICS.CHURN_SCORES"
    times = deployed.query(scored_at)
    again = json.loads(deployed.snowsage("run", str(pipeline), "--json").stdout)
    assert all(item["found"] for item in again)
    batch = json.loads(deployed.snowsage("batch", str(pipeline), "--json").stdout)[0]["result"]
    assert (batch["scored"], batch["inserted"], batch["updated"]) == (before["scores"][0][0], 0, 0)
    assert deployed.query(scored_at) == times
    assert run_results(deployed) == before


def test_a_dry_run_changes_nothing(deployed: Clouds, pipeline: Path) -> None:
    before = run_results(deployed)
    shown = deployed.snowsage("run", str(pipeline), "--dry-run", "--verbose", "--date", "1998-06-30").stdout
    for stage in STAGES:
        assert f"\n{stage.name} " in shown
    assert "COPY INTO @ML.LAKE/churn/19980630-" in shown
    assert run_results(deployed) == before
