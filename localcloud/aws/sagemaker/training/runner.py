"""A training job from Starting to its end, in a thread of its own: download, run, upload, and again after a spot loss.

In: a :class:`TrainingJob`. Out: its statuses, its log, ``model.tar.gz`` and ``output.tar.gz`` on S3. The surprise: a
stopped job still uploads what ``/opt/ml/model`` holds, a failed one does not, as at AWS; one that spot instances were
taken from keeps nothing but its checkpoints.
"""

from __future__ import annotations

import logging
import shutil
import time

from localcloud.aws.account import Cloud
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.training import script_mode
from localcloud.aws.sagemaker.training.cluster import Cluster, RunningHost
from localcloud.aws.sagemaker.training.container import JobFailure
from localcloud.aws.sagemaker.training.job import TrainingJob

_log = logging.getLogger(__name__)

IMAGE = "sagemaker-xgboost:"
_POLL_S = 0.05


def run_job(cloud: Cloud, job: TrainingJob) -> None:
    """Take the job through its life; never raises."""
    run = _Run(cloud, job)
    try:
        run.to_the_end()
    except JobFailure as failure:
        job.finish("Failed", reason=str(failure))
    except Exception:
        _log.exception("training job %s", job.name)
        job.finish("Failed", reason="InternalServerError: We encountered an internal error. Please try again.")
    finally:
        run.clean()


class _Run:
    """The job's attempts, and the times that count over all of them, in seconds."""

    def __init__(self, cloud: Cloud, job: TrainingJob) -> None:
        self._cloud = cloud
        self._job = job
        self._began = time.monotonic()
        self._attempt_began = 0.0
        self._trained_s = 0.0

    def to_the_end(self) -> None:
        """One attempt, or as many as there are interruptions and one."""
        image = self._job.request["AlgorithmSpecification"].get("TrainingImage", "")
        if IMAGE not in image:
            raise JobFailure(
                f"ClientError: The local AWS stands for SageMaker's XGBoost images only ({IMAGE}...), not for {image!r}."
            )
        while self._attempt():
            self.clean()
            self._job.enter("Interrupted")
            self._job.enter("Starting")
            ended_by = self._wait_for_capacity()
            if ended_by:
                self._job.begin_stopping()
                self._job.finish("Stopped", ended_by)
                return

    def clean(self) -> None:
        """Remove the hosts' directories."""
        shutil.rmtree(self._cloud.work_dir / "training" / self._job.name, ignore_errors=True)

    def _attempt(self) -> bool:
        """Whether it was interrupted; otherwise the job is over."""
        job = self._job
        job.enter("Downloading")
        cluster = Cluster(self._cloud, job, self._reason_to_end)
        cluster.prepare()
        if job.stop_requested.is_set():
            job.finish("Stopped")
            return False
        job.interrupted.clear()
        self._attempt_began = time.monotonic()
        job.enter("Training")
        outcome = cluster.run()
        self._trained_s += time.monotonic() - self._attempt_began
        if outcome.ended_by == "Interrupted":
            return True
        if job.abandoned.is_set():
            job.finish("Stopped")
            return False
        if outcome.failed:
            self._upload_output(cluster)
            raise JobFailure(_failure_reason(outcome.failed))
        self._finish(cluster, outcome.ended_by)
        return False

    def _finish(self, cluster: Cluster, ended_by: str | None) -> None:
        job = self._job
        job.enter("Uploading")
        self._upload_output(cluster)
        uri = self._output_uri("model.tar.gz")
        transfer.upload_archive(self._cloud.s3, [layout.model for layout in cluster.layouts], uri)
        job.keep_artifact(uri)
        stopped = ended_by or ("Stopped" if job.stop_requested.is_set() else None)
        job.finish("Stopped" if stopped else "Completed", stopped)

    def _reason_to_end(self) -> str | None:
        """The secondary status of what ends the job now, once it has been told so."""
        job = self._job
        if job.abandoned.is_set() or job.stop_requested.is_set():
            return "Stopped"
        if job.interrupted.is_set():
            return "Interrupted"
        moment = time.monotonic()
        reason = None
        if self._trained_s + moment - self._attempt_began >= job.max_runtime_s:
            reason = "MaxRuntimeExceeded"
        elif moment - self._began >= job.max_wait_s:
            reason = "MaxWaitTimeExceeded"
        if reason:
            job.begin_stopping()
        return reason

    def _wait_for_capacity(self) -> str | None:
        """Until there are spot instances again, or the secondary status of what ended the job before."""
        job = self._job
        back = time.monotonic() + job.capacity_after_s
        while time.monotonic() < back:
            if job.abandoned.is_set() or job.stop_requested.is_set():
                return "Stopped"
            if time.monotonic() - self._began >= job.max_wait_s:
                return "MaxWaitTimeExceeded"
            time.sleep(_POLL_S)
        return None

    def _output_uri(self, name: str) -> str:
        return f"{self._job.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self._job.name}/output/{name}"

    def _upload_output(self, cluster: Cluster) -> None:
        folders = [layout.output_data for layout in cluster.layouts]
        if any(any(folder.iterdir()) for folder in folders):
            transfer.upload_archive(self._cloud.s3, folders, self._output_uri("output.tar.gz"))


def _failure_reason(host: RunningHost) -> str:
    if host.command.scripted:
        return f"AlgorithmError: {script_mode.failure_text(host.command.line)}, exit code: 1"
    text = ""
    if host.layout.failure_file.is_file():
        text = host.layout.failure_file.read_text(errors="replace").strip()
    suffix = f", exit code: {host.exit_code}"
    # SageMaker gives the first 1,024 characters in all; the code is what a reader looks for at the end.
    return f"AlgorithmError: {text}"[: 1024 - len(suffix)] + suffix
