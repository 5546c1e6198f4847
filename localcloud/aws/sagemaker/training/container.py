"""A host's directory that stands for the container's ``/opt/ml``, and the command that runs in it.

Only one job could own ``/opt/ml`` itself. The path is therefore rewritten in the command, in the environment and in the SDK's
driver scripts. User code that contains the path instead of reading ``SM_*`` fails when it runs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.archives import ArchiveError
from localcloud.aws.account import Account
from localcloud.aws.containers import environment
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.training import script_mode
from localcloud.aws.sagemaker.training.channels import channel_config, fill, host_objects, receives
from localcloud.aws.sagemaker.training.checkpoints import Checkpoints
from localcloud.aws.sagemaker.training.job import TrainingJob
from localcloud.aws.sagemaker.training.resource_config import Host, resource_config

_DRIVERS = "sm_drivers"


class JobFailure(Exception):
    """The job ends as Failed; the message is its FailureReason."""


@dataclass(frozen=True)
class Command:
    """What to run, where, and with which variables. ``scripted``: started in script mode, by the toolkit's rules."""

    line: list[str]
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    scripted: bool = False


class TrainingContainer:
    """The container of one host. ``root`` stands for ``/opt/ml``; ``home`` also holds the files of its environment."""

    def __init__(self, account: Account, job: TrainingJob, host: Host, hosts: Sequence[Host]) -> None:
        self._account = account
        self._job = job
        self.host = host
        self.home = account.work_dir / "training" / job.name / host.name
        self.root = self.home / "ml"
        self.model = self.root / "model"
        self.output_data = self.root / "output/data"
        self.failure_file = self.root / "output/failure"
        self.checkpoints = self._checkpoints()
        self._hosts = hosts
        self._resources = resource_config(hosts, host)
        # Without channels of other instance groups.
        mine = [c for c in job.request.get("InputDataConfig", []) if receives(c, host)]
        self._channels = {channel["ChannelName"]: channel_config(channel) for channel in mine}

    def prepare(self, contents: Mapping[str, list[transfer.StoredObject]]) -> None:
        """Create directories and configuration files, download this host's part of ``contents``, restore checkpoints."""
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
            files["checkpointconfig"] = {**request["CheckpointConfig"], "LocalPath": str(self.checkpoints.folder)}
        for name, content in files.items():
            (config / f"{name}.json").write_text(json.dumps(content))
        for channel in request.get("InputDataConfig", []):
            name = channel["ChannelName"]
            if name in self._channels:
                part = host_objects(contents[name], channel, self._hosts, self.host)
                fill(self._account.s3, part, self.root / "input/data" / name)
        if self.checkpoints:
            self.checkpoints.restore()

    def command(self) -> Command:
        """The command that starts the job; raises :class:`JobFailure` if the request names none."""
        request = self._job.request
        algorithm = request["AlgorithmSpecification"]
        if algorithm.get("ContainerEntrypoint"):
            line = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
            self._rewrite_drivers()
            return Command([environment.rewrite_root(part, self.root) for part in line], self.root)
        if script_mode.is_script_mode(request.get("HyperParameters", {})):
            return self._scripted(script_mode.decoded(request["HyperParameters"]))
        raise JobFailure(
            "ClientError: The local AWS supports no built-in algorithm; give the job an entry script (SourceCode), or the "
            "hyperparameters sagemaker_program and sagemaker_submit_directory."
        )

    def _scripted(self, hyperparameters: dict[str, Any]) -> Command:
        code = self.root / "code"
        source = str(hyperparameters["sagemaker_submit_directory"])
        if source.startswith("s3://"):
            try:
                transfer.download_archive(self._account.s3, source, code)
            except (transfer.NothingFound, ArchiveError) as error:
                raise JobFailure(f"AlgorithmError: framework error: {source}: {error}, exit code: 1") from error
        else:
            code = Path(environment.rewrite_root(source, self.root))
        if not code.is_dir():
            raise JobFailure(f"AlgorithmError: framework error: {source} is not in the container, exit code: 1")
        module = script_mode.module_name(str(hyperparameters["sagemaker_program"]))
        line = [sys.executable, "-m", module, *script_mode.arguments(hyperparameters)]
        variables = script_mode.environment(self.root, hyperparameters, self._resources, self._channels)
        return Command(line, code, variables, scripted=True)

    def _rewrite_drivers(self) -> None:
        for path in (self.root / "input/data" / _DRIVERS).rglob("*"):
            if path.is_file():
                try:
                    text = path.read_text()
                except UnicodeDecodeError:
                    continue
                path.write_text(environment.rewrite_root(text, self.root))

    def _checkpoints(self) -> Checkpoints | None:
        config = self._job.request.get("CheckpointConfig")
        if not config:
            return None
        folder = environment.rewrite_root(config.get("LocalPath", "/opt/ml/checkpoints"), self.root)
        return Checkpoints(self._account.s3, Path(folder), config["S3Uri"])


def job_environment(
    account: Account, job: TrainingJob, container: TrainingContainer, command: Command, peers: Mapping[str, str]
) -> dict[str, str]:
    """The environment of the job's process. ``peers``: addresses of the job's hosts by name."""
    request = job.request
    variables = environment.clean_environment(
        container.home, account.region, hidden_packages=account.hidden_packages, peers=peers
    )
    if not request.get("EnableNetworkIsolation"):
        variables |= environment.aws_access(account.endpoint_url, account.region)
    variables |= {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": job.arn}
    variables |= {
        name: environment.rewrite_root(value, container.root) for name, value in request.get("Environment", {}).items()
    }
    if command.scripted:
        variables["PYTHONPATH"] = f"{command.folder}{os.pathsep}{variables['PYTHONPATH']}"
    return variables | command.variables
