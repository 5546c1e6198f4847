"""The SageMaker SDK's own ModelTrainer, unchanged, end to end: its drivers, its channels, its hyperparameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import BUCKET, IMAGE, Aws

pytestmark = [
    # The SDK's generated sources hold such literals; Python 3.12 calls the same a SyntaxWarning.
    pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence:SyntaxWarning"),
    # Its ModelTrainer imports its own deprecated shim.
    pytest.mark.filterwarnings(r"ignore:sagemaker\.train\.\w+ has been moved:DeprecationWarning"),
    # It leaves its temporary folder of code to the garbage collector.
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]

_SCRIPT = """
import json, os, sys
open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w").write(
    json.dumps([sys.argv[1:], json.loads(os.environ["SM_HPS"]), os.listdir(os.environ["SM_CHANNEL_TRAIN"])])
)
sys.exit(int(os.environ.get("EXIT", "0")))
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
def train(aws: Aws, role: str, source: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
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

    def run(name: str, environment: dict[str, str] | None = None, **code: str) -> dict[str, Any]:
        trainer = ModelTrainer(
            training_image=IMAGE,
            role=role,
            sagemaker_session=Session(default_bucket=BUCKET),
            base_job_name=name,
            source_code=SourceCode(source_dir=str(source), **code),
            compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
            hyperparameters={"max_depth": 5, "objective": "binary:logistic"},
            environment=environment or {},
        )
        trainer.train(
            input_data_config=[InputData(channel_name="train", data_source=f"s3://{BUCKET}/sdk/data/")], wait=False
        )
        return aws.finish_job(trainer._latest_training_job.training_job_name)

    return run


def test_command_gets_hyperparameters_in_the_environment_only(
    aws: Aws, train: Callable[..., dict[str, Any]], unpack: Callable[[bytes], dict[str, bytes]]
) -> None:
    job = train("sdk-command", command="exec python3 -m entry.train")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert _seen(aws, job, unpack) == [[], {"max_depth": 5, "objective": "binary:logistic"}, ["a.csv"]]


def test_entry_script_gets_hyperparameters_as_arguments(
    aws: Aws, train: Callable[..., dict[str, Any]], unpack: Callable[[bytes], dict[str, bytes]]
) -> None:
    job = train("sdk-script", entry_script="entry/train.py")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    arguments = ["--max_depth", "5", "--objective", "binary:logistic"]
    assert _seen(aws, job, unpack)[0] == arguments


def test_failing_script_is_reported_with_the_drivers_text(train: Callable[..., dict[str, Any]]) -> None:
    job = train("sdk-fails", {"EXIT": "4"}, entry_script="entry/train.py")
    assert job["TrainingJobStatus"] == "Failed"
    assert "CalledProcessError" in job["FailureReason"]
    assert job["FailureReason"].endswith("exit code: 4")


def _seen(aws: Aws, job: dict[str, Any], unpack: Callable[[bytes], dict[str, bytes]]) -> Any:
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
    return json.loads(unpack(aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())["seen.json"])
