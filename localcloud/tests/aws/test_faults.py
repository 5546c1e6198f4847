"""Faults on request, as boto3 meets them: each protocol's own errors, real retries, and what a broken answer looks like."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    FlexibleChecksumError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from typer.testing import CliRunner

from app.__main__ import cli
from localcloud.aws.http.faults import FaultDoor
from localcloud.errors import CallerError
from localcloud.faults.control import PATH, control_file, control_text
from localcloud.faults.rules import Fault, FaultPlan, Kind, Target
from localcloud.tests.waiting import LIMIT_S, wait_for

from .conftest import BUCKET, CONTROL, Aws

ENDING = """
import os
def model_fn(model_dir):
    return None
def transform_fn(model, data, content_type, accept):
    return str(os.getpid()), "text/plain"
"""


@pytest.fixture
def faults(aws: Aws) -> Iterator[FaultPlan]:
    aws.faults.clear()
    yield aws.faults
    aws.faults.clear()


@pytest.fixture
def retrying(aws: Aws) -> Iterator[Callable[[str], Any]]:
    """Clients as applications make them, with botocore's own retries."""
    opened = []

    def client(service: str, attempts: int = 4, read_timeout_s: float = 30) -> Any:
        made = boto3.client(
            service,  # type: ignore[call-overload]  # the stubs list every service by name
            endpoint_url=aws.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=read_timeout_s),
        )
        opened.append(made)
        return made

    yield client
    for made in opened:
        made.close()


@pytest.mark.parametrize(
    ("operation", "kind", "call", "code", "status"),
    [
        ("s3:PutObject", Kind.THROTTLE, lambda aws: aws.s3.put_object(Bucket=BUCKET, Key="k"), "SlowDown", 503),
        ("s3:ListBuckets", Kind.ERROR, lambda aws: aws.s3.list_buckets(), "InternalError", 500),
        ("s3:HeadObject", Kind.THROTTLE, lambda aws: aws.s3.head_object(Bucket=BUCKET, Key="k"), "503", 503),
        ("sagemaker:List*", Kind.THROTTLE, lambda aws: aws.sagemaker.list_models(), "ThrottlingException", 400),
        ("sagemaker:ListModels", Kind.ERROR, lambda aws: aws.sagemaker.list_models(), "InternalFailure", 500),
        ("iam:ListRoles", Kind.THROTTLE, lambda aws: aws.client("iam").list_roles(), "Throttling", 400),
        ("sts:*", Kind.ERROR, lambda aws: aws.client("sts").get_caller_identity(), "InternalFailure", 500),
        ("logs:DescribeLogGroups", Kind.THROTTLE, lambda aws: aws.client("logs").describe_log_groups(), None, 400),
        (
            "sagemaker-runtime:InvokeEndpoint",
            Kind.ERROR,
            lambda aws: aws.runtime.invoke_endpoint(EndpointName="none", Body=b""),
            "ServiceUnavailable",
            503,
        ),
        (
            "sagemaker-runtime:*",
            Kind.THROTTLE,
            lambda aws: aws.runtime.invoke_endpoint(EndpointName="none", Body=b""),
            "ThrottlingException",
            400,
        ),
    ],
)
def test_each_protocols_own_error(
    aws: Aws, faults: FaultPlan, operation: str, kind: Kind, call: Callable[[Aws], Any], code: str | None, status: int
) -> None:
    faults.add(Fault(operation, kind, count=1))
    with pytest.raises(ClientError) as raised:
        call(aws)
    assert raised.value.response["Error"]["Code"] == (code or "ThrottlingException")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert [item.kind for item in faults.fired] == [kind]


def test_botocore_retries_as_it_does_at_aws(faults: FaultPlan, retrying: Callable[[str], Any]) -> None:
    s3 = retrying("s3")
    faults.add(Fault("s3:PutObject", Kind.THROTTLE, count=1))
    faults.add(Fault("s3:PutObject", Kind.DROP, count=1))
    answer = s3.put_object(Bucket=BUCKET, Key="retried", Body=b"x")
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert s3.get_object(Bucket=BUCKET, Key="retried")["Body"].read() == b"x"


def test_a_lost_answer_leaves_the_work_done_and_a_dropped_request_does_not(aws: Aws, faults: FaultPlan) -> None:
    faults.add(Fault("s3:PutObject", Kind.DROP, resource=f"{BUCKET}/dropped"))
    faults.add(Fault("s3:PutObject", Kind.LOSE, resource=f"{BUCKET}/lost"))
    for key in ("dropped", "lost"):
        with pytest.raises(ConnectionClosedError):
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    faults.clear()
    found = aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="dropped")["KeyCount"]
    assert (found, aws.s3.get_object(Bucket=BUCKET, Key="lost")["Body"].read()) == (0, b"x")


def test_wrong_bytes(aws: Aws, faults: FaultPlan) -> None:
    body = bytes(1000)
    aws.s3.put_object(Bucket=BUCKET, Key="whole", Body=body, ChecksumAlgorithm="CRC32")
    faults.add(Fault("s3:GetObject", Kind.CORRUPT, count=1, seed=7))
    with pytest.raises(FlexibleChecksumError):
        aws.s3.get_object(Bucket=BUCKET, Key="whole")["Body"].read()
    faults.add(Fault("s3:GetObject", Kind.TRUNCATE, count=1))
    with pytest.raises(ResponseStreamingError):
        aws.s3.get_object(Bucket=BUCKET, Key="whole")["Body"].read()
    assert aws.s3.get_object(Bucket=BUCKET, Key="whole")["Body"].read() == body


def test_slow_meets_the_clients_own_timeout(faults: FaultPlan, retrying: Callable[..., Any]) -> None:
    faults.add(Fault("sagemaker:ListModels", Kind.SLOW, seconds=0.6, count=1))
    with pytest.raises(ReadTimeoutError):
        retrying("sagemaker", attempts=1, read_timeout_s=0.2).list_models()


def test_skip_count_and_resource(aws: Aws, faults: FaultPlan) -> None:
    rule = faults.add(Fault("s3:GetObject", Kind.ERROR, resource=BUCKET, skip=1, count=2))
    aws.s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    seen = []
    for _ in range(5):
        try:
            aws.s3.get_object(Bucket=BUCKET, Key="k")["Body"].read()
            seen.append("good")
        except ClientError as error:
            seen.append(error.response["Error"]["Code"])
    assert seen == ["good", "InternalError", "InternalError", "good", "good"]
    assert faults.describe()["rules"][0] | {"rule": rule, "fired": 2} == faults.describe()["rules"][0]
    assert faults.clear(rule) == 1
    assert not faults.active


def test_the_same_seed_draws_the_same(aws: Aws) -> None:
    def draw(seed: int) -> list[bool]:
        plan = FaultPlan()
        plan.add(Fault("s3:*", Kind.ERROR, rate=0.3, seed=seed))
        return [plan.decide(Target(("s3:GetObject",))) is not None for _ in range(200)]

    assert draw(1) == draw(1) != draw(2)
    assert 30 < sum(draw(1)) < 90


@pytest.mark.parametrize(
    ("call", "operation"),
    [
        (lambda s3: s3.list_objects_v2(Bucket=BUCKET), "s3:ListObjectsV2"),
        (lambda s3: s3.list_objects(Bucket=BUCKET), "s3:ListObjects"),
        (lambda s3: s3.copy_object(Bucket=BUCKET, Key="c", CopySource=f"{BUCKET}/k"), "s3:CopyObject"),
        (lambda s3: s3.create_multipart_upload(Bucket=BUCKET, Key="m"), "s3:CreateMultipartUpload"),
        (
            lambda s3: s3.upload_part(Bucket=BUCKET, Key="m", UploadId="u", PartNumber=1, Body=b"x"),
            "s3:UploadPart",
        ),
        (lambda s3: s3.delete_object(Bucket=BUCKET, Key="k"), "s3:DeleteObject"),
        (lambda s3: s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}]}), "s3:DeleteObjects"),
        (lambda s3: s3.head_bucket(Bucket=BUCKET), "s3:HeadBucket"),
        (lambda s3: s3.get_bucket_policy(Bucket=BUCKET), "s3:GetBucketPolicy"),
        (lambda s3: s3.get_object_tagging(Bucket=BUCKET, Key="k"), "s3:GetObjectTagging"),
    ],
)
def test_s3_operations_are_told_apart(aws: Aws, faults: FaultPlan, call: Callable[[Any], Any], operation: str) -> None:
    faults.add(Fault("*", Kind.ERROR, count=1))
    with pytest.raises(ClientError):
        call(aws.s3)
    assert [item.operation for item in faults.fired] == [operation]


def test_a_killed_endpoint_fails_the_call_and_comes_back(aws: Aws, faults: FaultPlan) -> None:
    aws.deploy("killed", ENDING)

    def process() -> str:
        return str(aws.runtime.invoke_endpoint(EndpointName="killed", Body=b"x")["Body"].read())

    before = process()
    faults.add(Fault("sagemaker-runtime:InvokeEndpoint", Kind.KILL, resource="killed", count=1))
    with pytest.raises(ClientError) as raised:
        process()
    assert raised.value.response["Error"]["Code"] == "ModelError"

    def answering() -> str | None:
        try:
            return process()
        except ClientError:
            return None

    assert wait_for(answering, lambda found: found is not None) != before
    aws.sagemaker.delete_endpoint(EndpointName="killed")


def test_a_killed_training_job_fails_with_the_signals_code(aws: Aws, faults: FaultPlan) -> None:
    faults.add(Fault("sagemaker:CreateTrainingJob", Kind.KILL, resource="victim", count=1))
    aws.start_job("victim", "import time; time.sleep(3000)")
    found = aws.finish_job("victim")
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"].endswith("exit code: 137")


def test_the_clouds_own_requests_pass(aws: Aws, faults: FaultPlan) -> None:
    aws.start_job("undisturbed", "print('works')", OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"})
    faults.add(Fault("s3:*", Kind.ERROR))
    faults.add(Fault("logs:*", Kind.ERROR))
    assert aws.finish_job("undisturbed")["TrainingJobStatus"] == "Completed"
    assert not faults.fired


def test_rules_that_make_no_sense_are_refused() -> None:
    for values in (
        {"operation": "PutObject", "kind": Kind.ERROR},
        {"operation": "s3:PutObject", "kind": Kind.SLOW},
        {"operation": "s3:PutObject", "kind": Kind.ERROR, "rate": 0.0},
        {"operation": "s3:PutObject", "kind": Kind.ERROR, "count": 0},
        {"operation": "s3:PutObject", "kind": Kind.KILL},
        {"operation": "s3:PutObject", "kind": Kind.EXPIRE},
    ):
        with pytest.raises(CallerError):
            Fault(**values)  # type: ignore[arg-type]


@pytest.fixture
def command(aws: Aws, faults: FaultPlan, tmp_path: Path) -> Callable[..., Any]:
    """``snowsage local faults`` against the server under test."""
    control_file(tmp_path).write_text(control_text(aws.url, CONTROL))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["local", "faults", *arguments, "--state", str(tmp_path)])

    return run


def test_the_command_line_sets_lists_and_clears(aws: Aws, command: Callable[..., Any]) -> None:
    added = command("add", "s3:ListBuckets", "throttle", "--next", "1", "--skip", "1", "--json")
    rule = json.loads(added.output)["rule"]
    aws.s3.list_buckets()
    with pytest.raises(ClientError):
        aws.s3.list_buckets()
    found = json.loads(command("list", "--json").output)
    assert [(item["rule"], item["matched"], item["fired"]) for item in found["rules"]] == [(rule, 2, 1)]
    assert [sorted(item) for item in found["fired"]] == [["at", "kind", "operation", "rule"]]
    shown = command("list").output
    assert f"rule {rule}: s3:ListBuckets throttle, next 1, after 1 (matched 2, fired 1)" in shown
    assert command("clear").output == "1 removed\n"
    assert "no faults are set" in command("list").output


def test_the_command_line_refuses_in_a_sentence(command: Callable[..., Any], tmp_path: Path) -> None:
    refused = command("add", "s3:PutObject", "slow")
    assert isinstance(refused.exception, CallerError)
    assert "seconds" in str(refused.exception)
    control_file(tmp_path).unlink()
    assert "no local cloud is running" in str(command("list").exception)


def test_the_control_route_is_hidden_without_its_token(aws: Aws) -> None:
    answer = httpx.get(aws.url + PATH, headers={"X-Snowsage-Control": "guess"}, timeout=LIMIT_S)
    assert answer.status_code != 200
    assert "rules" not in answer.text
    refused = httpx.post(
        aws.url + PATH, headers={"X-Snowsage-Control": CONTROL}, json={"operation": "x", "kind": "y"}, timeout=LIMIT_S
    )
    assert refused.status_code == 400


def test_an_interruption_reaches_what_runs_the_job() -> None:
    plan, interrupted = FaultPlan(), list[Target]()
    plan.add(Fault("sagemaker:DescribeTrainingJob", Kind.INTERRUPT, resource="spot", skip=1, count=1))
    door = FaultDoor(lambda _environ, _start: [b"described"], plan, {Kind.INTERRUPT: interrupted.append})
    for _ in range(3):
        environ = {
            "HTTP_X_AMZ_TARGET": "SageMaker.DescribeTrainingJob",
            "HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/sagemaker/aws4_request",
            "wsgi.input": io.BytesIO(b'{"TrainingJobName": "spot"}'),
        }
        assert list(door(environ, lambda *_: None)) == [b"described"]
    assert [target.resources for target in interrupted] == [("spot",)]
