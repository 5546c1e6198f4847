"""A training job's directory, laid out as the container's ``/opt/ml``, and the command that runs in it.

In: the request. Out: a :class:`Layout` with data and configuration in place, then a :class:`Command`. The surprise: as
``/opt/ml`` itself can belong to one job only, the path is rewritten in the command, in the environment and in the SDK's
driver scripts; user code that writes it out by hand instead of reading ``SM_*`` is not found out until it runs.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.local.aws import objects, processes, toolkit
from app.local.aws.cloud import Cloud
from app.local.aws.jobs import TrainingJob

_DRIVERS = "sm_drivers"


class JobFailure(Exception):
    """The job ends as Failed; the text is its FailureReason."""


@dataclass(frozen=True)
class Command:
    """What to run, where, and with which further variables. ``scripted``: started as the toolkit starts it."""

    line: list[str]
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    scripted: bool = False


class Layout:
    """``root`` stands for ``/opt/ml``; beside it lie the tools of the job's environment."""

    def __init__(self, cloud: Cloud, job: TrainingJob) -> None:
        self._cloud = cloud
        self._job = job
        self.home = cloud.work_dir / "training" / job.name
        self.root = self.home / "ml"
        self.model = self.root / "model"
        self.output_data = self.root / "output/data"
        self.failure_file = self.root / "output/failure"
        self.checkpoints = self._checkpoint_folder()
        self._resources = _resource_config(job.request["ResourceConfig"])
        self._channels = {c["ChannelName"]: _channel_config(c) for c in job.request.get("InputDataConfig", [])}

    def prepare(self) -> None:
        """Directories, configuration files and the channels' data."""
        config = self.root / "input/config"
        for folder in (config, self.root / "input/data", self.model, self.output_data, self.root / "code"):
            folder.mkdir(parents=True, exist_ok=True)
        request = self._job.request
        files: dict[str, Any] = {
            "hyperparameters": request.get("HyperParameters", {}),
            "inputdataconfig": self._channels,
            "resourceconfig": self._resources,
        }
        if self.checkpoints:
            files["checkpointconfig"] = {**request["CheckpointConfig"], "LocalPath": str(self.checkpoints)}
        for name, content in files.items():
            (config / f"{name}.json").write_text(json.dumps(content))
        for channel in request.get("InputDataConfig", []):
            self._download(channel)
        self._restore_checkpoints()

    def command(self) -> Command:
        """How the job starts; a :class:`JobFailure` where this cannot be told."""
        request = self._job.request
        algorithm = request["AlgorithmSpecification"]
        if algorithm.get("ContainerEntrypoint"):
            line = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
            self._rewrite_drivers()
            return Command([processes.rewrite_root(part, self.root) for part in line], self.root)
        if toolkit.is_script_mode(request.get("HyperParameters", {})):
            return self._scripted(toolkit.decoded(request["HyperParameters"]))
        raise JobFailure(
            "ClientError: The local AWS runs no built-in algorithm; give the job an entry script (SourceCode), or the "
            "hyperparameters sagemaker_program and sagemaker_submit_directory."
        )

    def save_checkpoints(self) -> None:
        """The checkpoint folder back to S3, as SageMaker does while a job runs and when it ends."""
        if self.checkpoints:
            objects.upload_folder(self._cloud.s3, self.checkpoints, self._job.request["CheckpointConfig"]["S3Uri"])

    def _scripted(self, hyperparameters: dict[str, Any]) -> Command:
        code = self.root / "code"
        source = str(hyperparameters["sagemaker_submit_directory"])
        if source.startswith("s3://"):
            try:
                objects.download_archive(self._cloud.s3, source, code)
            except objects.NothingFound as error:
                raise JobFailure(f"AlgorithmError: framework error: {source}: {error}, exit code: 1") from error
        else:
            code = Path(processes.rewrite_root(source, self.root))
        if not code.is_dir():
            raise JobFailure(f"AlgorithmError: framework error: {source} is not in the container, exit code: 1")
        module = toolkit.module_name(str(hyperparameters["sagemaker_program"]))
        line = [sys.executable, "-m", module, *toolkit.arguments(hyperparameters)]
        variables = toolkit.environment(self.root, hyperparameters, self._resources, self._channels)
        return Command(line, code, variables, scripted=True)

    def _download(self, channel: dict[str, Any]) -> None:
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        folder = self.root / "input/data" / channel["ChannelName"]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            objects.download_prefix(self._cloud.s3, uri, folder)
        except objects.NothingFound as error:
            bucket = objects.split_uri(uri)[0]
            role = self._job.request["RoleArn"]
            raise JobFailure(
                f'ClientError: Data download failed:No S3 objects found under S3 URL "{uri}" given in input data '
                f"source. Please ensure that the bucket exists in the selected region ({self._cloud.region}), that "
                f'objects exist under that S3 prefix, and that the role "{role}" has "s3:ListBucket" permissions '
                f'on bucket "{bucket}". Error message from S3: {error}'
            ) from error

    def _rewrite_drivers(self) -> None:
        for path in (self.root / "input/data" / _DRIVERS).rglob("*"):
            if path.is_file():
                try:
                    text = path.read_text()
                except UnicodeDecodeError:
                    continue
                path.write_text(processes.rewrite_root(text, self.root))

    def _checkpoint_folder(self) -> Path | None:
        config = self._job.request.get("CheckpointConfig")
        if not config:
            return None
        return Path(processes.rewrite_root(config.get("LocalPath", "/opt/ml/checkpoints"), self.root))

    def _restore_checkpoints(self) -> None:
        if not self.checkpoints:
            return
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        try:
            uri = self._job.request["CheckpointConfig"]["S3Uri"]
            objects.download_prefix(self._cloud.s3, uri.rstrip("/") + "/", self.checkpoints)
        except objects.NothingFound:
            return  # a first run has no checkpoints


def job_environment(cloud: Cloud, job: TrainingJob, layout: Layout, command: Command) -> dict[str, str]:
    """Everything that the job's process sees of the world."""
    request = job.request
    variables = processes.clean_environment(layout.home, cloud.region)
    if not request.get("EnableNetworkIsolation"):
        variables |= processes.aws_access(cloud.endpoint_url, cloud.region)
    variables |= {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": job.arn}
    variables |= {
        name: processes.rewrite_root(value, layout.root) for name, value in request.get("Environment", {}).items()
    }
    if command.scripted:
        variables["PYTHONPATH"] = f"{command.folder}{os.pathsep}{variables['PYTHONPATH']}"
    return variables | command.variables


def _resource_config(resources: dict[str, Any]) -> dict[str, Any]:
    kind = resources.get("InstanceType", "")
    group = {"instance_group_name": "homogeneousCluster", "instance_type": kind, "hosts": ["algo-1"]}
    return {
        "current_host": "algo-1",
        "current_instance_type": kind,
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


def _channel_config(channel: dict[str, Any]) -> dict[str, Any]:
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return config | ({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {})
