"""The training process: each way to start it trains the same model, the test part does not affect it, errors are one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.runs.identity import Run
from app.spec import load
from app.train.plan import plan_train
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.dataset import Dataset
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
    assert "code/sagemaker_entry/inference.py" in names
    folders = {str(Path(name).parent) for name in names if name.startswith("code/sagemaker_entry/")}
    assert {f"{folder}/__init__.py" for folder in folders} <= names  # setup.py installs the folders that are packages
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


def test_rows_without_time_are_split_by_hash(trained: tuple[Job, str], tmp_path: Path) -> None:
    shuffled = np.random.default_rng(1).permutation(len(rows()["ID"]))
    by_hash = {**trained[0].hyperparameters, "split_by": "hash"}
    jobs = [
        Job(tmp_path / "1", write_channel(tmp_path / "1/channel", rows()), by_hash),
        Job(tmp_path / "2", write_channel(tmp_path / "2/channel", rows(), parts=3, order=shuffled), by_hash),
    ]
    for job in jobs:
        done = job.run_here()
        assert done.returncode == 0, done.stderr
    assert (jobs[0].model / "model.ubj").read_bytes() == (jobs[1].model / "model.ubj").read_bytes()
    parts = report(jobs[0])["parts"]
    # All rows of an entity are in one part.
    assert all(part["rows"] % len(TIMES) == 0 for part in parts.values())
    assert sum(part["rows"] for part in parts.values()) == len(rows()["ID"])
    assert report(jobs[0])["unused_as_of"] == []


def test_random_parts_depend_on_the_entities_and_the_seed_alone(tmp_path: Path) -> None:
    shuffled = np.random.default_rng(1).permutation(len(rows()["ID"]))
    write_channel(tmp_path / "1", rows())
    write_channel(tmp_path / "2", rows(), parts=3, order=shuffled)
    first, second, other = (
        Dataset(tmp_path / name).parts_at_random(seed, 0.1, 0.2) for name, seed in (("1", 7), ("2", 7), ("1", 8))
    )
    entities = len(set(rows()["ID"]))
    for name, share in (("test", 0.2), ("validation", 0.1)):
        assert len(first[name]) == round(share * entities) * len(TIMES), "all rows of an entity are in one part"
        assert np.array_equal(first[name].matrix, second[name].matrix, equal_nan=True)
    assert not np.array_equal(first["test"].matrix, other["test"].matrix, equal_nan=True)


def test_each_column_is_measured_alone(trained: tuple[Job, str]) -> None:
    by_metric = report(trained[0])["single_columns"]
    assert set(by_metric) == set(report(trained[0])["metrics"]["test"])
    for metric, measured in by_metric.items():
        assert {item["column"] for item in measured} == set(CONTRACT.names)
        assert {item["metric"] for item in measured} == {metric}
    alone = by_metric["auc"]
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
        ({"max_dept": 3}, "max_dept: XGBoost has no such hyperparameter; did you mean max_depth?"),
        ({"max_dept": 3, "verbosity": 0}, "did you mean max_depth?"),
        ({"max_depth": -2}, "max_depth: must be a whole number, at least 0 and at most 2147483647, not -2"),
        ({"objective": "multi:softmax"}, "objective: multi:softmax is not supported"),
        ({"split_test": "much"}, "incomplete or ill-typed"),
        ({"monotone_constraints": "(1,0,0,1)"}, "it has 4 entries, and there are 3 features: X, Y, KIND"),
        ({"interaction_constraints": '[["X", "KINDS"]]'}, "KINDS is not a feature; did you mean KIND?"),
        ({"interaction_constraints": "[[0, 3]]"}, "3 is not a feature; the features are X, Y, KIND"),
        ({"tree_method": "exact"}, "exact cannot use categories"),
    ],
)
def test_invalid_hyperparameters_are_rejected(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    job = Job(tmp_path, write_channel(tmp_path / "channel", rows(40)), {**HYPERPARAMETERS, **changed})
    refused(job, said)


@pytest.mark.parametrize(
    "changed",
    [
        {"max_bin": 16},
        {"tree_method": "approx", "max_bin": 16},
        {"booster": "dart", "rate_drop": 0.1, "one_drop": True},
        {"interaction_constraints": '[["X", "Y"], ["KIND"]]', "monotone_constraints": "(1, 0, 0)"},
        {"interaction_constraints": "[[0, 1]]", "eta": "1e-1", "verbosity": 0},
        {"eval_metric": "error@0.6", "num_parallel_tree": 2, "grow_policy": "lossguide", "max_leaves": 8},
    ],
)
def test_what_xgboost_accepts_trains(tmp_path: Path, changed: dict[str, Any]) -> None:
    job = Job(tmp_path, write_channel(tmp_path / "channel", rows(40)), {**HYPERPARAMETERS, **changed})
    done = job.run_here()
    assert done.returncode == 0, done.stderr
    assert report(job)["metrics"]["test"]["auc"] > 0.6


def test_without_early_stopping_all_rounds_are_kept(tmp_path: Path) -> None:
    changed = {"early_stopping_rounds": 0, "n_estimators": 30}
    job = Job(tmp_path, write_channel(tmp_path / "channel", rows(40)), {**HYPERPARAMETERS, **changed})
    assert job.run_here().returncode == 0
    assert report(job)["rounds"] == 30


def test_a_category_alone_scores_by_its_means_in_the_training_part(tmp_path: Path) -> None:
    columns = rows(60)
    chance = np.random.default_rng(3)
    # The first and the last of three categories have high labels: their order says nothing, their means do.
    codes = chance.integers(0, 3, len(columns["ID"]))
    columns["KIND"] = np.array(["a", "b", "c"], object)[codes]
    columns["L"] = (chance.random(len(codes)) < np.where(codes == 1, 0.1, 0.9)).astype(float)
    contract = replace(CONTRACT, columns=(*CONTRACT.columns[:2], Column("KIND", "category", ("a", "b", "c"))))
    job = Job(tmp_path, write_channel(tmp_path / "channel", columns, contract=contract))
    assert job.run_here().returncode == 0
    single = report(job)["single_column"]
    assert (single["column"], single["value"] > 0.85) == ("KIND", True)


def test_a_column_with_many_categories_is_not_the_best_by_chance(tmp_path: Path) -> None:
    columns = rows(60)
    names = tuple(f"c{number}" for number in range(300))
    columns["KIND"] = np.array(names, object)[np.random.default_rng(4).integers(0, 300, len(columns["ID"]))]
    contract = replace(CONTRACT, columns=(*CONTRACT.columns[:2], Column("KIND", "category", names)))
    job = Job(tmp_path, write_channel(tmp_path / "channel", columns, contract=contract))
    assert job.run_here().returncode == 0
    assert report(job)["single_column"]["column"] == "X"


def test_a_training_that_learns_nothing_is_warned_about(tmp_path: Path) -> None:
    columns = rows(60)
    # What the training part teaches is wrong in the others.
    early = columns["AS_OF"] <= np.datetime64(TIMES[4])
    columns["L"] = ((columns["KIND"] == "a") == early).astype(float)
    job = Job(
        tmp_path,
        write_channel(tmp_path / "channel", columns),
        {**HYPERPARAMETERS, "n_estimators": 300, "eta": 1.0, "early_stopping_rounds": 5},
    )
    done = job.run_here()
    (warning,) = report(job)["warnings"]
    assert "of 300 rounds: the validation rows got no better" in warning
    assert f"warning: {warning}" in done.stdout


def test_a_column_that_knows_the_label_is_warned_about(tmp_path: Path) -> None:
    leaked = rows()
    leaked["Y"] = leaked["L"] * 3 + np.random.default_rng(1).random(len(leaked["L"]))
    job = Job(tmp_path, write_channel(tmp_path / "channel", leaked))
    assert job.run_here().returncode == 0
    found = [text for text in report(job)["warnings"] if "alone" in text]
    assert len(found) == 1
    assert found[0].startswith("Y alone reaches auc 1.0000 on the test rows: it may know the label")


def test_scores_that_are_all_equal_are_warned_about(tmp_path: Path) -> None:
    changed = {"min_child_weight": 1e9}
    job = Job(tmp_path, write_channel(tmp_path / "channel", rows(40)), {**HYPERPARAMETERS, **changed})
    assert job.run_here().returncode == 0
    assert any("every test row has the same score" in text for text in report(job)["warnings"])


@pytest.mark.parametrize(
    ("objective", "spoil", "said"),
    [
        (
            "binary:logistic",
            lambda label: label + 1,
            "the label L must be 0 or 1 for binary:logistic, it has 1 other values",
        ),
        ("binary:logistic", lambda label: label / 2, "the label L must be 0 or 1"),
        ("reg:gamma", lambda label: label, "must be a finite number greater than 0 for reg:gamma"),
        (
            "reg:squarederror",
            lambda label: np.where(label > 0, np.inf, 0),
            "must be a finite number for reg:squarederror",
        ),
        ("reg:squarederror", lambda label: label * 0 + 7, "the label L has one value only in the train part"),
    ],
)
def test_labels_that_the_objective_cannot_learn_are_rejected(
    tmp_path: Path, objective: str, spoil: Callable[[Any], Any], said: str
) -> None:
    columns = rows(40)
    columns["L"] = spoil(columns["L"])
    changed = {**HYPERPARAMETERS, "objective": objective}
    refused(Job(tmp_path, write_channel(tmp_path / "channel", columns), changed), said)


def test_a_regression_reports_regression_metrics(tmp_path: Path) -> None:
    changed = {"objective": "reg:squarederror"}
    job = Job(tmp_path, write_channel(tmp_path / "channel", rows(40)), {**HYPERPARAMETERS, **changed})
    done = job.run_here()
    assert done.returncode == 0, done.stderr
    found = report(job)
    assert set(found["metrics"]["test"]) == set(found["mean"]) == {"rmse", "mae", "r2"}
    assert found["mean"]["r2"] <= 0 < found["metrics"]["test"]["r2"]
    assert found["metrics"]["test"]["rmse"] < found["mean"]["rmse"]
    assert "mean:rmse=" in done.stdout
    assert set(found["single_columns"]) == {"rmse", "mae", "r2"}
    assert found["metrics"]["test"]["rmse"] < found["single_column"]["value"]
