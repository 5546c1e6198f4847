"""The hosts of one attempt at a training job: prepared, started, watched, ended.

The attempt succeeds when every host has ended with code 0. A host that fails ends the others at once.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.aws.account import Account
from localcloud.aws.containers import processes
from localcloud.aws.containers.log_stream import LogStream
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.training import channels
from localcloud.aws.sagemaker.training.container import Command, JobFailure, TrainingContainer, job_environment
from localcloud.aws.sagemaker.training.job import TrainingJob
from localcloud.aws.sagemaker.training.resource_config import cluster_hosts

_GROUP = "/aws/sagemaker/TrainingJobs"
_POLL_S = 0.05
_KILLED = 128


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. ``ended_by``: the secondary status that ended it early. ``failed``: the host that failed."""

    ended_by: str | None = None
    failed: RunningHost | None = None


@dataclass(frozen=True)
class RunningHost:
    """A host's process with its container directory, command and log."""

    container: TrainingContainer
    command: Command
    process: subprocess.Popen[bytes]
    stream: LogStream
    pump: threading.Thread

    @property
    def exit_code(self) -> int:
        """As a shell reports it: 128 plus the signal's number for a process that was killed."""
        code = self.process.returncode
        return code if code >= 0 else _KILLED - code


class Cluster:
    """One attempt. ``reason_to_end``: polled; the secondary status that ends the attempt, or None to continue."""

    def __init__(self, account: Account, job: TrainingJob, reason_to_end: Callable[[], str | None]) -> None:
        self._account = account
        self._job = job
        self._reason_to_end = reason_to_end
        hosts = cluster_hosts(job.request["ResourceConfig"])
        self.containers = [TrainingContainer(account, job, host, hosts) for host in hosts]
        self._peers = {host.name: host.address for host in hosts}
        self._commands: list[Command] = []

    def prepare(self) -> None:
        """Prepare the directory of every host; raises :class:`JobFailure` if data or code cannot be downloaded."""
        contents = {}
        for channel in self._job.request.get("InputDataConfig", []):
            try:
                contents[channel["ChannelName"]] = channels.contents(self._account.s3, channel)
            except transfer.NothingFound as error:
                raise self._no_data(channel["DataSource"]["S3DataSource"]["S3Uri"], error) from error
        for container in self.containers:
            try:
                container.prepare(contents)
            except transfer.NothingFound as error:
                raise JobFailure(f"ClientError: Data download failed:{error}") from error
            self._commands.append(container.command())

    def run(self) -> Outcome:
        """Start the process of every host and wait for the end of all."""
        running: list[RunningHost] = []
        try:
            for container, command in zip(self.containers, self._commands, strict=True):
                running.append(self._start(container, command))
            return self._watch(running)
        finally:
            for host in running:
                # No grace: after a failure the other hosts end at once. Child processes left running would keep the pipe open.
                processes.end(host.process, grace_s=0)
                host.pump.join()
                host.stream.close()
            for container in self.containers:
                if container.checkpoints:
                    container.checkpoints.close()

    def _start(self, container: TrainingContainer, command: Command) -> RunningHost:
        environment = job_environment(self._account, self._job, container, command, self._peers)
        name = f"{self._job.name}/{container.host.name}-{int(time.time())}"
        stream = LogStream(self._account.logs, _GROUP, name, on_line=self._job.measure)
        try:
            process = processes.spawn(command.line, environment=environment, folder=command.folder)
        except FileNotFoundError as error:
            stream.close()
            raise JobFailure(f"AlgorithmError: {error.filename} is not in the container, exit code: 127") from error
        assert process.stdout is not None
        if container.checkpoints:
            container.checkpoints.follow(self._account.limits.checkpoint_s)
        return RunningHost(container, command, process, stream, stream.pump(process.stdout))

    def _watch(self, running: list[RunningHost]) -> Outcome:
        while True:
            codes = [host.process.poll() for host in running]
            failed = [host for host, code in zip(running, codes, strict=True) if code]
            if failed:
                return Outcome(failed=failed[0])
            if None not in codes:
                return Outcome()
            if self._job.kill_requested.is_set():
                self._job.kill_requested.clear()
                processes.kill(running[0].process)
            ended_by = self._reason_to_end()
            if ended_by:
                self._stop(running)
                return Outcome(ended_by)
            time.sleep(_POLL_S)

    def _stop(self, running: list[RunningHost]) -> None:
        """Send SIGTERM to every host, and SIGKILL after the grace period."""
        for host in running:
            if host.process.poll() is None:
                host.process.terminate()
        deadline = self._account.clock() + self._account.limits.stop_grace_s
        while any(host.process.poll() is None for host in running):
            if self._account.clock() >= deadline or self._job.abandoned.is_set():
                break
            time.sleep(_POLL_S)
        for host in running:
            processes.end(host.process, grace_s=0)

    def _no_data(self, uri: str, error: Exception) -> JobFailure:
        bucket = transfer.split_uri(uri)[0]
        role = self._job.request["RoleArn"]
        return JobFailure(
            f'ClientError: Data download failed:No S3 objects found under S3 URL "{uri}" given in input data source. '
            f"Please ensure that the bucket exists in the selected region ({self._account.region}), that objects exist "
            f'under that S3 prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}". '
            f"Error message from S3: {error}"
        )
