"""The hosts of one attempt at a training job: prepared, started, watched, ended.

In: a job whose turn has come. Out: an :class:`Outcome`, with the hosts' directories in place until the next attempt. The
surprise: a job is over when every host has ended well, but one that fails takes the others down at once.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.aws.account import Cloud
from localcloud.aws.containers import processes
from localcloud.aws.containers.log_stream import LogStream
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.training import channels
from localcloud.aws.sagemaker.training.container import Command, JobFailure, Layout, job_environment
from localcloud.aws.sagemaker.training.job import TrainingJob
from localcloud.aws.sagemaker.training.resource_config import hosts_of

_GROUP = "/aws/sagemaker/TrainingJobs"
_POLL_S = 0.05
_KILLED = 128


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: ``ended_by`` is the secondary status of what cut it short, ``failed`` the host that failed."""

    ended_by: str | None = None
    failed: RunningHost | None = None


@dataclass(frozen=True)
class RunningHost:
    """A host's process and what belongs to it."""

    layout: Layout
    command: Command
    process: subprocess.Popen[bytes]
    stream: LogStream
    pump: threading.Thread

    @property
    def exit_code(self) -> int:
        """As a shell reports it: 128 and the number of the signal for a process that was killed."""
        code = self.process.returncode
        return code if code >= 0 else _KILLED - code


class Cluster:
    """One attempt. ``reason_to_end``: asked all the time, the secondary status that ends it, or None to go on."""

    def __init__(self, cloud: Cloud, job: TrainingJob, reason_to_end: Callable[[], str | None]) -> None:
        self._cloud = cloud
        self._job = job
        self._reason_to_end = reason_to_end
        hosts = hosts_of(job.request["ResourceConfig"])
        self.layouts = [Layout(cloud, job, host, hosts) for host in hosts]
        self._peers = {host.name: host.address for host in hosts}
        self._commands: list[Command] = []

    def prepare(self) -> None:
        """Every host's directory; a :class:`JobFailure` if its data or its code are not to be had."""
        contents = {}
        for channel in self._job.request.get("InputDataConfig", []):
            try:
                contents[channel["ChannelName"]] = channels.contents(self._cloud.s3, channel)
            except transfer.NothingFound as error:
                raise self._no_data(channel["DataSource"]["S3DataSource"]["S3Uri"], error) from error
        for layout in self.layouts:
            try:
                layout.prepare(contents)
            except transfer.NothingFound as error:
                raise JobFailure(f"ClientError: Data download failed:{error}") from error
            self._commands.append(layout.command())

    def run(self) -> Outcome:
        """From the start of every host's process to the end of the last one's."""
        running: list[RunningHost] = []
        try:
            for layout, command in zip(self.layouts, self._commands, strict=True):
                running.append(self._start(layout, command))
            return self._watch(running)
        finally:
            for host in running:
                # A failed host takes the others down at once, and what a host left running would keep the pipe open.
                processes.end(host.process, grace_s=0)
                host.pump.join()
                host.stream.close()
            for layout in self.layouts:
                if layout.checkpoints:
                    layout.checkpoints.close()

    def _start(self, layout: Layout, command: Command) -> RunningHost:
        environment = job_environment(self._cloud, self._job, layout, command, self._peers)
        name = f"{self._job.name}/{layout.host.name}-{int(time.time())}"
        stream = LogStream(self._cloud.logs, _GROUP, name, on_line=self._job.measure)
        try:
            process = processes.spawn(command.line, environment=environment, folder=command.folder)
        except FileNotFoundError as error:
            stream.close()
            raise JobFailure(f"AlgorithmError: {error.filename} is not in the container, exit code: 127") from error
        assert process.stdout is not None
        if layout.checkpoints:
            layout.checkpoints.follow(self._cloud.limits.checkpoint_s)
        return RunningHost(layout, command, process, stream, stream.pump(process.stdout))

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
        """SIGTERM to every host, and SIGKILL to those that are still there after the grace."""
        for host in running:
            if host.process.poll() is None:
                host.process.terminate()
        deadline = time.monotonic() + self._cloud.limits.stop_grace_s
        while any(host.process.poll() is None for host in running):
            if time.monotonic() >= deadline or self._job.abandoned.is_set():
                break
            time.sleep(_POLL_S)
        for host in running:
            processes.end(host.process, grace_s=0)

    def _no_data(self, uri: str, error: Exception) -> JobFailure:
        bucket = transfer.split_uri(uri)[0]
        role = self._job.request["RoleArn"]
        return JobFailure(
            f'ClientError: Data download failed:No S3 objects found under S3 URL "{uri}" given in input data source. '
            f"Please ensure that the bucket exists in the selected region ({self._cloud.region}), that objects exist "
            f'under that S3 prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}". '
            f"Error message from S3: {error}"
        )
