"""Console output as text and as JSON."""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from app.batch.result import BatchResult
from app.cli import console
from app.deploy.promotion import Changed
from app.deploy.result import Deployment
from app.monitor.result import DriftResult, FeatureDrift
from app.monitor.stage import STAGE as MONITOR
from app.pipeline import STAGES, Finished
from app.registry.stage import STAGE as REGISTRY
from app.runs.stage import Stage, Summary
from tests.unit import churn

NAMES = [stage.name for stage in STAGES]

RESULTS: dict[str, Any] = {
    "features": churn.feature_set(),
    "export": churn.export(),
    "train": churn.trained(),
    "registry": churn.registered(),
    "deploy": Deployment("churn", "1.0", "churn", ("CREATE ...",)),
    "batch": BatchResult("ANALYTICS.CHURN_SCORES", "1.0", 1000, 900, 100),
    "monitor": DriftResult(950, 0.2, (FeatureDrift("A", 0.31, True), FeatureDrift("B", 0.01, False))),
}

SUMMARIES = {
    "features": Summary(
        "12 features at 13 times, and the label", 38_000, "FEATURE_STORE.CUSTOMER_ORDERS, CUSTOMER_RHYTHM"
    ),
    "export": Summary("1 Parquet file, 3.2 MiB, and a manifest", 12_000, churn.export().uri),
    "train": Summary("test auc 0.8100, logloss 0.4200; 62 s billed", None, churn.trained().artifact_uri),
    "registry": Summary("version 1.0, gate passed; DAYS_SINCE_LAST_ORDER alone: auc 0.7900", None, "ML.MODEL_VERSIONS"),
    "deploy": Summary("version 1.0 in service, a row came back through SQL", None, "endpoint churn"),
    "batch": Summary("version 1.0: 900 inserted, 100 updated", 1000, "ANALYTICS.CHURN_SCORES"),
    "monitor": Summary("1 of 2 features moved beyond PSI 0.2; most: A 0.310", 950, "ML.DRIFT"),
}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_each_stage_has_a_summary(stage: Stage[Any, Any]) -> None:
    assert stage.summarize(RESULTS[stage.name]) == SUMMARIES[stage.name]


def test_the_summary_names_a_rejected_version() -> None:
    assert "gate refused" in REGISTRY.summarize(churn.registered(stage="rejected")).what


def test_the_summary_of_a_measurement_without_features() -> None:
    assert MONITOR.summarize(DriftResult(0, 0.2, ())) == Summary("0 of 0 features moved beyond PSI 0.2", 0, "ML.DRIFT")


def rendered(table: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    return out.getvalue()


def test_the_table_of_stages_marks_finished_stages() -> None:
    finished = [Finished(stage, RESULTS[stage.name], 2.34, stage.name == "export") for stage in STAGES]
    rows = rendered(console.stages_table(finished)).splitlines()
    assert [row.split()[0] for row in rows] == ["stage", *NAMES]
    assert "before" in rows[2]
    assert "2.3" in rows[1]
    assert "38,000" in rows[1]


def test_versions_are_listed_newest_first() -> None:
    shown = rendered(
        console.versions_table([churn.registered(version="1.0"), churn.registered(version="1.1")], {"1.1": 0.105})
    )
    assert shown.index("1.1") < shown.index("1.0 ")
    assert churn.CONTRACT.fingerprint in shown
    assert shown.count("10.5 %") == shown.count(" %") == 1


def test_the_live_version_is_described_in_a_sentence() -> None:
    assert console.changed(Changed("churn", {"1.0": 0.9, "1.1": 0.1})) == "churn: 1.0 answers 90 %, 1.1 answers 10 %"


def test_values_are_formatted_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json(
        {
            "d": date(1998, 7, 1),
            "t": datetime(1998, 7, 1),
            "n": Decimal("3.00"),
            "x": Decimal("0.5"),
            "s": "[b]" + "x" * 200,
        }
    )
    assert json.loads(capsys.readouterr().out) == {
        "d": "1998-07-01", "t": "1998-07-01T00:00:00", "n": 3, "x": 0.5, "s": "[b]" + "x" * 200,
    }  # fmt: skip


def test_stages_are_formatted_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json(console.finished_json([Finished(stage, RESULTS[stage.name], 1.0, False) for stage in STAGES]))
    found = json.loads(capsys.readouterr().out)
    assert [item["stage"] for item in found] == NAMES
    assert found[5]["result"]["inserted"] == 900
