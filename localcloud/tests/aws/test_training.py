"""Training jobs: directories, statuses, logs, metrics, artefacts, failures, stops."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.waiting import wait_for

from .conftest import BUCKET, HIDDEN_PACKAGE, IMAGE, ROLE, Aws, channel, unpack

_GROUP = "/aws/sagemaker/TrainingJobs"

_TRAIN = """
import json, os, pathlib, sys
ml = pathlib.Path(os.environ["ML"])
config = ml / "input/config"
assert json.loads((config / "hyperparameters.json").read_text()) == {"max_depth": "5"}
assert json.loads((config / "resourceconfig.json").read_text())["hosts"] == ["algo-1"]
assert json.loads((config / "inputdataconfig.json").read_text())["train"]["TrainingInputMode"] == "File"
files = sorted(p.relative_to(ml / "input/data/train").as_posix() for p in (ml / "input/data/train").rglob("*.csv"))
(ml / "model/model.json").write_text(json.dumps(files))
(ml / "output/data/report.json").write_text("{}")
print("epoch 1 auc: 0.5", flush=True)
print("epoch 2 auc: 0.75", file=sys.stderr)
print(json.dumps(dict(os.environ)))
for name in ("localcloud", "HIDDEN_PACKAGE"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        print(f"{name} is hidden")
""".replace("HIDDEN_PACKAGE", HIDDEN_PACKAGE)


def test_a_job_runs_its_script_and_uploads_the_model(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "of-the-parent")
    for key in ("a.csv", "deep/b.csv"):
        aws.s3.put_object(Bucket=BUCKET, Key=f"full/data/{key}", Body=b"1,2\n")
    aws.start_job(
        "full",
        _TRAIN,
        InputDataConfig=[
            channel("train", f"s3://{BUCKET}/full/data"),
            channel("code", f"s3://{BUCKET}/full/code/"),
        ],
        HyperParameters={"max_depth": "5"},
        Environment={"ML": "/opt/ml"},
        Tags=[{"Key": "team", "Value": "ml"}],
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/main.py"],
            "MetricDefinitions": [{"Name": "auc", "Regex": r"auc: ([0-9.]+)"}],
        },
    )
    job = aws.finish_job("full")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]
    assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] >= 1
    assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [("auc", 0.75)]
    artifact = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifact == f"s3://{BUCKET}/out/full/output/model.tar.gz"
    model = aws.s3.get_object(Bucket=BUCKET, Key="out/full/output/model.tar.gz")["Body"].read()
    assert unpack(model) == {"model.json": b'["a.csv", "deep/b.csv"]'}
    output = aws.s3.get_object(Bucket=BUCKET, Key="out/full/output/output.tar.gz")["Body"].read()
    assert unpack(output) == {"report.json": b"{}"}
    assert aws.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "team", "Value": "ml"}]
    lines = aws.log_lines(_GROUP, "full/algo-1-")
    assert "epoch 2 auc: 0.75" in lines
    assert {"localcloud is hidden", f"{HIDDEN_PACKAGE} is hidden"} <= set(lines)
    assert not [line for line in lines if "of-the-parent" in line or str(Path.cwd()) in line]


def test_a_prefix_matches_the_keys_text(aws: Aws) -> None:
    for key in ("train/a.csv", "train2/b.csv"):
        aws.s3.put_object(Bucket=BUCKET, Key=f"prefix/{key}", Body=b"x")
    aws.start_job(
        "prefix",
        "import os; print(sorted(os.path.join(d, f) for d, _, fs in os.walk(os.environ['T']) for f in fs))",
        InputDataConfig=[channel("code", f"s3://{BUCKET}/prefix/code/"), channel("t", f"s3://{BUCKET}/prefix/train")],
        Environment={"T": "/opt/ml/input/data/t"},
    )
    assert aws.finish_job("prefix")["TrainingJobStatus"] == "Completed"
    (line,) = aws.log_lines(_GROUP, "prefix/")
    assert line.count("/input/data/t/a.csv'") == 1
    assert line.count("/input/data/t/train2/b.csv'") == 1


def test_failure_file_and_exit_code_are_the_failure_reason(aws: Aws) -> None:
    script = """
import os, sys
open(os.environ["FAILURE"], "w").write("the label is constant " * 100)
sys.exit(3)
"""
    aws.start_job("failing", script, Environment={"FAILURE": "/opt/ml/output/failure"})
    job = aws.finish_job("failing")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: the label is constant")
    assert job["FailureReason"].endswith(", exit code: 3")
    assert len(job["FailureReason"]) <= 1024
    assert "ModelArtifacts" not in job


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        (
            "no-data",
            {"InputDataConfig": [channel("train", f"s3://{BUCKET}/nothing/here/")]},
            "ClientError: Data download failed:No S3 objects found",
        ),
        (
            "no-bucket",
            {"InputDataConfig": [channel("train", "s3://no-such-bucket/x")]},
            "The specified bucket does not exist",
        ),
        (
            "other-image",
            {"AlgorithmSpecification": {"TrainingImage": "1.dkr/pytorch:2", "TrainingInputMode": "File"}},
            "supports SageMaker's XGBoost images only",
        ),
        (
            "built-in",
            {"AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"}},
            "supports no built-in algorithm",
        ),
    ],
)
def test_a_job_that_cannot_run_fails_with_a_reason(
    aws: Aws, name: str, changes: dict[str, object], reason: str
) -> None:
    aws.start_job(name, "", **changes)
    job = aws.finish_job(name)
    assert job["TrainingJobStatus"] == "Failed"
    assert reason in job["FailureReason"]


_SLEEP = """
import os, signal, sys, time
{handler}
print("ready", flush=True)
time.sleep(3000)
"""
_SAVE = """
def save(number, frame):
    open(os.environ["MODEL"], "w").write("partial")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
"""


def test_a_stopped_script_can_save_its_model(aws: Aws) -> None:
    aws.start_job("stopped", _SLEEP.format(handler=_SAVE), Environment={"MODEL": "/opt/ml/model/m.json"})
    _wait_ready(aws, "stopped")
    aws.sagemaker.stop_training_job(TrainingJobName="stopped")
    job = aws.finish_job("stopped")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    model = aws.s3.get_object(Bucket=BUCKET, Key="out/stopped/output/model.tar.gz")["Body"].read()
    assert unpack(model) == {"m.json": b"partial"}
    with pytest.raises(ClientError, match=r"the training job is in status Stopped"):
        aws.sagemaker.stop_training_job(TrainingJobName="stopped")


def test_a_shell_does_not_pass_the_signal_to_the_script(aws: Aws) -> None:
    algorithm = {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", "python3 /opt/ml/input/data/code/main.py; true"],
    }
    aws.start_job(
        "shielded",
        _SLEEP.format(handler=_SAVE),
        AlgorithmSpecification=algorithm,
        Environment={"MODEL": "/opt/ml/model/m.json"},
    )
    _wait_ready(aws, "shielded")
    aws.clock.advance(3600)
    aws.wait_secondary("shielded", "Stopping")
    aws.clock.advance(120)
    job = aws.finish_job("shielded")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_toolkit_script_mode(aws: Aws) -> None:
    source = aws.put_archive(
        "toolkit/sourcedir.tar.gz",
        {
            "entry/__init__.py": "",
            "entry/train.py": "import os, sys, json, pathlib\n"
            "pathlib.Path(os.environ['SM_MODEL_DIR'], 'seen.json').write_text(json.dumps([sys.argv[1:], "
            "json.loads(os.environ['SM_HPS']), json.loads(os.environ['SM_CHANNELS']), os.environ['SM_HP_ETA']]))\n"
            "sys.exit(int(os.environ.get('EXIT', '0')))\n",
        },
    )
    changes = {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {
            "sagemaker_program": '"entry.train"',
            "sagemaker_submit_directory": f'"{source}"',
            "eta": "0.1",
            "objective": '"binary:logistic"',
        },
    }
    aws.start_job("toolkit", "", **changes)
    aws.start_job("toolkit-fails", "", **changes, Environment={"EXIT": "7"})
    job = aws.finish_job("toolkit")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = aws.s3.get_object(Bucket=BUCKET, Key="out/toolkit/output/model.tar.gz")["Body"].read()
    assert unpack(model) == {
        "seen.json": b'[["--eta", "0.1", "--objective", "binary:logistic"], '
        b'{"eta": 0.1, "objective": "binary:logistic"}, ["code"], "0.1"]'
    }
    failed = aws.finish_job("toolkit-fails")
    assert failed["FailureReason"].startswith("AlgorithmError: ExecuteUserScriptError:\nCommand ")
    assert failed["FailureReason"].endswith("exit code: 1")


def test_the_next_job_restores_the_checkpoints(aws: Aws) -> None:
    script = """
import os, pathlib
folder = pathlib.Path(os.environ["POINTS"])
print("found", sorted(p.name for p in folder.iterdir()))
(folder / "round-10").write_text("x")
"""
    for name in ("spot-1", "spot-2"):
        aws.start_job(
            name,
            script,
            CheckpointConfig={"S3Uri": f"s3://{BUCKET}/points"},
            Environment={"POINTS": "/opt/ml/checkpoints"},
            EnableManagedSpotTraining=True,
            StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
        )
        assert aws.finish_job(name)["TrainingJobStatus"] == "Completed"
    assert aws.log_lines(_GROUP, "spot-1/") == ["found []"]
    assert aws.log_lines(_GROUP, "spot-2/") == ["found ['round-10']"]


def test_network_isolation_removes_the_endpoint_variables(aws: Aws) -> None:
    aws.start_job("isolated", "import os; print(sorted(os.environ))", EnableNetworkIsolation=True)
    aws.finish_job("isolated")
    (line,) = aws.log_lines(_GROUP, "isolated/")
    assert "AWS_REGION" in line
    assert "AWS_ENDPOINT_URL" not in line
    assert "AWS_ACCESS_KEY_ID" not in line


def test_list_filters_sorts_and_pages(aws: Aws) -> None:
    for number in range(3):
        aws.start_job(f"listed-{number}", "")
    for number in range(3):
        aws.finish_job(f"listed-{number}")
    first = aws.sagemaker.list_training_jobs(
        NameContains="listed", SortBy="Name", SortOrder="Ascending", MaxResults=2, StatusEquals="Completed"
    )
    assert [j["TrainingJobName"] for j in first["TrainingJobSummaries"]] == ["listed-0", "listed-1"]
    rest = aws.sagemaker.list_training_jobs(
        NameContains="listed", SortBy="Name", SortOrder="Ascending", MaxResults=2, NextToken=first["NextToken"]
    )
    assert [j["TrainingJobName"] for j in rest["TrainingJobSummaries"]] == ["listed-2"]
    assert "NextToken" not in rest


def test_rejected_requests_have_sagemakers_errors(aws: Aws) -> None:
    with pytest.raises(ClientError) as missing:
        aws.sagemaker.describe_training_job(TrainingJobName="missing")
    assert missing.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "Requested resource not found.",
    }
    aws.start_job("twice", "")
    with pytest.raises(aws.sagemaker.exceptions.ResourceInUse, match="must be unique"):
        aws.start_job("twice", "")
    with pytest.raises(
        ClientError, match=r"at 'trainingJobName' failed to satisfy constraint: Member must satisfy reg"
    ):
        aws.sagemaker.create_training_job(
            TrainingJobName="under_score",
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://x"},
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 1},
        )
    for operation in (aws.sagemaker.list_processing_jobs, aws.sagemaker.list_compilation_jobs):
        with pytest.raises(ClientError, match="The local AWS does not support the SageMaker operation"):
            operation()


def _wait_ready(aws: Aws, name: str) -> None:
    aws.wait_secondary(name, "Training")
    wait_for(lambda: aws.log_lines(_GROUP, f"{name}/"), lambda lines: "ready" in lines)
