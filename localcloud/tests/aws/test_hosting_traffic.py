"""Endpoints: shadow variants, data capture, asynchronous invocations, network isolation, updates under traffic."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.aws.conftest import BUCKET, Aws, variant
from localcloud.tests.waiting import wait_for

ECHO = """
import os

def model_fn(folder):
    return open(os.path.join(folder, "weights.txt")).read()

def input_fn(body, content_type):
    return body

def predict_fn(body, model):
    data = body if isinstance(body, bytes) else body.encode()
    if data == b"fail":
        raise ValueError("no")
    return model.encode() + b":" + data

def output_fn(answer, accept):
    return answer, "application/octet-stream"
"""
PHONE_HOME = """
import socket, urllib.request

def model_fn(folder):
    return None

def input_fn(body, content_type):
    return body

def predict_fn(body, model):
    try:
        socket.create_connection(("127.0.0.1", int(body)), 2).close()
        return "reached"
    except OSError as error:
        return f"{type(error).__name__}: {error}"

def output_fn(answer, accept):
    return answer
"""


def serve(aws: Aws, name: str, module: str = ECHO, isolated: bool = False, **config: Any) -> None:
    """Deploy an endpoint of one variant, with ``config`` added to its configuration."""
    aws.configure(name, module)
    if isolated:
        model = aws.sagemaker.describe_model(ModelName=name)
        aws.sagemaker.delete_model(ModelName=name)
        aws.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=model["ExecutionRoleArn"],
            PrimaryContainer=model["PrimaryContainer"],
            EnableNetworkIsolation=True,
        )
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName=f"{name}-more", ProductionVariants=[variant("AllTraffic", name)], **config
    )
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-more")
    assert aws.settle(name)["EndpointStatus"] == "InService"


def invoke(aws: Aws, name: str, body: bytes, **options: Any) -> bytes:
    answer = aws.runtime.invoke_endpoint(
        EndpointName=name, Body=body, ContentType="application/octet-stream", **options
    )
    found: bytes = answer["Body"].read()
    return found


def stored(aws: Aws, prefix: str, count: int) -> dict[str, bytes]:
    """The objects under a prefix, once there are ``count`` of them."""

    def look() -> list[str]:
        return [item["Key"] for item in aws.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    keys = wait_for(look, lambda found: len(found) >= count)
    return {key: aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def capture(percentage: int = 100, modes: tuple[str, ...] = ("Input", "Output"), **more: Any) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "CaptureOptions": [{"CaptureMode": mode} for mode in modes],
        **more,
    }


def lines(objects: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for data in objects.values() for line in data.decode().splitlines()]


def test_captured_invocations_are_json_lines_on_s3(aws: Aws) -> None:
    serve(aws, "captured", DataCaptureConfig=capture())
    shown = aws.sagemaker.describe_endpoint(EndpointName="captured")["DataCaptureConfig"]
    assert (shown["EnableCapture"], shown["CaptureStatus"], shown["CurrentSamplingPercentage"]) == (
        True,
        "Started",
        100,
    )
    invoke(aws, "captured", b"\x00one", InferenceId="key-1")
    with pytest.raises(ClientError):
        invoke(aws, "captured", b"fail")
    found = stored(aws, "captured/captured/AllTraffic/", 1)
    assert all(key.endswith(".jsonl") and len(key.split("/")) == 8 for key in found)
    (record,) = lines(found)
    assert record["eventVersion"] == "0"
    assert record["eventMetadata"]["inferenceId"] == "key-1"
    request, answer = (record["captureData"][side] for side in ("endpointInput", "endpointOutput"))
    assert (request["mode"], request["encoding"], answer["mode"]) == ("INPUT", "BASE64", "OUTPUT")
    assert request["observedContentType"] == "application/octet-stream"
    assert base64.b64decode(request["data"]) == b"\x00one"
    assert base64.b64decode(answer["data"]) == b"captured:\x00one"


def test_capture_options_select_sides_and_encodings(aws: Aws) -> None:
    named = {"CsvContentTypes": ["text/csv"]}
    serve(aws, "capture-csv", DataCaptureConfig=capture(modes=("Input",), CaptureContentTypeHeader=named))
    aws.runtime.invoke_endpoint(EndpointName="capture-csv", Body=b"1,2", ContentType="text/csv")
    (record,) = lines(stored(aws, "captured/capture-csv/", 1))
    assert record["captureData"] == {
        "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2", "encoding": "CSV"}
    }
    assert "inferenceId" not in record["eventMetadata"]


def test_a_sampling_percentage_captures_part_of_the_invocations(aws: Aws) -> None:
    serve(aws, "sampled", DataCaptureConfig=capture(percentage=50))
    for number in range(60):
        invoke(aws, "sampled", str(number).encode())
    stored(aws, "captured/sampled/", 1)
    aws.sagemaker.delete_endpoint(EndpointName="sampled")
    wait_for(lambda: aws.sagemaker.list_endpoints(NameContains="sampled")["Endpoints"], lambda found: not found)
    kept = lines(stored(aws, "captured/sampled/", 1))
    assert 0 < len(kept) < 60
    assert len({record["captureData"]["endpointInput"]["data"] for record in kept}) == len(kept)


def test_a_shadow_variant_gets_a_copy_and_its_response_is_only_captured(aws: Aws) -> None:
    aws.configure("shadow", ECHO)
    serve(aws, "lit", DataCaptureConfig=capture(), ShadowProductionVariants=[variant("Shadow", "shadow")])
    shown = aws.sagemaker.describe_endpoint(EndpointName="lit")["ShadowProductionVariants"]
    assert [one["VariantName"] for one in shown] == ["Shadow"]
    assert invoke(aws, "lit", b"x") == b"lit:x"
    (copy,) = lines(stored(aws, "captured/lit/Shadow/", 1))
    assert base64.b64decode(copy["captureData"]["endpointOutput"]["data"]) == b"shadow:x"
    with pytest.raises(ClientError, match="exactly one production variant"):
        aws.sagemaker.create_endpoint_config(
            EndpointConfigName="two-shadows",
            ProductionVariants=[variant("A", "lit")],
            ShadowProductionVariants=[variant("B", "shadow"), variant("C", "shadow")],
        )


def asynchronous(failures: bool = True) -> dict[str, Any]:
    output = {"S3OutputPath": f"s3://{BUCKET}/async/out"}
    if failures:
        output["S3FailurePath"] = f"s3://{BUCKET}/async/failed"
    return {"OutputConfig": output, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2}}


def content(aws: Aws, uri: str) -> bytes:
    key = uri.removeprefix(f"s3://{BUCKET}/")
    return stored(aws, key, 1)[key]


def test_asynchronous_invocations_write_their_results_to_s3(aws: Aws) -> None:
    serve(aws, "later", AsyncInferenceConfig=asynchronous())
    aws.s3.put_object(Bucket=BUCKET, Key="async/in/good", Body=b"question")
    aws.s3.put_object(Bucket=BUCKET, Key="async/in/bad", Body=b"fail")

    def call(key: str, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = aws.runtime.invoke_endpoint_async(
            EndpointName="later", InputLocation=f"s3://{BUCKET}/async/in/{key}", **options
        )
        return answer

    good = call("good", InferenceId="mine", ContentType="application/octet-stream")
    assert (good["ResponseMetadata"]["HTTPStatusCode"], good["InferenceId"]) == (202, "mine")
    assert content(aws, good["OutputLocation"]) == b"later:question"
    bad, missing = call("bad"), call("nowhere")
    assert b"500 Internal Server Error" in content(aws, bad["FailureLocation"])
    assert b"NoSuchKey" in content(aws, missing["FailureLocation"])
    with pytest.raises(ClientError) as refused:
        invoke(aws, "later", b"x")
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_a_synchronous_endpoint_rejects_asynchronous_invocations(aws: Aws) -> None:
    serve(aws, "at-once")
    with pytest.raises(ClientError, match="does not support asynchronous"):
        aws.runtime.invoke_endpoint_async(EndpointName="at-once", InputLocation=f"s3://{BUCKET}/x")


def test_network_isolation_blocks_outgoing_connections(aws: Aws) -> None:
    port = aws.url.rpartition(":")[2].encode()
    serve(aws, "open", PHONE_HOME)
    serve(aws, "closed", PHONE_HOME, isolated=True)
    assert invoke(aws, "open", port) == b"reached"
    assert b"Network is unreachable" in invoke(aws, "closed", port)


def test_an_update_can_retain_weights_and_counts(aws: Aws) -> None:
    serve(aws, "weighed")
    aws.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="weighed",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 7, "DesiredInstanceCount": 3}],
    )
    for retained, expected in ((True, (7.0, 3)), (False, (1.0, 1))):
        aws.sagemaker.update_endpoint(
            EndpointName="weighed", EndpointConfigName="weighed-more", RetainAllVariantProperties=retained
        )
        (found,) = aws.settle("weighed")["ProductionVariants"]
        assert (found["CurrentWeight"], found["CurrentInstanceCount"]) == expected


LOGS = "/aws/sagemaker/Endpoints/handed-over"
SLOW = ECHO.replace(
    "def predict_fn(body, model):",
    "def predict_fn(body, model):\n    import time; print('busy', flush=True); time.sleep(1)",
)


def test_an_update_lets_running_invocations_end(aws: Aws) -> None:
    serve(aws, "handed-over", SLOW)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(invoke, aws, "handed-over", b"x")
        wait_for(lambda: aws.log_lines(LOGS, "AllTraffic/"), lambda lines: "busy" in lines)
        aws.sagemaker.update_endpoint(EndpointName="handed-over", EndpointConfigName="handed-over-more")
        assert answer.result() == b"handed-over:x"
    assert aws.settle("handed-over")["EndpointStatus"] == "InService"


def test_zero_weights_and_unsupported_headers_are_rejected(aws: Aws) -> None:
    aws.configure("unweighed", ECHO)
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="unweighed-two",
        ProductionVariants=[variant("A", "unweighed", 0.0), variant("B", "unweighed", 0.0)],
    )
    aws.sagemaker.create_endpoint(EndpointName="unweighed", EndpointConfigName="unweighed-two")
    aws.settle("unweighed")
    with pytest.raises(ClientError, match="no variant with a weight above 0"):
        invoke(aws, "unweighed", b"x")
    assert invoke(aws, "unweighed", b"x", TargetVariant="B") == b"unweighed:x"
    with pytest.raises(ClientError, match="does not support TargetModel of InvokeEndpoint"):
        invoke(aws, "unweighed", b"x", TargetVariant="B", TargetModel="m.tar.gz")
