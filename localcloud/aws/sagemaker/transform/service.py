"""Batch transform operations: CreateTransformJob and its family. The jobs run real containers (``runner``).

One job runs at a time, because each starts as many containers as it has instances; the others wait InProgress.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import AwsError, Handler, Params, ValidationException, unsupported
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.models import Models
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.transform.data_processing import JSON, JSON_LINES
from localcloud.aws.sagemaker.transform.job import PAYLOAD_MB, TransformJob
from localcloud.aws.sagemaker.transform.runner import run_job

_CONCURRENCY = 1
# The API reference's limit for MaxConcurrentTransforms * MaxPayloadInMB.
_PAYLOADS_MB = 100


class Transform:
    """The account's transform jobs."""

    def __init__(self, account: Account, models: Models, tags: Tags) -> None:
        self._account = account
        self._models = models
        self._tags = tags
        self._jobs: dict[str, TransformJob] = {}
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="transform")

    def operations(self) -> dict[str, Handler]:
        """Handlers by operation."""
        return {
            "CreateTransformJob": self.create,
            "DescribeTransformJob": lambda params: self._find(params).describe(),
            "ListTransformJobs": self.list,
            "StopTransformJob": self.stop,
        }

    def create(self, params: Params) -> Params:
        """Start a job."""
        name = params["TransformJobName"]
        model = self._models.find(params["ModelName"])
        _check_request(params)
        job = TransformJob(params, self._account.arn("transform-job", name), model)
        with self._guard:
            if name in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a job with this name already exists "
                    f"({self._jobs[name].arn})",
                )
            self._jobs[name] = job
        self._tags.set(job.arn, params.get("Tags", []))
        job.future = self._pool.submit(run_job, self._account, job)
        return {"TransformJobArn": job.arn}

    def list(self, params: Params) -> Params:
        """Summaries, filtered and paged."""
        return paging.page(
            (job.summary() for job in list(self._jobs.values())),
            params,
            name="TransformJobName",
            status="TransformJobStatus",
            key="TransformJobSummaries",
        )

    def stop(self, params: Params) -> None:
        """Stop a job; finished output objects stay on S3."""
        job = self._find(params)
        if job.status == "Stopping":
            return
        if job.status != "InProgress":
            raise ValidationException(f"The request was rejected because the transform job is in status {job.status}.")
        job.ask_to_stop()
        if job.future is not None and job.future.cancel():
            job.finish("Stopped")

    def close(self) -> None:
        """End all jobs and wait for their threads."""
        for job in list(self._jobs.values()):
            job.ask_to_stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _find(self, params: Params) -> TransformJob:
        job = self._jobs.get(params["TransformJobName"])
        if job is None:
            raise ValidationException("Requested resource not found.")
        return job


def _check_request(params: Params) -> None:
    source = params["TransformInput"]["DataSource"]["S3DataSource"]["S3DataType"]
    if source not in ("S3Prefix", "ManifestFile"):
        raise unsupported(f"S3DataType {source} of a transform job; use S3Prefix or ManifestFile")
    split_type = params["TransformInput"].get("SplitType", "None")
    if split_type not in ("None", "Line"):
        raise unsupported(f"SplitType {split_type}; use None or Line")
    if "DataCaptureConfig" in params:
        raise unsupported("data capture of a transform job (DataCaptureConfig)")
    payloads = (params.get("MaxConcurrentTransforms") or 1) * params.get("MaxPayloadInMB", PAYLOAD_MB)
    if payloads > _PAYLOADS_MB:
        raise ValidationException(
            "The value of MaxConcurrentTransforms * MaxPayloadInMB must not exceed "
            f"{_PAYLOADS_MB} MB, but it is {payloads} MB."
        )
    _check_lines(params, split_type)


def _check_lines(params: Params, split_type: str) -> None:
    """DataProcessing works on records: lines of CSV or JSON Lines, or a JSON document as a whole."""
    processing = {key: value for key, value in params.get("DataProcessing", {}).items() if value not in ("$", "None")}
    content_type = params["TransformInput"].get("ContentType", "").partition(";")[0].strip().lower()
    assemble_with = params["TransformOutput"].get("AssembleWith", "None")
    if not processing or (content_type == JSON and split_type == "None"):
        return
    if split_type != "Line" or (processing.keys() != {"InputFilter"} and assemble_with != "Line"):
        raise ValidationException("DataProcessing of lines needs SplitType Line and AssembleWith Line.")
    if content_type == JSON:
        raise ValidationException(f"DataProcessing of JSON documents, one a line, needs the content type {JSON_LINES}.")
