"""Training operations: CreateTrainingJob and its family. The jobs run as processes (``runner``).

At most two jobs run at once; the others wait in Starting, so that a tuning job does not overload the machine.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import AwsError, Handler, Params, ValidationException, unsupported
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.quotas import SPOT, TRAINING, check_quota
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.training.channels import check_channels
from localcloud.aws.sagemaker.training.job import TrainingJob
from localcloud.aws.sagemaker.training.resource_config import instance_counts
from localcloud.aws.sagemaker.training.runner import run_job
from localcloud.errors import CallerError

_CONCURRENCY = 2


class Training:
    """The account's training jobs."""

    def __init__(self, account: Account, tags: Tags) -> None:
        self._account = account
        self._tags = tags
        self._jobs: dict[str, TrainingJob] = {}
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="training")

    def operations(self) -> dict[str, Handler]:
        """Handlers by operation."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
        }

    def create(self, params: Params) -> Params:
        """Start a job."""
        return {"TrainingJobArn": self.launch(params).arn}

    def launch(self, params: Params, tuning_arn: str | None = None) -> TrainingJob:
        """Start a job and return it. ``tuning_arn``: the tuning job that launches it."""
        check_request(params)
        check_quota(
            instance_counts(params["ResourceConfig"]), SPOT if params.get("EnableManagedSpotTraining") else TRAINING
        )
        name = params["TrainingJobName"]
        job = TrainingJob(params, self._account.arn("training-job", name), tuning_arn)
        with self._guard:
            if name in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Training job names must be unique within an AWS account and region, and a training job with "
                    f"this name already exists ({job.arn})",
                )
            self._jobs[name] = job
        self._tags.set(job.arn, job.tags)
        job.future = self._pool.submit(run_job, self._account, job)
        return job

    def describe(self, params: Params) -> Params:
        """The job's present state."""
        return self._find(params).describe()

    def list(self, params: Params) -> Params:
        """Summaries, filtered and paged."""
        return paging.page(
            (job.summary() for job in list(self._jobs.values())),
            params,
            name="TrainingJobName",
            status="TrainingJobStatus",
            key="TrainingJobSummaries",
        )

    def stop(self, params: Params) -> None:
        """Stop a job: SIGTERM, and SIGKILL after the grace period. A job that has not begun ends at once."""
        job = self._find(params)
        if job.status == "Stopping":
            return
        if job.status != "InProgress":
            raise ValidationException(f"The request was rejected because the training job is in status {job.status}.")
        self.stop_job(job)

    def stop_job(self, job: TrainingJob) -> None:
        """Begin to stop the job, or end it if it is still queued. No effect on a job that has ended."""
        job.ask_to_stop()
        if job.future is not None and job.future.cancel():
            job.finish("Stopped")

    def interrupt(self, name: str, capacity_after_s: float) -> None:
        """Reclaim the spot instances of a job in Training; raises :class:`CallerError` for any other job."""
        job = self._jobs.get(name)
        if job is None:
            raise CallerError(f"There is no training job {name}.")
        job.interrupt(capacity_after_s)

    def kill(self, name: str) -> None:
        """End a job's process as a crash would, now or once it has started. An unknown job is ignored."""
        job = self._jobs.get(name)
        if job is not None:
            job.kill_requested.set()

    def close(self) -> None:
        """End all processes and wait for the threads of their jobs."""
        for job in self._jobs.values():
            job.abandoned.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _find(self, params: Params) -> TrainingJob:
        job = self._jobs.get(params["TrainingJobName"])
        if job is None:
            raise ValidationException("Requested resource not found.")
        return job


def check_request(params: Params) -> None:
    """Raise :class:`AwsError` for a request that AWS rejects or that the local AWS does not support."""
    algorithm = params.get("AlgorithmSpecification", {})
    if not algorithm.get("TrainingImage"):
        raise unsupported("AlgorithmName; name a training image")
    if "OutputDataConfig" not in params or "ResourceConfig" not in params:
        raise ValidationException("OutputDataConfig and ResourceConfig are required.")
    if params["OutputDataConfig"].get("CompressionType", "GZIP") != "GZIP":
        raise unsupported("uncompressed model artefacts (OutputDataConfig.CompressionType NONE)")
    _check_resources(params["ResourceConfig"])
    _check_spot(params)
    for definition in algorithm.get("MetricDefinitions", []):
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            raise ValidationException(f"Invalid metric regex for {definition['Name']}: {error}") from error
    mode = algorithm.get("TrainingInputMode", "File")
    if mode == "Pipe":
        raise unsupported("Pipe mode, which the XGBoost container lacks too; use File or FastFile")
    check_channels(params.get("InputDataConfig", []), mode)


def _check_resources(resources: Params) -> None:
    if resources.get("InstanceGroups"):
        if "InstanceType" in resources or "InstanceCount" in resources:
            raise ValidationException("InstanceGroups cannot be given together with InstanceType and InstanceCount.")
    elif resources.get("InstanceCount", 1) < 1:
        raise ValidationException("InstanceCount must be at least 1.")
    if "InstancePreferences" in resources:
        raise unsupported("a choice of instance types (ResourceConfig.InstancePreferences)")


def _check_spot(params: Params) -> None:
    condition = params.get("StoppingCondition", {})
    if not params.get("EnableManagedSpotTraining"):
        return
    if condition.get("MaxWaitTimeInSeconds", -1) < condition.get("MaxRuntimeInSeconds", 0):
        raise ValidationException(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds."
        )
