"""Runs a batch transform job: starts containers, sends the input objects, writes ``<key>.out`` for each.

An input object with a bad record has no output and fails the job; the other objects are still transformed.
"""

from __future__ import annotations

import dataclasses
import gzip
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from localcloud.aws.account import Account
from localcloud.aws.containers.log_stream import LogStream
from localcloud.aws.s3.transfer import NothingFound, StoredObject, find_objects, split_uri
from localcloud.aws.sagemaker.inference.container import (
    InferenceContainer,
    InvocationBroken,
    InvocationTimeout,
    StartFailure,
)
from localcloud.aws.sagemaker.models import container_definition
from localcloud.aws.sagemaker.timestamps import now
from localcloud.aws.sagemaker.transform.batching import TooLarge, assemble, batches, split
from localcloud.aws.sagemaker.transform.data_processing import FilterFailure
from localcloud.aws.sagemaker.transform.job import TransformJob

_log = logging.getLogger(__name__)

_GROUP = "/aws/sagemaker/TransformJobs"
_TIMEOUT_S = 600.0
_RETRIES = 3
_RETRY_PAUSE_S = 0.2
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
_STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}


class _Failure(Exception):
    """The message is the job's FailureReason."""


class _ObjectFailure(Exception):
    """An object has no output. ``side``: ClientError or AlgorithmError. The message goes to the log."""

    def __init__(self, side: str, text: str, message: str = "") -> None:
        super().__init__(text)
        self.side = side
        self.message = message


def run_job(account: Account, job: TransformJob) -> None:
    """Run the job to its end; never raises."""
    client = job.request.get("ModelClientConfig", {})
    limits = dataclasses.replace(
        account.limits, invocation_s=float(client.get("InvocationsTimeoutInSeconds", _TIMEOUT_S))
    )
    # The job has its own limit for invocations. The copy has clients of its own, closed below.
    own = dataclasses.replace(account, limits=limits)
    try:
        inputs = _inputs(own, job)
        job.begin()
        reason = _run_instances(own, job, inputs)
        if job.stop_requested.is_set():
            job.finish("Stopped")
        else:
            job.finish("Failed" if reason else "Completed", reason)
    except _Failure as failure:
        job.finish("Failed", str(failure))
    except Exception:
        _log.exception("transform job %s", job.name)
        job.finish("Failed", "InternalServerError: We encountered an internal error. Please try again.")
    finally:
        own.close()


def _inputs(account: Account, job: TransformJob) -> list[StoredObject]:
    source = job.request["TransformInput"]["DataSource"]["S3DataSource"]
    try:
        return find_objects(account.s3, source)
    except NothingFound as error:
        raise _Failure(
            f'ClientError: No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. '
            f"Error message from S3: {error}"
        ) from error


def _body(account: Account, bucket: str, key: str) -> bytes:
    body: bytes = account.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def _run_instances(account: Account, job: TransformJob, inputs: list[StoredObject]) -> str | None:
    """Divide the objects, ordered by key, among the instances; the FailureReason of the first that failed, or None."""
    count = min(job.request["TransformResources"]["InstanceCount"], len(inputs))
    ordered = sorted(inputs, key=lambda item: item.key)
    with ThreadPoolExecutor(max(count, 1), thread_name_prefix=f"transform {job.name}") as pool:
        runs = [pool.submit(_Instance(account, job).run, ordered[number::count]) for number in range(count)]
    return next((reason for run in runs if (reason := run.result())), None)


class _Instance:
    """One container with its two log streams: its output, and SageMaker's data log."""

    def __init__(self, account: Account, job: TransformJob) -> None:
        self._account = account
        self._job = job
        self._retries = int(job.request.get("ModelClientConfig", {}).get("InvocationsMaxRetries", _RETRIES))
        instance = uuid.uuid4().hex[:17]
        stream = f"{job.name}/i-{instance}"
        self._output = LogStream(account.logs, _GROUP, stream)
        self._data_log = LogStream(account.logs, _GROUP, f"{stream}/data-log")
        model = job.model
        definition = container_definition(model)
        self._container = InferenceContainer(
            account,
            {**definition, "Environment": {**definition.get("Environment", {}), **self._environment()}},
            account.work_dir / "transform" / f"{job.name}-{instance}",
            self._output,
            isolated=bool(model.get("EnableNetworkIsolation")),
        )
        job.add_container(self._container.kill)

    def run(self, items: list[StoredObject]) -> str | None:
        """Transform the objects; the FailureReason if one of them failed, or None."""
        reason = None
        try:
            self._container.start("transform", self._account.limits.startup_s, self._job.stop_requested)
            self._log_data(
                f"MaxConcurrentTransforms={self._job.concurrency}, MaxPayloadInMB={self._job.payload_mb}, "
                f"BatchStrategy={_STRATEGIES[self._job.strategy]}"
            )
            for item in items:
                if self._job.stop_requested.is_set():
                    break
                reason = self._try(item) or reason
        except StartFailure as error:
            self._log_data(str(error))
            reason = "AlgorithmError: See job logs for more information"
        finally:
            self._container.stop()
            self._output.close()
            self._data_log.close()
        return reason

    def _environment(self) -> dict[str, str]:
        return {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self._job.concurrency),
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self._job.payload_mb),
            "SAGEMAKER_BATCH_STRATEGY": _STRATEGIES[self._job.strategy],
            **self._job.request.get("Environment", {}),
        }

    def _log_data(self, text: str) -> None:
        self._data_log.write(f"{now().isoformat(timespec='milliseconds')[:23]}:[sagemaker logs]: {text}")

    def _try(self, item: StoredObject) -> str | None:
        try:
            self._transform(item)
        except _ObjectFailure as failure:
            name = f"{item.bucket}/{item.key}"
            self._log_data(f"{name}: {failure}")
            for line in ["", "Message:", *failure.message.splitlines()] if failure.message else []:
                self._log_data(f"{name}: {line}")
            return f"{failure.side}: See job logs for more information"
        return None

    def _transform(self, item: StoredObject) -> None:
        request = self._job.request
        try:
            body = _body(self._account, item.bucket, item.key)
            if request["TransformInput"].get("CompressionType") == "Gzip":
                body = gzip.decompress(body)
        except ClientError as error:
            raise _ObjectFailure("ClientError", error.response["Error"]["Message"]) from error
        except (OSError, EOFError) as error:
            raise _ObjectFailure("ClientError", f"The object is not a gzip file: {error}") from error
        records = split(body, request["TransformInput"].get("SplitType", "None"))
        try:
            parts = list(batches(records, self._job.strategy, self._job.payload_mb))
            # `map` keeps the order of the input.
            with ThreadPoolExecutor(self._job.concurrency) as pool:
                answers = list(pool.map(self._answer, parts))
        except (TooLarge, FilterFailure) as error:
            raise _ObjectFailure("ClientError", str(error)) from error
        if self._job.stop_requested.is_set():
            return
        bucket, prefix = split_uri(request["TransformOutput"]["S3OutputPath"])
        key = "/".join(filter(None, (prefix.rstrip("/"), f"{item.path}.out")))
        content = assemble(answers, request["TransformOutput"].get("AssembleWith", "None"))
        self._account.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def _answer(self, records: list[bytes]) -> bytes:
        if self._job.stop_requested.is_set():
            return b""
        processing = self._job.processing
        return processing.output(records, self._invoke(processing.request_body(records)))

    def _invoke(self, body: bytes) -> bytes:
        """Send one request; retry after a 5xx, a timeout or a broken connection as often as the job allows."""
        headers = {
            name: value
            for name, value in (
                ("Content-Type", self._job.request["TransformInput"].get("ContentType")),
                ("Accept", self._job.request["TransformOutput"].get("Accept")),
            )
            if value
        }
        failure = _ObjectFailure("AlgorithmError", "Unable to get response from algorithm")
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(_RETRY_PAUSE_S)
            if self._job.stop_requested.is_set():
                break
            try:
                status, _, data = self._container.invoke(body, headers)
            except (InvocationTimeout, InvocationBroken):
                failure = _ObjectFailure("AlgorithmError", "Unable to get response from algorithm")
                continue
            if status < _FIRST_ERROR:
                return data
            message = data.decode("utf-8", "replace")
            if status < _FIRST_SERVER_ERROR:
                raise _ObjectFailure("ClientError", f"ClientError: {status}", message)
            failure = _ObjectFailure("AlgorithmError", f"Bad HTTP status received from algorithm: {status}", message)
        raise failure
