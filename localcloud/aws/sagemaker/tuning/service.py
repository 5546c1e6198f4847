"""Hyperparameter tuning operations. The training jobs that a tuning job launches run as processes.

At most two training jobs run at once in the account. With a larger ``MaxParallelTrainingJobs``, jobs wait in Starting.
"""

from __future__ import annotations

import threading

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import AwsError, Handler, Params, ValidationException, unsupported
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.training.service import Training, check_request
from localcloud.aws.sagemaker.tuning.definitions import Definition, read_definitions
from localcloud.aws.sagemaker.tuning.job import TuningJob
from localcloud.aws.sagemaker.tuning.runner import run_tuning


class Tuning:
    """The account's tuning jobs."""

    def __init__(self, account: Account, training: Training, tags: Tags) -> None:
        self._account = account
        self._training = training
        self._tags = tags
        self._jobs: dict[str, TuningJob] = {}
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()

    def operations(self) -> dict[str, Handler]:
        """Handlers by operation."""
        return {
            "CreateHyperParameterTuningJob": self.create,
            "DescribeHyperParameterTuningJob": lambda params: self._find(params).describe(),
            "ListHyperParameterTuningJobs": self.list_tuning_jobs,
            "ListTrainingJobsForHyperParameterTuningJob": self.list_training_jobs,
            "StopHyperParameterTuningJob": self.stop,
            "DeleteHyperParameterTuningJob": self.delete,
        }

    def create(self, params: Params) -> Params:
        """Start a tuning job."""
        definitions = read_definitions(params)
        for definition in definitions:
            check_request(definition.training_request("checked", {}, []))
        name = params["HyperParameterTuningJobName"]
        arn = self._account.arn("hyper-parameter-tuning-job", name)
        job = TuningJob(params, arn, definitions, self._parents(params, definitions))
        with self._guard:
            # AWS compares names without case.
            if name.lower() in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Hyperparameter tuning job names must be unique within an AWS account and region, and a "
                    f"hyperparameter tuning job with this name already exists ({arn})",
                )
            self._jobs[name.lower()] = job
        self._tags.set(arn, params.get("Tags", []))
        thread = threading.Thread(target=run_tuning, args=(self._training, job), name=f"tuning {name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return {"HyperParameterTuningJobArn": arn}

    def list_tuning_jobs(self, params: Params) -> Params:
        """Summaries, filtered and paged, by default in the order of their names."""
        return paging.page(
            [job.summary() for job in list(self._jobs.values())],
            {"SortBy": "Name", **params},
            name="HyperParameterTuningJobName",
            status="HyperParameterTuningJobStatus",
            key="HyperParameterTuningJobSummaries",
            order="Ascending",
        )

    def list_training_jobs(self, params: Params) -> Params:
        """The launched jobs, by default in the order of their names. Sorted by metric, only those that have one."""
        lines = [child.summary() for child in list(self._find(params).children)]
        final = "FinalHyperParameterTuningJobObjectiveMetric"
        if params.get("SortBy") == "FinalObjectiveMetricValue":
            lines = [line for line in lines if final in line]
        return paging.page(
            lines,
            {"SortBy": "Name", **params},
            name="TrainingJobName",
            status="TrainingJobStatus",
            key="TrainingJobSummaries",
            order="Ascending",
            sort_keys={"FinalObjectiveMetricValue": lambda line: line[final]["Value"]},
        )

    def stop(self, params: Params) -> None:
        """Stop the running training jobs and launch no more."""
        job = self._find(params)
        if job.status == "Stopping":
            return
        if job.status != "InProgress":
            raise ValidationException(
                f"The request was rejected because the hyperparameter tuning job is in status {job.status}."
            )
        job.ask_to_stop()

    def delete(self, params: Params) -> None:
        """Delete a tuning job that has ended; its training jobs stay."""
        job = self._jobs.get(params["HyperParameterTuningJobName"].lower())
        if job is None:
            return
        if job.status in ("InProgress", "Stopping"):
            raise ValidationException(f"The hyperparameter tuning job is in status {job.status} and cannot be deleted.")
        del self._jobs[job.name.lower()]
        self._tags.remove(job.arn)

    def close(self) -> None:
        """Launch no more jobs. The training service ends those that run."""
        for job in list(self._jobs.values()):
            job.abandoned.set()
        for thread in self._threads:
            thread.join()

    def _find(self, params: Params) -> TuningJob:
        job = self._jobs.get(params["HyperParameterTuningJobName"].lower())
        if job is None:
            raise AwsError("ResourceNotFound", "Requested resource not found.")
        return job

    def _parents(self, params: Params, definitions: list[Definition]) -> list[TuningJob]:
        warm = params.get("WarmStartConfig")
        if not warm:
            return []
        if warm["WarmStartType"] != "IdenticalDataAndAlgorithm":
            raise unsupported(f"the warm start {warm['WarmStartType']}; use IdenticalDataAndAlgorithm")
        if len(definitions) > 1:
            raise ValidationException("A warm start is possible with one training job definition only.")
        parents = [self._find(parent) for parent in warm["ParentHyperParameterTuningJobs"]]
        for parent in parents:
            _check_parent(parent, definitions[0])
        return parents


def _check_parent(parent: TuningJob, definition: Definition) -> None:
    if parent.status in ("InProgress", "Stopping"):
        raise ValidationException(f"The parent tuning job {parent.name} has not ended; it is {parent.status}.")
    other = parent.definitions[0]
    if other.objective != definition.objective:
        raise ValidationException(f"The objective metric differs from that of the parent tuning job {parent.name}.")
    if _hyperparameters(other) != _hyperparameters(definition):
        raise ValidationException(
            f"Static and tunable hyperparameters together must be those of the parent tuning job {parent.name}."
        )


def _hyperparameters(definition: Definition) -> set[str]:
    return {item.name for item in definition.space.ranges} | set(definition.request["StaticHyperParameters"])
