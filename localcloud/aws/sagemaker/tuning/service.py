"""Hyperparameter tuning operations over training jobs that really run.

In: validated requests. Out: AWS's answers. The surprise: at most two training jobs run at once in the whole account, so
``MaxParallelTrainingJobs`` above that makes jobs wait in Starting.
"""

from __future__ import annotations

import threading

from localcloud.aws.account import Cloud
from localcloud.aws.http.protocol import AwsError, Handler, Params, ValidationException, unsupported
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.training.service import Training, refuse_unsupported
from localcloud.aws.sagemaker.tuning.definitions import Definition, read_definitions
from localcloud.aws.sagemaker.tuning.job import TuningJob
from localcloud.aws.sagemaker.tuning.runner import run_tuning


class Tuning:
    """The account's tuning jobs."""

    def __init__(self, cloud: Cloud, training: Training, tags: Tags) -> None:
        self._cloud = cloud
        self._training = training
        self._tags = tags
        self._jobs: dict[str, TuningJob] = {}
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()

    def operations(self) -> dict[str, Handler]:
        """Operation to handler."""
        return {
            "CreateHyperParameterTuningJob": self.create,
            "DescribeHyperParameterTuningJob": lambda params: self._find(params).describe(),
            "ListHyperParameterTuningJobs": self.list_tuning_jobs,
            "ListTrainingJobsForHyperParameterTuningJob": self.list_training_jobs,
            "StopHyperParameterTuningJob": self.stop,
            "DeleteHyperParameterTuningJob": self.delete,
        }

    def create(self, params: Params) -> Params:
        """Accept the job; it launches training jobs from now on."""
        definitions = read_definitions(params)
        for definition in definitions:
            refuse_unsupported(definition.training_request("checked", {}, []))
        name = params["HyperParameterTuningJobName"]
        arn = self._cloud.arn("hyper-parameter-tuning-job", name)
        job = TuningJob(params, arn, definitions, self._parents(params, definitions))
        with self._guard:
            # AWS takes names that differ in case only for the same.
            if name.lower() in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Hyperparameter tuning job names must be unique within an AWS account and region, and a "
                    f"hyperparameter tuning job with this name already exists ({arn})",
                )
            self._jobs[name.lower()] = job
        self._tags.keep(arn, params.get("Tags", []))
        thread = threading.Thread(target=run_tuning, args=(self._training, job), name=f"tuning {name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return {"HyperParameterTuningJobArn": arn}

    def list_tuning_jobs(self, params: Params) -> Params:
        """Summaries, filtered and paged; by name unless told otherwise."""
        return paging.page(
            [job.summary() for job in list(self._jobs.values())],
            {"SortBy": "Name", **params},
            name="HyperParameterTuningJobName",
            status="HyperParameterTuningJobStatus",
            key="HyperParameterTuningJobSummaries",
            order="Ascending",
        )

    def list_training_jobs(self, params: Params) -> Params:
        """The launched jobs, by name unless told otherwise; sorted by their metric, only those that have one."""
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
            further={"FinalObjectiveMetricValue": lambda line: line[final]["Value"]},
        )

    def stop(self, params: Params) -> None:
        """Stop the training jobs in hand and launch no more."""
        job = self._find(params)
        if job.status == "Stopping":
            return
        if job.status != "InProgress":
            raise ValidationException(
                f"The request was rejected because the hyperparameter tuning job is in status {job.status}."
            )
        job.ask_to_stop()

    def delete(self, params: Params) -> None:
        """Forget a tuning job that is over; its training jobs stay."""
        job = self._jobs.get(params["HyperParameterTuningJobName"].lower())
        if job is None:
            return
        if job.status in ("InProgress", "Stopping"):
            raise ValidationException(f"The hyperparameter tuning job is in status {job.status} and cannot be deleted.")
        del self._jobs[job.name.lower()]
        self._tags.forget(job.arn)

    def close(self) -> None:
        """Launch nothing more; the training jobs in hand are ended by their own service."""
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
        raise ValidationException(f"The parent tuning job {parent.name} is not over; it is {parent.status}.")
    theirs = parent.definitions[0]
    if theirs.objective != definition.objective:
        raise ValidationException(f"The objective metric differs from that of the parent tuning job {parent.name}.")
    if _hyperparameters(theirs) != _hyperparameters(definition):
        raise ValidationException(
            f"Static and tunable hyperparameters together must be those of the parent tuning job {parent.name}."
        )


def _hyperparameters(definition: Definition) -> set[str]:
    return {item.name for item in definition.space.ranges} | set(definition.request["StaticHyperParameters"])
