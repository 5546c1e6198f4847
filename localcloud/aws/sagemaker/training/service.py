"""Training operations: CreateTrainingJob and its family, over jobs that really run (``job_run``).

In: validated requests. Out: AWS's answers. The surprise: at most two jobs run at once, the others wait in Starting, so
that a tuning round does not bring a laptop to its knees.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

from localcloud.aws.account import Cloud
from localcloud.aws.http.protocol import AwsError, Handler, Params, ValidationException, unsupported
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.training.channels import refuse_unsupported as refuse_channels
from localcloud.aws.sagemaker.training.job import TrainingJob
from localcloud.aws.sagemaker.training.runner import run_job
from localcloud.errors import CallerError

_AT_ONCE = 2


class Training:
    """The account's training jobs."""

    def __init__(self, cloud: Cloud, tags: Tags) -> None:
        self._cloud = cloud
        self._tags = tags
        self._jobs: dict[str, TrainingJob] = {}
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="training")

    def operations(self) -> dict[str, Handler]:
        """Operation to handler."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
        }

    def create(self, params: Params) -> Params:
        """Accept the job; it runs from now on."""
        return {"TrainingJobArn": self.launch(params).arn}

    def launch(self, params: Params, tuning_arn: str | None = None) -> TrainingJob:
        """The new job, under way; ``tuning_arn`` where a tuning job starts it."""
        refuse_unsupported(params)
        name = params["TrainingJobName"]
        job = TrainingJob(params, self._cloud.arn("training-job", name), tuning_arn)
        with self._guard:
            if name in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Training job names must be unique within an AWS account and region, and a training job with "
                    f"this name already exists ({job.arn})",
                )
            self._jobs[name] = job
        self._tags.keep(job.arn, job.tags)
        job.future = self._pool.submit(run_job, self._cloud, job)
        return job

    def describe(self, params: Params) -> Params:
        """The job as it stands."""
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
        """SIGTERM now, SIGKILL after the grace; a job that has not begun just ends."""
        job = self._find(params)
        if job.status == "Stopping":
            return
        if job.status != "InProgress":
            raise ValidationException(f"The request was rejected because the training job is in status {job.status}.")
        self.stop_job(job)

    def stop_job(self, job: TrainingJob) -> None:
        """Begin to stop it, or end it at once if its turn has not come; nothing happens to one that is over."""
        job.ask_to_stop()
        if job.future is not None and job.future.cancel():
            job.finish("Stopped")

    def interrupt(self, name: str, capacity_after_s: float) -> None:
        """Reclaim the spot instances of a job in Training; :class:`CallerError` where there are none."""
        job = self._jobs.get(name)
        if job is None:
            raise CallerError(f"There is no training job {name}.")
        job.interrupt(capacity_after_s)

    def kill(self, name: str) -> None:
        """End a job's process as a crash would, now or as soon as it has started; no job of that name is no error."""
        job = self._jobs.get(name)
        if job is not None:
            job.kill_requested.set()

    def close(self) -> None:
        """End every job's processes and wait for its thread."""
        for job in self._jobs.values():
            job.abandoned.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _find(self, params: Params) -> TrainingJob:
        job = self._jobs.get(params["TrainingJobName"])
        if job is None:
            raise ValidationException("Requested resource not found.")
        return job


def refuse_unsupported(params: Params) -> None:
    """Raise for a request that AWS would refuse, or that the local AWS cannot serve."""
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
    refuse_channels(params.get("InputDataConfig", []), mode)


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
