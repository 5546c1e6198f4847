"""Hyperparameter tuning: strategies, limits, statuses, lists, early stopping, rejected requests."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.waiting import wait_for

from .conftest import BUCKET, IMAGE, ROLE, Aws

_SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert "--_tuning_objective_metric" not in given
x = float(given.get("--rate", 0.5)) + int(given.get("--shift", 0)) + (given.get("--kind") == "b")
for epoch in range(int(given.get("--epochs", 1))):
    print("loss=%r;" % ((x - 0.3) ** 2), flush=True)
    time.sleep(float(given.get("--pause", 0)))
if given.get("--kind") == given.get("--held-kind", "none"):
    time.sleep(3000)
sys.exit(int(given.get("--exit", 0)))
"""
_METRICS = [{"Name": "loss", "Regex": "loss=([0-9.e-]+);"}]
_X = {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0", "MaxValue": "1", "ScalingType": "Linear"}]}
_KINDS = {
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}, {"Name": "shift", "Values": ["0", "1", "2"]}]
}


@pytest.fixture(scope="module")
def source(aws: Aws) -> str:
    return aws.put_archive("tuning/sourcedir.tar.gz", {"train.py": _SCRIPT})


def _request(name: str, source: str, ranges: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A CreateHyperParameterTuningJob request. ``changes``: of its configuration; ``static``: static hyperparameters."""
    static = changes.pop("static", {})
    metrics = changes.pop("metrics", _METRICS)
    outside = changes.pop("outside", {})
    limits = {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2, **changes.pop("limits", {})}
    config = {
        "Strategy": "Random",
        "RandomSeed": 7,
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ResourceLimits": {key: value for key, value in limits.items() if value is not None},
        "ParameterRanges": ranges,
        **changes,
    }
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": config,
        "TrainingJobDefinition": _definition(source, static, metrics),
        **outside,
    }


def _definition(source: str, static: dict[str, str], metrics: list[dict[str, str]] = _METRICS) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": metrics,
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/tuned"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "StaticHyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": source,
            **static,
        },
    }


def _finish(aws: Aws, name: str) -> dict[str, Any]:
    found: dict[str, Any] = wait_for(
        lambda: aws.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        lambda job: job["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"),
    )
    return found


def _children(aws: Aws, name: str, **how: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, **{"MaxResults": 100, **how}
    )["TrainingJobSummaries"]
    return found


def test_random_search_launches_training_jobs_and_reports_the_best(aws: Aws, source: str) -> None:
    tags = [{"Key": "team", "Value": "ml"}]
    created = aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request("random", source, _X, static={"epochs": "2"}, outside={"Tags": tags})
    )
    job = _finish(aws, "random")
    assert job["HyperParameterTuningJobArn"] == created["HyperParameterTuningJobArn"]
    assert job["HyperParameterTuningJobArn"].endswith(":hyper-parameter-tuning-job/random")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job.get("FailureReason")
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 3,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    assert job["TrainingJobDefinition"]["StaticHyperParameters"]["_tuning_objective_metric"] == "loss"
    assert job["CreationTime"] <= job["HyperParameterTuningEndTime"]
    children = _children(aws, "random")
    assert all(re.fullmatch(r"random-00[123]-[0-9a-f]{8}", child["TrainingJobName"]) for child in children)
    losses = {c["TrainingJobName"]: (float(c["TunedHyperParameters"]["rate"]) - 0.3) ** 2 for c in children}
    best = job["BestTrainingJob"]
    assert best["TrainingJobName"] == min(losses, key=lambda name: losses[name])
    final = best["FinalHyperParameterTuningJobObjectiveMetric"]
    assert (final["MetricName"], final["Type"]) == ("loss", "Minimize")
    assert final["Value"] == pytest.approx(min(losses.values()))
    child = aws.sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert child["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert child["HyperParameters"]["_tuning_objective_metric"] == "loss"
    assert child["HyperParameters"]["rate"] == best["TunedHyperParameters"]["rate"]
    assert aws.sagemaker.list_tags(ResourceArn=child["TrainingJobArn"])["Tags"] == tags
    assert aws.sagemaker.list_tags(ResourceArn=job["HyperParameterTuningJobArn"])["Tags"] == tags


def test_a_seed_repeats_the_jobs_of_a_random_search(aws: Aws, source: str) -> None:
    drawn = []
    for name in ("seed-a", "seed-b"):
        aws.sagemaker.create_hyper_parameter_tuning_job(**_request(name, source, _X))
        _finish(aws, name)
        drawn.append([child["TunedHyperParameters"]["rate"] for child in _children(aws, name)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


def test_grid_tries_every_combination_once(aws: Aws, source: str) -> None:
    aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request("grid", source, _KINDS, Strategy="Grid", limits={"MaxNumberOfTrainingJobs": None})
    )
    job = _finish(aws, "grid")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    tried = sorted(tuple(child["TunedHyperParameters"].values()) for child in _children(aws, "grid"))
    assert tried == [(kind, n) for kind in "ab" for n in "012"]
    assert job["BestTrainingJob"]["TunedHyperParameters"] == {"kind": "a", "shift": "0"}


def test_lists_are_sorted_filtered_and_paged(aws: Aws, source: str) -> None:
    aws.sagemaker.create_hyper_parameter_tuning_job(**_request("listed-tuning", source, _X))
    _finish(aws, "listed-tuning")
    by_metric = _children(aws, "listed-tuning", SortBy="FinalObjectiveMetricValue", SortOrder="Ascending")
    values = [child["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for child in by_metric]
    assert values == sorted(values)
    assert len(values) == 3
    pages = aws.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName="listed-tuning", PaginationConfig={"PageSize": 2}
    )
    sizes = [len(page["TrainingJobSummaries"]) for page in pages]
    assert sizes == [2, 1]
    assert _children(aws, "listed-tuning", StatusEquals="Failed") == []
    (line,) = aws.sagemaker.list_hyper_parameter_tuning_jobs(NameContains="listed-tun")[
        "HyperParameterTuningJobSummaries"
    ]
    assert line["Strategy"] == "Random"
    assert line["TrainingJobStatusCounters"]["Completed"] == 3
    aws.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="listed-tuning")
    with pytest.raises(aws.sagemaker.exceptions.ResourceNotFound):
        aws.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="listed-tuning")
    assert aws.sagemaker.describe_training_job(TrainingJobName=by_metric[0]["TrainingJobName"])


def test_stop_ends_the_running_training_jobs(aws: Aws, source: str) -> None:
    aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request("stopped-tuning", source, _X, static={"epochs": "1", "pause": "60"})
    )
    # A script that has printed its loss handles SIGTERM; before that, the signal is ignored.
    wait_for(
        lambda: aws.log_lines("/aws/sagemaker/TrainingJobs", "stopped-tuning-"),
        lambda lines: sum(line.startswith("loss=") for line in lines) == 2,
    )
    aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped-tuning")
    job = _finish(aws, "stopped-tuning")
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    children = _children(aws, "stopped-tuning")
    assert {child["TrainingJobStatus"] for child in children} == {"Stopped"}
    assert job["TrainingJobStatusCounters"]["Stopped"] == len(children)
    with pytest.raises(ClientError, match="is in status Stopped"):
        aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped-tuning")


def test_a_tuning_job_without_a_successful_training_job_fails(aws: Aws, source: str) -> None:
    aws.sagemaker.create_hyper_parameter_tuning_job(**_request("failing-tuning", source, _X, static={"exit": "1"}))
    silent = [{"Name": "loss", "Regex": "never=([0-9]+)"}]
    aws.sagemaker.create_hyper_parameter_tuning_job(**_request("silent-tuning", source, _X, metrics=silent))
    failed = _finish(aws, "failing-tuning")
    assert failed["HyperParameterTuningJobStatus"] == "Failed"
    assert failed["FailureReason"].startswith("No training job succeeded after 3 attempts.")
    assert failed["TrainingJobStatusCounters"]["NonRetryableError"] == 3
    assert "BestTrainingJob" not in failed
    without = _finish(aws, "silent-tuning")
    assert without["FailureReason"].startswith("No objective metrics found after running 3 training jobs.")
    assert without["ObjectiveStatusCounters"] == {"Succeeded": 0, "Pending": 0, "Failed": 3}


def test_early_stopping_ends_jobs_worse_than_the_median(aws: Aws, source: str) -> None:
    # Kind b is worse, and runs until it is stopped.
    ranges = {"CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}]}
    aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request(
            "early",
            source,
            ranges,
            Strategy="Grid",
            TrainingJobEarlyStoppingType="Auto",
            limits={"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            static={"epochs": "3", "held-kind": "b"},
        )
    )
    job = _finish(aws, "early")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    first, second = _children(aws, "early")
    assert (first["TrainingJobStatus"], second["TrainingJobStatus"]) == ("Completed", "Stopped")
    assert second["ObjectiveStatus"] == "Succeeded"
    assert job["BestTrainingJob"]["TrainingJobName"] == first["TrainingJobName"]


def test_hyperband_continues_only_the_best_and_stops_all_at_the_maximum(aws: Aws, source: str) -> None:
    aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request(
            "hyperband",
            source,
            {"IntegerParameterRanges": [{"Name": "shift", "MinValue": "0", "MaxValue": "9"}]},
            Strategy="Hyperband",
            StrategyConfig={"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 3}},
            limits={"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1},
            static={"epochs": "60", "pause": "1"},
        )
    )
    job = _finish(aws, "hyperband")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    children = _children(aws, "hyperband")
    assert {child["TrainingJobStatus"] for child in children} == {"Stopped"}
    kept: list[float] = []
    for child in children:
        loss = child["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        epochs = len(aws.log_lines("/aws/sagemaker/TrainingJobs", f"{child['TrainingJobName']}/"))
        if loss <= min(kept, default=loss):
            assert epochs >= 3
        else:
            assert epochs < 3
        kept.append(loss)


def test_reaching_the_target_completes_the_tuning_job(aws: Aws, source: str) -> None:
    aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request(
            "target",
            source,
            _X,
            TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 1.0},
            limits={"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 1},
        )
    )
    job = _finish(aws, "target")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert len(_children(aws, "target")) <= 2


def test_several_definitions_take_turns(aws: Aws, source: str) -> None:
    objective = {"Type": "Minimize", "MetricName": "loss"}
    ranges = {"low": ("0", "0.1"), "high": ("0.29", "0.31")}
    definitions = [
        {
            **_definition(source, {}),
            "DefinitionName": name,
            "TuningObjective": objective,
            "HyperParameterRanges": {
                "ContinuousParameterRanges": [{"Name": "rate", "MinValue": low, "MaxValue": high}]
            },
        }
        for name, (low, high) in ranges.items()
    ]
    aws.sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="several",
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
        },
        TrainingJobDefinitions=definitions,
    )
    job = _finish(aws, "several")
    names = [child["TrainingJobDefinitionName"] for child in _children(aws, "several")]
    assert sorted(names) == ["high", "high", "low", "low"]
    assert job["BestTrainingJob"]["TrainingJobDefinitionName"] == "high"


def test_a_warm_start_uses_the_results_of_its_parent(aws: Aws, source: str) -> None:
    near = {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.29", "MaxValue": "0.31"}]}
    aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request("parent", source, near, limits={"MaxNumberOfTrainingJobs": 1})
    )
    best = _finish(aws, "parent")["BestTrainingJob"]["TrainingJobName"]
    warm = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    far = {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.8", "MaxValue": "0.9"}]}
    aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request("child", source, far, limits={"MaxNumberOfTrainingJobs": 1}, outside={"WarmStartConfig": warm})
    )
    job = _finish(aws, "child")
    assert job["OverallBestTrainingJob"]["TrainingJobName"] == best
    assert job["OverallBestTrainingJob"]["TuningJobName"] == "parent"
    assert job["BestTrainingJob"]["TrainingJobName"].startswith("child-001-")
    other = _request("other", source, _KINDS, outside={"WarmStartConfig": warm})
    with pytest.raises(ClientError, match="Static and tunable hyperparameters together must be those of the parent"):
        aws.sagemaker.create_hyper_parameter_tuning_job(**other)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Strategy": "Grid", "limits": {"MaxNumberOfTrainingJobs": 5}}, "must equal the number of combinations"),
        ({"ranges": _X, "Strategy": "Grid"}, "supports categorical parameter ranges only"),
        ({"Strategy": "Hyperband"}, "needs MaxResource"),
        (
            {"metrics": [{"Name": "other", "Regex": "rate=(.)"}]},
            "A metric is required for this hyperparameter tuning job",
        ),
        ({"limits": {"MaxNumberOfTrainingJobs": None}}, "MaxNumberOfTrainingJobs is required"),
        ({"static": {"kind": "a"}}, "cannot be both static and tunable: kind"),
        ({"outside": {"Autotune": {"Mode": "Enabled"}}}, "The local AWS does not support Autotune"),
        (
            {
                "ranges": {
                    "ContinuousParameterRanges": [
                        {"Name": "rate", "MinValue": "0", "MaxValue": "1", "ScalingType": "Logarithmic"}
                    ]
                }
            },
            "needs values greater than 0",
        ),
        (
            {"TuningJobCompletionCriteria": {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}},
            "does not support the completion criterion ConvergenceDetected",
        ),
        (
            {
                "outside": {
                    "WarmStartConfig": {
                        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "missing"}],
                        "WarmStartType": "TransferLearning",
                    }
                }
            },
            "does not support the warm start TransferLearning",
        ),
    ],
)
def test_invalid_and_unsupported_requests_are_rejected(
    aws: Aws, source: str, changes: dict[str, Any], sentence: str
) -> None:
    changes = dict(changes)
    request = _request("refused", source, changes.pop("ranges", _KINDS), **changes)
    with pytest.raises(ClientError, match=sentence) as refused:
        aws.sagemaker.create_hyper_parameter_tuning_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_names_are_unique_and_limited_in_length(aws: Aws, source: str) -> None:
    aws.sagemaker.create_hyper_parameter_tuning_job(
        **_request("Taken", source, _X, limits={"MaxNumberOfTrainingJobs": 1})
    )
    with pytest.raises(aws.sagemaker.exceptions.ResourceInUse, match="must be unique"):
        aws.sagemaker.create_hyper_parameter_tuning_job(**_request("taken", source, _X))
    with pytest.raises(ClientError, match="length less than or equal to 32"):
        aws.sagemaker.create_hyper_parameter_tuning_job(**_request("n" * 33, source, _X))
    with pytest.raises(aws.sagemaker.exceptions.ResourceNotFound, match="Requested resource not found"):
        aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="missing")
    _finish(aws, "Taken")
