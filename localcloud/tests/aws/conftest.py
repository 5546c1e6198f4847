"""One local AWS for the tests of this folder, and the steps that they share."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localcloud.aws.account import Limits
from localcloud.aws.server import AwsServer
from localcloud.faults.rules import FaultPlan
from localcloud.tests.surface import SEEN
from localcloud.tests.waiting import LIMIT_S, wait_for

BUCKET = "local-aws-tests"
CONTROL = "control-token"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
# Installed, and needed by no job.
HIDDEN_PACKAGE = "typer"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"


class Clock:
    """The monotonic clock, plus what a test advances it by."""

    def __init__(self) -> None:
        self._advanced_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._advanced_s

    def advance(self, seconds: float) -> None:
        self._advanced_s += seconds


@dataclass(frozen=True)
class Aws:
    """Clients of the server under test, and the first steps of most tests."""

    url: str
    client: Callable[[str], Any]
    server: AwsServer
    faults: FaultPlan = field(default_factory=FaultPlan)
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=lambda: Clock())

    @property
    def s3(self) -> Any:
        return self.client("s3")

    @property
    def sagemaker(self) -> Any:
        return self.client("sagemaker")

    @property
    def runtime(self) -> Any:
        return self.client("sagemaker-runtime")

    def put_archive(self, key: str, files: dict[str, str]) -> str:
        """Put ``files`` on S3 as a model.tar.gz; returns its URI."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=packed.getvalue())
        return f"s3://{BUCKET}/{key}"

    def start_job(self, name: str, script: str, **changes: Any) -> None:
        """Start a training job that runs ``script`` from its code channel."""
        self.s3.put_object(Bucket=BUCKET, Key=f"{name}/code/main.py", Body=script.encode())
        request: dict[str, Any] = {
            "TrainingJobName": name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["/bin/bash"],
                "ContainerArguments": ["-c", "exec python3 /opt/ml/input/data/code/main.py"],
            },
            "InputDataConfig": [channel("code", f"s3://{BUCKET}/{name}/code/")],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        }
        self.sagemaker.create_training_job(**(request | changes))

    def finish_job(self, name: str) -> dict[str, Any]:
        """The job's description once it has ended."""
        return wait_for(
            lambda: self.sagemaker.describe_training_job(TrainingJobName=name),
            lambda job: job["TrainingJobStatus"] not in ("InProgress", "Stopping"),
        )

    def wait_secondary(self, name: str, status: str) -> None:
        wait_for(
            lambda: self.sagemaker.describe_training_job(TrainingJobName=name),
            lambda job: job["SecondaryStatus"] == status,
        )

    def configure(self, name: str, module: str, **environment: str) -> str:
        """Create a model of one inference module, and an endpoint configuration of the same name."""
        uri = self.put_archive(f"{name}/model.tar.gz", {"weights.txt": name, "code/serve.py": module})
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": uri,
                "Environment": {
                    "SAGEMAKER_PROGRAM": "serve.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
                    **environment,
                },
            },
        )
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("AllTraffic", name)])
        return name

    def settle(self, endpoint: str) -> dict[str, Any]:
        """The endpoint's description once it is neither Creating nor Updating."""
        return wait_for(
            lambda: self.sagemaker.describe_endpoint(EndpointName=endpoint),
            lambda found: found["EndpointStatus"] not in ("Creating", "Updating"),
        )

    def deploy(self, name: str, module: str, **environment: str) -> dict[str, Any]:
        self.configure(name, module, **environment)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return self.settle(name)

    def log_lines(self, group: str, stream_prefix: str) -> list[str]:
        """The messages of a group's streams; none if the group does not exist yet."""
        logs = self.client("logs")
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream_prefix)["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]


def channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def variant(name: str, model: str, weight: float = 1.0) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": weight,
    }


@pytest.fixture(scope="package")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running_aws(tmp_path_factory.mktemp("aws"), hidden_packages=(HIDDEN_PACKAGE,)) as found:
        yield found


@contextmanager
def running_aws(work_dir: Path, hidden_packages: Sequence[str]) -> Iterator[Aws]:
    """A local AWS with the bucket of the tests."""
    clock = Clock()
    limits = Limits(startup_s=LIMIT_S, invocation_s=LIMIT_S, checkpoint_s=0.2, capture_s=0.1)
    server = AwsServer(
        work_dir=work_dir,
        limits=limits,
        control_token=CONTROL,
        hidden_packages=hidden_packages,
        clock=clock,
    )
    server.start()
    clients: dict[str, Any] = {}

    def saw(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        SEEN.call(model.service_model.service_name, model.name, parsed)

    def client(service: str) -> Any:
        if service not in clients:
            clients[service] = boto3.client(
                service,  # type: ignore[call-overload]  # the stubs list every service by name
                endpoint_url=server.endpoint_url,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}),
            )
            clients[service].meta.events.register("after-call", saw)
        return clients[service]

    found = Aws(server.endpoint_url, client, server, server.faults, limits, clock)
    found.s3.create_bucket(Bucket=BUCKET)
    yield found
    for open_client in clients.values():
        open_client.close()
    server.stop()


def unpack(packed: bytes) -> dict[str, bytes]:
    """The files of a .tar.gz."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        return {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive.getmembers()
            if member.isfile()
        }
