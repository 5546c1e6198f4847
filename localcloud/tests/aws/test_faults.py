"""Fault rules, as boto3 sees them: errors in each protocol, retries, lost and damaged responses."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import typer
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    FlexibleChecksumError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from typer.testing import CliRunner

from localcloud.aws.http.faults import FaultMiddleware
from localcloud.errors import CallerError
from localcloud.faults.commands import faults as commands
from localcloud.faults.control import HEADER, PATH, control_file, control_text
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
    """Clients with botocore's default retries."""
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
def test_errors_are_in_the_form_of_each_protocol(
    aws: Aws, faults: FaultPlan, operation: str, kind: Kind, call: Callable[[Aws], Any], code: str | None, status: int
) -> None:
    faults.add(Fault(operation, kind, count=1))
    with pytest.raises(ClientError) as raised:
        call(aws)
    assert raised.value.response["Error"]["Code"] == (code or "ThrottlingException")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert [item.kind for item in faults.fired] == [kind]


def test_botocore_retries_throttling_and_dropped_connections(faults: FaultPlan, retrying: Callable[[str], Any]) -> None:
    s3 = retrying("s3")
    faults.add(Fault("s3:PutObject", Kind.THROTTLE, count=1))
    faults.add(Fault("s3:PutObject", Kind.DROP, count=1))
    answer = s3.put_object(Bucket=BUCKET, Key="retried", Body=b"x")
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert s3.get_object(Bucket=BUCKET, Key="retried")["Body"].read() == b"x"


def test_a_request_with_a_lost_response_is_processed_and_a_dropped_one_is_not(aws: Aws, faults: FaultPlan) -> None:
    faults.add(Fault("s3:PutObject", Kind.DROP, resource=f"{BUCKET}/dropped"))
    faults.add(Fault("s3:PutObject", Kind.LOSE, resource=f"{BUCKET}/lost"))
    for key in ("dropped", "lost"):
        with pytest.raises(ConnectionClosedError):
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    faults.clear()
    found = aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="dropped")["KeyCount"]
    assert (found, aws.s3.get_object(Bucket=BUCKET, Key="lost")["Body"].read()) == (0, b"x")


def test_damaged_responses_are_detected_by_boto3(aws: Aws, faults: FaultPlan) -> None:
    body = bytes(1000)
    aws.s3.put_object(Bucket=BUCKET, Key="whole", Body=body, ChecksumAlgorithm="CRC32")
    faults.add(Fault("s3:GetObject", Kind.CORRUPT, count=1, seed=7))
    with pytest.raises(FlexibleChecksumError):
        aws.s3.get_object(Bucket=BUCKET, Key="whole")["Body"].read()
    faults.add(Fault("s3:GetObject", Kind.TRUNCATE, count=1))
    with pytest.raises(ResponseStreamingError):
        aws.s3.get_object(Bucket=BUCKET, Key="whole")["Body"].read()
    assert aws.s3.get_object(Bucket=BUCKET, Key="whole")["Body"].read() == body


def test_a_delay_causes_the_clients_timeout(faults: FaultPlan, retrying: Callable[..., Any]) -> None:
    faults.add(Fault("sagemaker:ListModels", Kind.SLOW, seconds=3, count=1))
    with pytest.raises(ReadTimeoutError):
        retrying("sagemaker", attempts=1, read_timeout_s=0.2).list_models()


def test_skip_count_and_resource_limit_a_rule(aws: Aws, faults: FaultPlan) -> None:
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


def test_a_seed_repeats_the_draws(aws: Aws) -> None:
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
def test_s3_operations_are_distinguished(
    aws: Aws, faults: FaultPlan, call: Callable[[Any], Any], operation: str
) -> None:
    faults.add(Fault("*", Kind.ERROR, count=1))
    with pytest.raises(ClientError):
        call(aws.s3)
    assert [item.operation for item in faults.fired] == [operation]


def test_a_killed_endpoint_fails_the_invocation_and_restarts(aws: Aws, faults: FaultPlan) -> None:
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


def test_a_killed_training_job_fails_with_the_exit_code_of_sigkill(aws: Aws, faults: FaultPlan) -> None:
    faults.add(Fault("sagemaker:CreateTrainingJob", Kind.KILL, resource="victim", count=1))
    aws.start_job("victim", "import time; time.sleep(3000)")
    found = aws.finish_job("victim")
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"].endswith("exit code: 137")


def test_requests_of_the_local_cloud_to_itself_meet_no_faults(aws: Aws, faults: FaultPlan) -> None:
    aws.start_job("undisturbed", "print('works')", OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"})
    faults.add(Fault("s3:*", Kind.ERROR))
    faults.add(Fault("logs:*", Kind.ERROR))
    assert aws.finish_job("undisturbed")["TrainingJobStatus"] == "Completed"
    assert not faults.fired


def test_invalid_rules_are_rejected() -> None:
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
    """The commands, mounted as ``program faults``, against the server under test."""
    control_file(tmp_path).write_text(control_text(aws.url, CONTROL))
    program = typer.Typer()
    program.add_typer(commands, name="faults")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(
            program, ["faults", *arguments, "--state", str(tmp_path)], prog_name="program", env={"COLUMNS": "200"}
        )

    return run


def test_the_commands_add_list_and_clear_rules(aws: Aws, command: Callable[..., Any]) -> None:
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
    assert command("list").output == "no faults are set; see `program faults add --help`\n"


def test_the_commands_report_mistakes(command: Callable[..., Any], tmp_path: Path) -> None:
    refused = command("add", "s3:PutObject", "slow")
    assert isinstance(refused.exception, CallerError)
    assert "seconds" in str(refused.exception)
    control_file(tmp_path).unlink()
    assert str(command("list").exception) == f"no local cloud is running in {tmp_path}; start one with `program up`"


def test_the_help_names_the_program(command: Callable[..., Any]) -> None:
    assert "program faults add s3:PutObject throttle --next 2" in command("add", "--help").output


def test_the_control_route_needs_the_token(aws: Aws) -> None:
    answer = httpx.get(aws.url + PATH, headers={HEADER: "guess"}, timeout=LIMIT_S)
    assert answer.status_code != 200
    assert "rules" not in answer.text
    refused = httpx.post(
        aws.url + PATH, headers={HEADER: CONTROL}, json={"operation": "x", "kind": "y"}, timeout=LIMIT_S
    )
    assert refused.status_code == 400


def test_an_interruption_calls_the_jobs_runner() -> None:
    plan, interrupted = FaultPlan(), list[Target]()
    plan.add(Fault("sagemaker:DescribeTrainingJob", Kind.INTERRUPT, resource="spot", skip=1, count=1))
    middleware = FaultMiddleware(lambda _environ, _start: [b"described"], plan, {Kind.INTERRUPT: interrupted.append})
    for _ in range(3):
        environ = {
            "HTTP_X_AMZ_TARGET": "SageMaker.DescribeTrainingJob",
            "HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/sagemaker/aws4_request",
            "wsgi.input": io.BytesIO(b'{"TrainingJobName": "spot"}'),
        }
        assert list(middleware(environ, lambda *_: None)) == [b"described"]
    assert [target.resources for target in interrupted] == [("spot",)]
