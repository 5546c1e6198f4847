"""The train stage: a job is found, awaited or started again, and its failure is reported."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from app.errors import CallerError, Interrupted, PermanentError
from app.ports import TrainingJob, TrainingRequest
from app.spec.schema import SplitBy
from app.train.plan import job_name, plan_train
from app.train.run import LOG_LINES, run_train
from sagemaker_entry.train import read_job
from tests.support.fakes import FakeStore, FakeTraining
from tests.unit import churn

REQUEST = plan_train(churn.PIPELINE, churn.RUN, churn.RUN.uri("lake", "export"), "lake")


def job(
    status: Any, name: str = "churn-19980701-0a1b2c3d-1", artifact: str | None = "s3://lake/m", reason: str = ""
) -> TrainingJob:
    return TrainingJob(name, status, f"phase of {status}", reason, artifact, 60, {"test:auc": 0.8})


ARTIFACT = {"s3://lake/m": b"model"}


def run(training: FakeTraining, *, stored: bool = True) -> Any:
    told: list[str] = []
    return run_train(REQUEST, training, 0.0, told.append, store=FakeStore(ARTIFACT if stored else {})), told


def test_a_finished_job_is_found() -> None:
    training = FakeTraining(job("Completed"), job("Completed"))
    trained, _ = run(training)
    assert training.submitted == []
    assert (trained.job, trained.artifact_uri, trained.billable_s) == ("churn-19980701-0a1b2c3d-1", "s3://lake/m", 60)
    assert trained.metrics == {"test:auc": 0.8}


def test_a_running_job_is_waited_for() -> None:
    training = FakeTraining(job("InProgress"), job("InProgress"), job("InProgress"), job("Completed"))
    trained, told = run(training)
    assert training.submitted == []
    assert trained.job == "churn-19980701-0a1b2c3d-1"
    assert told == ["churn-19980701-0a1b2c3d-1: phase of InProgress"] * 2 + [
        "churn-19980701-0a1b2c3d-1: phase of Completed"
    ]


@pytest.mark.parametrize(
    "before", [None, job("Failed"), job("Stopped"), job("Completed", artifact="s3://lake/deleted")]
)
def test_a_job_is_started_if_none_can_succeed(before: TrainingJob | None) -> None:
    training = FakeTraining(before, job("InProgress"), job("Completed"))
    trained, _ = run(training)
    name = f"{REQUEST.name_prefix}-{2 if before else 1}"
    assert training.submitted == [(name, REQUEST)]
    assert set(training.described) == {name}
    assert trained.job == name


def test_a_job_that_another_process_starts_at_the_same_time_is_waited_for() -> None:
    training = FakeTraining(None, job("InProgress"), job("Completed"))
    training.taken = {f"{REQUEST.name_prefix}-1"}
    trained, told = run(training)
    assert training.submitted == []
    assert trained.job == f"{REQUEST.name_prefix}-1"
    assert told[0] == f"{REQUEST.name_prefix}-1 was started already; waiting for it"


@pytest.mark.parametrize(
    ("newest", "expected"),
    [(None, 1), ("-1", 2), ("-9", 10), ("-20260101120000", 1), ("-mine", 1)],
)
def test_an_attempt_has_the_next_number(newest: str | None, expected: int) -> None:
    name = None if newest is None else REQUEST.name_prefix + newest
    assert job_name(REQUEST, name) == f"{REQUEST.name_prefix}-{expected}"


def test_a_stopping_job_is_waited_for_and_reported() -> None:
    training = FakeTraining(job("Stopping"), job("Stopping"), job("Stopped", reason="by hand"))
    with pytest.raises(CallerError, match="ended as Stopped: by hand"):
        run(training)


def test_a_failure_is_reported_with_reason_and_last_lines() -> None:
    log = [f"line {number}" for number in range(1, 31)]
    failed = job("Failed", reason="the label CHURNED has one class only")
    training = FakeTraining(None, failed, log=log)
    with pytest.raises(CallerError) as caught:
        run(training)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"training job {failed.name} ended as Failed: the label CHURNED has one class only"
    assert lines[1] == "  its last log lines:"
    assert lines[2:] == [f"    {line}" for line in log[-LOG_LINES:]]


def test_a_failure_without_a_reason_is_reported() -> None:
    with pytest.raises(CallerError, match=r"ended as Failed: no reason given\n.*\n    \(it wrote no log lines\)"):
        run(FakeTraining(None, job("Failed")))


def test_a_completed_job_without_an_artefact_is_reported() -> None:
    with pytest.raises(PermanentError, match="completed without an artefact"):
        run(FakeTraining(None, job("Completed", artifact=None)))


def test_the_entry_code_accepts_the_hyperparameters() -> None:
    read = read_job(dict(REQUEST.hyperparameters))
    assert (read.horizon.days, read.validation, read.test) == (90, 0.1, 0.2)
    assert (read.rounds, read.early_stopping_rounds) == (600, 30)
    assert set(read.xgboost) == {
        "objective",
        "max_depth",
        "eta",
        "subsample",
        "colsample_bytree",
        "seed",
        "tree_method",
    }


@pytest.mark.parametrize(
    ("split", "sent"),
    [
        ({"by": "entity"}, {"split_by": "hash"}),
        ({"by": "hash"}, {"split_by": "hash"}),
        ({"by": "random"}, {"split_by": "random", "split_seed": 0}),
        ({"by": "random", "seed": 7}, {"split_by": "random", "split_seed": 7}),
        ({"by": "time"}, {}),
    ],
)
def test_the_job_is_told_how_to_split(split: dict[str, Any], sent: dict[str, Any]) -> None:
    training = churn.PIPELINE.training.model_copy(update={"split": SplitBy(**split)})
    request = plan_train(churn.PIPELINE.model_copy(update={"training": training}), churn.RUN, "s3://lake/e", "lake")
    assert {
        name: value for name, value in request.hyperparameters.items() if name in ("split_by", "split_seed")
    } == sent
    job = read_job(dict(request.hyperparameters))
    assert (job.split_by, job.seed) == (sent.get("split_by", "time"), sent.get("split_seed", 0))


def test_product_hyperparameters_override_the_pipelines() -> None:
    training = churn.PIPELINE.training.model_copy(
        update={"hyperparameters": {"split_test": 0.5, "split_horizon_s": 1, "objective": "binary:logistic"}}
    )
    request = plan_train(churn.PIPELINE.model_copy(update={"training": training}), churn.RUN, "s3://lake/e/", "lake")
    assert (request.hyperparameters["split_test"], request.hyperparameters["split_horizon_s"]) == (0.2, 90 * 86400)


@pytest.mark.parametrize("value", ["0.81", "1.0", "0", "12.5"])
def test_the_metric_regexes_match_the_output_of_the_entry_code(value: str) -> None:
    assert set(REQUEST.metric_regexes) == {
        f"{part}:{metric}" for part in ("validation", "test") for metric in ("auc", "average_precision", "logloss")
    }
    printed = "\n".join(f"{name}={value};" for name in REQUEST.metric_regexes)
    assert [re.findall(regex, printed) for regex in REQUEST.metric_regexes.values()] == [[value]] * 6


def test_the_metric_regexes_match_a_very_small_value() -> None:
    assert re.findall(REQUEST.metric_regexes["test:logloss"], f"test:logloss={0.000004};") == ["4e-06"]


def test_two_runs_have_different_job_names() -> None:
    other = plan_train(churn.PIPELINE, replace(churn.RUN, id="19980731-99999999"), "s3://lake/e/", "lake")
    assert REQUEST.name_prefix == "churn-19980701-0a1b2c3d"
    assert other.name_prefix == "churn-19980731-99999999"
    assert not other.name_prefix.startswith(REQUEST.name_prefix)


def test_ctrl_c_says_that_the_job_goes_on_and_how_to_continue() -> None:
    class Stopped(FakeTraining):
        def describe(self, name: str) -> TrainingJob:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        run(Stopped(job("InProgress")))
    said = str(stopped.value)
    assert said.startswith(
        "training job churn-19980701-0a1b2c3d-1 goes on in SageMaker, and is billed. Start the same command again"
    )
    assert "`aws sagemaker stop-training-job --training-job-name churn-19980701-0a1b2c3d-1`" in said


def test_ctrl_c_while_a_job_is_started_says_that_it_may_run() -> None:
    class Stopped(FakeTraining):
        def submit(self, request: TrainingRequest, name: str) -> bool:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=f"training job {REQUEST.name_prefix}-1 may have been started"):
        run(Stopped(None, job("InProgress")))
