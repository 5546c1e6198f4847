"""A batch transform job from its containers to its last output object, in a thread of its own.

In: a :class:`TransformJob`. Out: ``<key>.out`` for every input object that went through, a log, a status. The surprise: an object
with one bad record has no output, the others still have theirs, and the job is Failed.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import logging
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from localcloud.aws.account import Cloud
from localcloud.aws.containers.log_stream import LogStream
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.inference.container import InvocationBroken, InvocationTimeout, Replica, StartFailure
from localcloud.aws.sagemaker.training.job import now
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


@dataclass(frozen=True)
class _Input:
    """One object: where it is, and its path below the output."""

    bucket: str
    key: str
    relative: str


class _Failure(Exception):
    """The text is the job's FailureReason."""


class _ObjectFailure(Exception):
    """One object has no output. ``side``: whose fault, ClientError or AlgorithmError; the text goes to the log."""

    def __init__(self, side: str, text: str, message: str = "") -> None:
        super().__init__(text)
        self.side = side
        self.message = message


def run_job(cloud: Cloud, job: TransformJob) -> None:
    """Take the job through its life; never raises."""
    client = job.request.get("ModelClientConfig", {})
    limits = dataclasses.replace(
        cloud.limits, invocation_s=float(client.get("InvocationsTimeoutInSeconds", _TIMEOUT_S))
    )
    # The job's own limit for an invocation, and so clients of its own.
    own = dataclasses.replace(cloud, limits=limits)
    try:
        inputs = _inputs(own, job)
        job.begin()
        reason = _run_shares(own, job, inputs)
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


def _inputs(cloud: Cloud, job: TransformJob) -> list[_Input]:
    source = job.request["TransformInput"]["DataSource"]["S3DataSource"]
    uri = source["S3Uri"]
    bucket, prefix = transfer.split_uri(uri)
    try:
        if source["S3DataType"] == "ManifestFile":
            return list(_listed(json.loads(_body(cloud, bucket, prefix))))
        pages = cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", []) if not found["Key"].endswith("/")]
    except ClientError as error:
        raise _nothing(uri, error.response["Error"]["Message"]) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _Failure(f"ClientError: The manifest {uri} is not a JSON array of a prefix and keys below it.") from error
    if not keys:
        raise _nothing(uri, "no object has this prefix")
    return [_Input(bucket, key, transfer.relative_path(key, prefix)) for key in keys]


def _listed(manifest: Any) -> Iterator[_Input]:
    bucket, prefix = transfer.split_uri(manifest[0]["prefix"])
    for relative in manifest[1:]:
        yield _Input(bucket, prefix + relative, relative)


def _nothing(uri: str, error: str) -> _Failure:
    return _Failure(
        f'ClientError: No S3 objects found under S3 URL "{uri}" given in input data source. '
        f"Error message from S3: {error}"
    )


def _body(cloud: Cloud, bucket: str, key: str) -> bytes:
    body: bytes = cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def _run_shares(cloud: Cloud, job: TransformJob, inputs: list[_Input]) -> str | None:
    """Each instance takes its share of the objects by key; the reason of the first that failed."""
    count = min(job.request["TransformResources"]["InstanceCount"], len(inputs))
    ordered = sorted(inputs, key=lambda item: item.key)
    with ThreadPoolExecutor(max(count, 1), thread_name_prefix=f"transform {job.name}") as pool:
        shares = [pool.submit(_Instance(cloud, job).run, ordered[number::count]) for number in range(count)]
    return next((reason for share in shares if (reason := share.result())), None)


class _Instance:
    """One container with its two log streams: its own output, and SageMaker's words about the data."""

    def __init__(self, cloud: Cloud, job: TransformJob) -> None:
        self._cloud = cloud
        self._job = job
        self._retries = int(job.request.get("ModelClientConfig", {}).get("InvocationsMaxRetries", _RETRIES))
        instance = uuid.uuid4().hex[:17]
        stream = f"{job.name}/i-{instance}"
        self._output = LogStream(cloud.logs, _GROUP, stream)
        self._words = LogStream(cloud.logs, _GROUP, f"{stream}/data-log")
        model = job.model
        definition = model.get("PrimaryContainer") or model["Containers"][0]
        self._replica = Replica(
            cloud,
            {**definition, "Environment": {**definition.get("Environment", {}), **self._environment()}},
            cloud.work_dir / "transform" / f"{job.name}-{instance}",
            self._output,
            isolated=bool(model.get("EnableNetworkIsolation")),
        )
        job.watch(self._replica.kill)

    def run(self, share: list[_Input]) -> str | None:
        """Transform the share; the reason of a failure, after all objects had their turn."""
        reason = None
        try:
            self._replica.start("transform", self._cloud.limits.startup_s, self._job.stop_requested)
            self._say(
                f"MaxConcurrentTransforms={self._job.concurrency}, MaxPayloadInMB={self._job.payload_mb}, "
                f"BatchStrategy={_STRATEGIES[self._job.strategy]}"
            )
            for item in share:
                if self._job.stop_requested.is_set():
                    break
                reason = self._try(item) or reason
        except StartFailure as error:
            self._say(str(error))
            reason = "AlgorithmError: See job logs for more information"
        finally:
            self._replica.stop()
            self._output.close()
            self._words.close()
        return reason

    def _environment(self) -> dict[str, str]:
        return {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self._job.concurrency),
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self._job.payload_mb),
            "SAGEMAKER_BATCH_STRATEGY": _STRATEGIES[self._job.strategy],
            **self._job.request.get("Environment", {}),
        }

    def _say(self, text: str) -> None:
        self._words.write(f"{now().isoformat(timespec='milliseconds')[:23]}:[sagemaker logs]: {text}")

    def _try(self, item: _Input) -> str | None:
        try:
            self._transform(item)
        except _ObjectFailure as failure:
            place = f"{item.bucket}/{item.key}"
            self._say(f"{place}: {failure}")
            for line in ["", "Message:", *failure.message.splitlines()] if failure.message else []:
                self._say(f"{place}: {line}")
            return f"{failure.side}: See job logs for more information"
        return None

    def _transform(self, item: _Input) -> None:
        request = self._job.request
        try:
            body = _body(self._cloud, item.bucket, item.key)
            if request["TransformInput"].get("CompressionType") == "Gzip":
                body = gzip.decompress(body)
        except ClientError as error:
            raise _ObjectFailure("ClientError", error.response["Error"]["Message"]) from error
        except (OSError, EOFError) as error:
            raise _ObjectFailure("ClientError", f"The object is not a gzip file: {error}") from error
        records = split(body, request["TransformInput"].get("SplitType", "None"))
        try:
            parts = list(batches(records, self._job.strategy, self._job.payload_mb))
            # Answers come back in the order of the input, however many are in flight.
            with ThreadPoolExecutor(self._job.concurrency) as pool:
                answers = list(pool.map(self._answer, parts))
        except (TooLarge, FilterFailure) as error:
            raise _ObjectFailure("ClientError", str(error)) from error
        if self._job.stop_requested.is_set():
            return
        bucket, prefix = transfer.split_uri(request["TransformOutput"]["S3OutputPath"])
        key = "/".join(filter(None, (prefix.rstrip("/"), f"{item.relative}.out")))
        content = assemble(answers, request["TransformOutput"].get("AssembleWith", "None"))
        self._cloud.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def _answer(self, records: list[bytes]) -> bytes:
        if self._job.stop_requested.is_set():
            return b""
        processing = self._job.processing
        return processing.kept(records, self._invoke(processing.sent(records)))

    def _invoke(self, body: bytes) -> bytes:
        """One request, again after a 5xx, a timeout or a broken connection as often as the job allows."""
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
                status, _, data = self._replica.invoke(body, headers)
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
