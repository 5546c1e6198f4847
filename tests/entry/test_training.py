"""The training process: each way to start it trains the same model, the test part does not affect it, errors are one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.runs.identity import Run
from app.spec import load
from app.train.plan import plan_train
from sagemaker_entry.contract import Contract
from tests.entry.channel import CONTRACT, HYPERPARAMETERS, TIMES, Job, rows, write_channel

EXAMPLE = Path(__file__).parents[2] / "examples/churn"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, str]:
    """A finished job and its output."""
    folder = tmp_path_factory.mktemp("job")
    job = Job(folder, write_channel(folder / "channel", rows()))
    done = job.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return job, done.stdout


def report(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((job.model / "report.json").read_text())
    return found


def test_the_artefact_holds_model_contract_report_baseline_and_code(trained: tuple[Job, str]) -> None:
    job, _ = trained
    names = {str(path.relative_to(job.model)) for path in job.model.rglob("*") if path.is_file()}
    assert {"model.ubj", "contract.json", "report.json", "baseline.json", "code/setup.py"} <= names
    assert {"code/sagemaker_entry/inference.py", "code/sagemaker_entry/__init__.py"} <= names
    assert not any(name.endswith((".pkl", ".joblib", ".pyc")) for name in names)
    assert Contract.from_dict(json.loads((job.model / "contract.json").read_text())) == CONTRACT


def test_the_jobs_metric_definitions_match_the_printed_metrics(trained: tuple[Job, str]) -> None:
    job, said = trained
    run = Run("churn", "x", datetime(2024, 1, 1).date(), datetime(2024, 1, 1))
    request = plan_train(load(EXAMPLE).pipeline, run, "s3://b/c/", "b")
    for name, regex in request.metric_regexes.items():
        part, _, metric = name.partition(":")
        assert float(re.findall(regex, said)[-1]) == report(job)["metrics"][part][metric]


def test_hyperparameters_from_arguments_and_environment_train_the_same_model(
    trained: tuple[Job, str], tmp_path: Path
) -> None:
    job, _ = trained
    other = Job(tmp_path, job.channel)
    assert other.run(as_arguments=True).returncode == 0
    assert (other.model / "model.ubj").read_bytes() == (job.model / "model.ubj").read_bytes()


def test_the_order_of_rows_and_files_does_not_change_the_model(trained: tuple[Job, str], tmp_path: Path) -> None:
    job, _ = trained
    columns = rows()
    shuffled = np.random.default_rng(1).permutation(len(columns["ID"]))
    other = Job(tmp_path, write_channel(tmp_path / "channel", columns, parts=3, order=shuffled))
    assert other.run_here().returncode == 0
    assert (other.model / "model.ubj").read_bytes() == (job.model / "model.ubj").read_bytes()


def test_the_test_part_does_not_affect_the_model(trained: tuple[Job, str], tmp_path: Path) -> None:
    job, _ = trained
    columns = rows()
    test = np.isin(columns["AS_OF"], np.array(report(job)["parts"]["test"]["as_of"], "datetime64[us]"))
    assert test.any()
    columns["L"] = np.where(test, 1 - columns["L"], columns["L"])
    other = Job(tmp_path, write_channel(tmp_path / "channel", columns))
    assert other.run_here().returncode == 0
    assert (other.model / "model.ubj").read_bytes() == (job.model / "model.ubj").read_bytes()
    assert report(other)["metrics"]["test"]["auc"] < 0.5 < report(job)["metrics"]["test"]["auc"]


def test_parts_are_one_horizon_apart(trained: tuple[Job, str]) -> None:
    parts = report(trained[0])["parts"]
    times = {name: [datetime.fromisoformat(value) for value in part["as_of"]] for name, part in parts.items()}
    assert max(times["train"]) + timedelta(days=90) <= min(times["validation"])
    assert max(times["validation"]) + timedelta(days=90) <= min(times["test"])
    assert sum(map(len, times.values())) + len(report(trained[0])["unused_as_of"]) == len(TIMES)


def test_each_column_is_measured_alone(trained: tuple[Job, str]) -> None:
    alone = report(trained[0])["single_columns"]
    assert {item["column"] for item in alone} == set(CONTRACT.names)
    assert alone[0] == report(trained[0])["single_column"]
    assert alone[0]["column"] == "X"
    assert report(trained[0])["metrics"]["test"]["auc"] > alone[0]["value"]


def test_the_baseline_counts_every_training_row_once(trained: tuple[Job, str]) -> None:
    baseline = json.loads((trained[0].model / "baseline.json").read_text())
    assert baseline["fingerprint"] == CONTRACT.fingerprint
    for feature in baseline["features"]:
        assert sum(feature["shares"]) + feature["null_share"] == pytest.approx(1)
        assert len(feature["shares"]) == len(feature["edges"]) + 1 or feature["categories"]


Columns = dict[str, Any]


def one_class(columns: Columns) -> None:
    columns["L"] = np.zeros_like(columns["L"])


def all_null(columns: Columns) -> None:
    columns["Y"] = np.full_like(columns["Y"], np.nan)


def unseen_category(columns: Columns) -> None:
    columns["KIND"][3] = "a secret value"


def twice(columns: Columns) -> None:
    columns["ID"][1] = columns["ID"][0]


def null_label(columns: Columns) -> None:
    columns["L"][0] = np.nan


def few_times(columns: Columns) -> None:
    keep = np.isin(columns["AS_OF"], np.array(TIMES[:4], "datetime64[us]"))
    for name in columns:
        columns[name] = columns[name][keep]


def nothing(columns: Columns) -> None:
    for name in columns:
        columns[name] = columns[name][:0]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (one_class, "the label L has one class only"),
        (all_null, "every value of Y is NULL"),
        (unseen_category, "KIND has a value outside its 2 declared categories"),
        (twice, "(ID, AS_OF) is not unique"),
        (null_label, "the label L is NULL in 1 rows"),
        (few_times, "leave no training rows"),
        (nothing, "the training set is empty"),
    ],
)
def test_unusable_data_fails_the_job_with_one_sentence(
    tmp_path: Path, spoil: Callable[[Columns], None], said: str
) -> None:
    columns = rows(40)
    spoil(columns)
    refused(Job(tmp_path, write_channel(tmp_path / "channel", columns)), said)


def refused(job: Job, said: str, *, process: bool = False) -> None:
    done = job.run() if process else job.run_here()
    assert done.returncode == 1
    assert said in job.failure
    assert "\n" not in job.failure.strip()
    assert "Traceback" not in done.stdout + done.stderr
    assert "a secret value" not in job.failure + done.stdout + done.stderr
    assert not (job.model / "model.ubj").exists()


def test_an_unfinished_export_is_rejected(tmp_path: Path) -> None:
    channel = write_channel(tmp_path / "channel", rows(40))
    (channel / "manifest.json").unlink()
    refused(Job(tmp_path, channel), "the export did not finish", process=True)


def test_a_missing_file_or_a_wrong_number_of_rows_is_rejected(tmp_path: Path) -> None:
    channel = write_channel(tmp_path / "channel", rows(40))
    manifest = json.loads((channel / "manifest.json").read_text())
    (channel / "manifest.json").write_text(json.dumps({**manifest, "rows": manifest["rows"] + 1}))
    refused(Job(tmp_path, channel), f"the manifest promises {manifest['rows'] + 1} rows")
    (channel / manifest["files"][0]["name"]).unlink()
    refused(Job(tmp_path, channel), "run the export again")


def test_a_changed_contract_is_rejected(tmp_path: Path) -> None:
    channel = write_channel(tmp_path / "channel", rows(40))
    manifest = json.loads((channel / "manifest.json").read_text())
    manifest["contract"]["columns"].reverse()
    (channel / "manifest.json").write_text(json.dumps(manifest))
    refused(Job(tmp_path, channel), "it was changed")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"max_dept": 3}, "XGBoost has no hyperparameter"),
        ({"max_depth": -2}, "XGBoost refuses the hyperparameters"),
        ({"objective": "multi:softmax"}, "objective must be one of"),
        ({"split_test": "much"}, "incomplete or ill-typed"),
    ],
)
def test_invalid_hyperparameters_are_rejected(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    job = Job(tmp_path, write_channel(tmp_path / "channel", rows(40)), {**HYPERPARAMETERS, **changed})
    refused(job, said)


def test_a_regression_reports_regression_metrics(tmp_path: Path) -> None:
    changed = {"objective": "reg:squarederror", "report_metric": "rmse"}
    job = Job(tmp_path, write_channel(tmp_path / "channel", rows(40)), {**HYPERPARAMETERS, **changed})
    done = job.run_here()
    assert done.returncode == 0, done.stderr
    found = report(job)
    assert set(found["metrics"]["test"]) == {"rmse", "mae"}
    assert found["more_is_better"] is False
    assert found["metrics"]["test"]["rmse"] < found["single_column"]["value"]
