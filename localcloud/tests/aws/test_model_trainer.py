"""The SageMaker SDK's ModelTrainer, unmodified: its drivers, channels and hyperparameters."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import BUCKET, IMAGE, Aws, unpack

pytestmark = [
    pytest.mark.slow,
    # The SDK's generated sources have such literals; from Python 3.12 on they are a SyntaxWarning.
    pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence:SyntaxWarning"),
    # ModelTrainer imports a deprecated module of the SDK.
    pytest.mark.filterwarnings(r"ignore:sagemaker\.train\.\w+ has been moved:DeprecationWarning"),
    # The SDK leaves its temporary code folder to the garbage collector.
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]

_SCRIPT = """
import json, os, sys
open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w").write(
    json.dumps([sys.argv[1:], json.loads(os.environ["SM_HPS"]), os.listdir(os.environ["SM_CHANNEL_TRAIN"])])
)
sys.exit(int(os.environ.get("EXIT", "0")))
"""
_HOSTS = """
import os
print(os.environ["SM_CURRENT_HOST"], os.environ["SM_HOSTS"], os.environ["SM_MASTER_ADDR"], os.environ["SM_HOST_COUNT"])
"""


@pytest.fixture(scope="module")
def role(aws: Aws) -> Iterator[str]:
    iam = aws.client("iam")
    created = iam.create_role(RoleName="trainer", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": ["s3:*"], "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    iam.put_role_policy(
        RoleName="trainer",
        PolicyName="data",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    yield created
    iam.delete_role_policy(RoleName="trainer", PolicyName="data")
    iam.delete_role(RoleName="trainer")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry/__init__.py").touch()
    (tmp_path / "entry/train.py").write_text(_SCRIPT)
    return tmp_path


@pytest.fixture
def train(
    aws: Aws, role: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., dict[str, Any]]]:
    for name, value in {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SAGEMAKER_VALIDATE_ROLE": "false",
    }.items():
        monkeypatch.setenv(name, value)
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, SourceCode

    aws.s3.put_object(Bucket=BUCKET, Key="sdk/data/a.csv", Body=b"1\n")

    def run(name: str, environment: dict[str, str] | None = None, hosts: int = 1, **code: str) -> dict[str, Any]:
        trainer = ModelTrainer(
            training_image=IMAGE,
            role=role,
            sagemaker_session=Session(default_bucket=BUCKET),
            base_job_name=name,
            source_code=SourceCode(source_dir=str(source), **code),
            compute=Compute(instance_type="ml.m5.xlarge", instance_count=hosts),
            hyperparameters={"max_depth": 5, "objective": "binary:logistic"},
            environment=environment or {},
        )
        trainer.train(
            input_data_config=[InputData(channel_name="train", data_source=f"s3://{BUCKET}/sdk/data/")], wait=False
        )
        return aws.finish_job(trainer._latest_training_job.training_job_name)

    yield run
    # Here the warning about the SDK's temporary folders is filtered; in a later test it would be an error.
    gc.collect()


def test_a_command_gets_hyperparameters_in_the_environment_only(aws: Aws, train: Callable[..., dict[str, Any]]) -> None:
    job = train("sdk-command", command="exec python3 -m entry.train")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert _seen(aws, job) == [[], {"max_depth": 5, "objective": "binary:logistic"}, ["a.csv"]]


def test_an_entry_script_gets_hyperparameters_as_arguments(aws: Aws, train: Callable[..., dict[str, Any]]) -> None:
    job = train("sdk-script", entry_script="entry/train.py")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    arguments = ["--max_depth", "5", "--objective", "binary:logistic"]
    assert _seen(aws, job)[0] == arguments


def test_a_failed_script_is_reported_with_the_drivers_message(train: Callable[..., dict[str, Any]]) -> None:
    job = train("sdk-fails", {"EXIT": "4"}, entry_script="entry/train.py")
    assert job["TrainingJobStatus"] == "Failed"
    assert "CalledProcessError" in job["FailureReason"]
    assert job["FailureReason"].endswith("exit code: 4")


def test_the_drivers_set_the_hosts_of_a_cluster(aws: Aws, train: Callable[..., dict[str, Any]], source: Path) -> None:
    (source / "hosts.py").write_text(_HOSTS)
    job = train("sdk-hosts", hosts=2, entry_script="hosts.py")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    for host in ("algo-1", "algo-2"):
        lines = aws.log_lines("/aws/sagemaker/TrainingJobs", f"{job['TrainingJobName']}/{host}-")
        assert f'{host} ["algo-1", "algo-2"] algo-1 2' in lines


def _seen(aws: Aws, job: dict[str, Any]) -> Any:
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
    return json.loads(unpack(aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())["seen.json"])
