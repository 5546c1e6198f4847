"""Runs a training job from Starting to its end: download, run, upload, and again after a spot interruption.

As on AWS, a stopped job uploads the content of ``/opt/ml/model``, a failed job does not, and an interrupted job keeps its
checkpoints only.
"""

from __future__ import annotations

import logging
import shutil
import time

from localcloud.aws.account import Account
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.images import XGBOOST
from localcloud.aws.sagemaker.training import script_mode
from localcloud.aws.sagemaker.training.cluster import Cluster, RunningHost
from localcloud.aws.sagemaker.training.container import JobFailure
from localcloud.aws.sagemaker.training.job import TrainingJob

_log = logging.getLogger(__name__)

_POLL_S = 0.05


def run_job(account: Account, job: TrainingJob) -> None:
    """Run the job to its end; never raises."""
    run = _Run(account, job)
    try:
        run.run()
    except JobFailure as failure:
        job.finish("Failed", reason=str(failure))
    except Exception:
        _log.exception("training job %s", job.name)
        job.finish("Failed", reason="InternalServerError: We encountered an internal error. Please try again.")
    finally:
        run.clean()


class _Run:
    """The job's attempts, with the times that its limits count over all of them, in seconds."""

    def __init__(self, account: Account, job: TrainingJob) -> None:
        self._account = account
        self._job = job
        self._began = self._account.clock()
        self._attempt_began = 0.0
        self._trained_s = 0.0

    def run(self) -> None:
        """Make one attempt, and one more after every interruption."""
        image = self._job.request["AlgorithmSpecification"].get("TrainingImage", "")
        if XGBOOST not in image:
            raise JobFailure(
                f"ClientError: The local AWS supports SageMaker's XGBoost images only ({XGBOOST}...), not {image!r}."
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
        """Remove the directories of the hosts."""
        shutil.rmtree(self._account.work_dir / "training" / self._job.name, ignore_errors=True)

    def _attempt(self) -> bool:
        """Make one attempt; True if it was interrupted, False if the job has ended."""
        job = self._job
        job.enter("Downloading")
        cluster = Cluster(self._account, job, self._reason_to_end)
        cluster.prepare()
        if job.stop_requested.is_set():
            job.finish("Stopped")
            return False
        job.interrupted.clear()
        self._attempt_began = self._account.clock()
        job.enter("Training")
        outcome = cluster.run()
        self._trained_s += self._account.clock() - self._attempt_began
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
        transfer.upload_archive(self._account.s3, [container.model for container in cluster.containers], uri)
        job.keep_artifact(uri)
        stopped = ended_by or ("Stopped" if job.stop_requested.is_set() else None)
        job.finish("Stopped" if stopped else "Completed", stopped)

    def _reason_to_end(self) -> str | None:
        """The secondary status that ends the attempt now, or None."""
        job = self._job
        if job.abandoned.is_set() or job.stop_requested.is_set():
            return "Stopped"
        if job.interrupted.is_set():
            return "Interrupted"
        moment = self._account.clock()
        reason = None
        if self._trained_s + moment - self._attempt_began >= job.max_runtime_s:
            reason = "MaxRuntimeExceeded"
        elif moment - self._began >= job.max_wait_s:
            reason = "MaxWaitTimeExceeded"
        if reason:
            job.begin_stopping()
        return reason

    def _wait_for_capacity(self) -> str | None:
        """Wait for spot instances; the secondary status if the job ends before, else None."""
        job = self._job
        back = self._account.clock() + job.capacity_after_s
        while self._account.clock() < back:
            if job.abandoned.is_set() or job.stop_requested.is_set():
                return "Stopped"
            if self._account.clock() - self._began >= job.max_wait_s:
                return "MaxWaitTimeExceeded"
            time.sleep(_POLL_S)
        return None

    def _output_uri(self, name: str) -> str:
        return f"{self._job.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self._job.name}/output/{name}"

    def _upload_output(self, cluster: Cluster) -> None:
        folders = [container.output_data for container in cluster.containers]
        if any(any(folder.iterdir()) for folder in folders):
            transfer.upload_archive(self._account.s3, folders, self._output_uri("output.tar.gz"))


def _failure_reason(host: RunningHost) -> str:
    if host.command.scripted:
        return f"AlgorithmError: {script_mode.failure_text(host.command.line)}, exit code: 1"
    text = ""
    if host.container.failure_file.is_file():
        text = host.container.failure_file.read_text(errors="replace").strip()
    suffix = f", exit code: {host.exit_code}"
    # SageMaker shows the first 1,024 characters; the exit code is kept at the end.
    return f"AlgorithmError: {text}"[: 1024 - len(suffix)] + suffix
