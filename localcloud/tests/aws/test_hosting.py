"""Endpoints: from artefact to response, updates, failures, restarts, and the runtime's errors."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.waiting import wait_for

from .conftest import BUCKET, HIDDEN_PACKAGE, IMAGE, ROLE, Aws, variant

ECHO = """
import json, os, pathlib, time
from flask import Response

def model_fn(model_dir):
    return pathlib.Path(model_dir, "weights.txt").read_text()

def input_fn(data, content_type):
    return data, content_type

def predict_fn(data, model):
    body, kind = data
    if body == b"raise":
        raise RuntimeError("secret detail")
    if body == b"sleep":
        time.sleep(30)
    if body == b"die":
        os._exit(9)
    return body, kind, model

def output_fn(prediction, accept):
    body, kind, model = prediction
    if body == b"refuse":
        return Response("another contract", status=409, mimetype="text/plain")
    if body == b"attributes":
        return Response("x", headers={"X-Amzn-SageMaker-Custom-Attributes": "trace=1"})
    if body in (b"who", "who"):
        return json.dumps([type(body).__name__, kind, accept, model, os.getpid()]), "application/json"
    return body, "application/octet-stream"
"""


@pytest.fixture(scope="module")
def echo(aws: Aws) -> Iterator[str]:
    found = aws.deploy("echo", ECHO)
    assert found["EndpointStatus"] == "InService", found.get("FailureReason")
    yield "echo"
    aws.sagemaker.delete_endpoint(EndpointName="echo")
    wait_for(lambda: aws.sagemaker.list_endpoints(NameContains="echo")["Endpoints"], lambda left: not left)


def _who(aws: Aws, endpoint: str, **call: Any) -> list[Any]:
    import json

    call.setdefault("ContentType", "application/x-npy")
    answer = aws.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"who", **call)
    found: list[Any] = json.loads(answer["Body"].read())
    return found


def test_bodies_are_passed_unchanged_in_both_directions(aws: Aws, echo: str) -> None:
    body = bytes(range(256)) * 1000
    answer = aws.runtime.invoke_endpoint(EndpointName=echo, Body=body, ContentType="application/x-npy")
    assert answer["Body"].read() == body
    assert answer["ContentType"] == "application/octet-stream"
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_user_code_gets_body_and_types_as_in_the_toolkit(aws: Aws, echo: str) -> None:
    kind, content_type, accept, model, _ = _who(
        aws, echo, ContentType="application/x-npy; contract=abc", Accept="text/csv"
    )
    assert (kind, content_type, accept, model) == ("bytes", "application/x-npy; contract=abc", "text/csv", "echo")
    assert _who(aws, echo, ContentType="text/csv", Accept="*/*")[:3] == ["str", "text/csv", "application/json"]


def test_custom_attributes_are_returned_only_if_the_container_sets_them(aws: Aws, echo: str) -> None:
    plain = aws.runtime.invoke_endpoint(EndpointName=echo, Body=b"x", CustomAttributes="a=1")
    assert "CustomAttributes" not in plain
    answered = aws.runtime.invoke_endpoint(EndpointName=echo, Body=b"attributes", ContentType="application/x-npy")
    assert answered["CustomAttributes"] == "trace=1"


@pytest.mark.parametrize(
    ("body", "status", "text"), [(b"refuse", 409, "another contract"), (b"raise", 500, "Internal Server Error")]
)
def test_error_responses_and_exceptions_are_model_errors(
    aws: Aws, echo: str, body: bytes, status: int, text: str
) -> None:
    with pytest.raises(aws.runtime.exceptions.ModelError) as caught:
        aws.runtime.invoke_endpoint(EndpointName=echo, Body=body, ContentType="application/x-npy")
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert text in response["OriginalMessage"]
    assert "secret detail" not in str(response)
    assert ":log-group:/aws/sagemaker/Endpoints/echo:log-stream:AllTraffic/" in response["LogStreamArn"]


def test_output_of_user_code_is_in_cloudwatch(aws: Aws, echo: str) -> None:
    with pytest.raises(ClientError):
        aws.runtime.invoke_endpoint(EndpointName=echo, Body=b"raise", ContentType="application/x-npy")
    wait_for(
        lambda: aws.log_lines("/aws/sagemaker/Endpoints/echo", "AllTraffic/"),
        lambda lines: "RuntimeError: secret detail" in lines,
    )


def test_a_slow_container_times_out(aws: Aws, echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _who(aws, echo)  # it is up
    monkeypatch.setattr(aws.limits, "invocation_s", 1.0)
    with pytest.raises(aws.runtime.exceptions.ModelError, match="timed out") as caught:
        aws.runtime.invoke_endpoint(EndpointName=echo, Body=b"sleep", ContentType="application/x-npy")
    assert caught.value.response["OriginalStatusCode"] == 0


def test_a_container_that_ends_is_restarted(aws: Aws, echo: str) -> None:
    before = _who(aws, echo)[-1]
    with pytest.raises(aws.runtime.exceptions.ModelError, match="could not load the entire response body"):
        aws.runtime.invoke_endpoint(EndpointName=echo, Body=b"die", ContentType="application/x-npy")

    def serving_pid() -> int:
        try:
            return int(_who(aws, echo)[-1])
        except aws.runtime.exceptions.ModelError:
            return int(before)

    after = wait_for(serving_pid, lambda pid: pid != before)
    os.kill(after, 0)
    assert aws.settle(echo)["EndpointStatus"] == "InService"


def test_the_runtimes_errors(aws: Aws, echo: str) -> None:
    with pytest.raises(ClientError) as missing:
        aws.runtime.invoke_endpoint(EndpointName="missing", Body=b"")
    assert missing.value.response["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint missing of account 123456789012 not found.",
    }
    with pytest.raises(ClientError, match="HTTP content length exceeded 6291456 bytes") as large:
        aws.runtime.invoke_endpoint(EndpointName=echo, Body=b"x" * 6_291_457)
    assert large.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    with pytest.raises(ClientError, match="Variant green not found"):
        aws.runtime.invoke_endpoint(EndpointName=echo, Body=b"x", TargetVariant="green")
    with pytest.raises(ClientError, match="does not support asynchronous"):
        aws.runtime.invoke_endpoint_async(EndpointName=echo, InputLocation="s3://b/k")


def test_an_update_switches_and_a_failed_update_keeps_the_old_configuration(aws: Aws) -> None:
    assert aws.deploy("updated", ECHO)["EndpointStatus"] == "InService"
    created = aws.sagemaker.describe_endpoint(EndpointName="updated")
    assert _who(aws, "updated")[3] == "updated"

    aws.configure("updated-2", ECHO)
    aws.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
    assert aws.sagemaker.describe_endpoint(EndpointName="updated")["EndpointStatus"] == "Updating"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        aws.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
    assert _who(aws, "updated")[3] in ("updated", "updated-2")
    second = aws.settle("updated")
    assert second["EndpointConfigName"] == "updated-2"
    assert second["LastModifiedTime"] > created["LastModifiedTime"]
    assert _who(aws, "updated")[3] == "updated-2"

    aws.configure("broken", "raise ImportError('no such library')")
    aws.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="broken")
    third = aws.settle("updated")
    assert (third["EndpointStatus"], third["EndpointConfigName"]) == ("InService", "updated-2")
    assert "did not pass the ping health check" in third["FailureReason"]
    assert _who(aws, "updated")[3] == "updated-2"

    pid = _who(aws, "updated")[-1]
    aws.sagemaker.delete_endpoint(EndpointName="updated")
    aws.sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName="updated", WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("name", "module", "environment", "line"),
    [
        ("no-import", "import nothing_like_this", {}, "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("no-model", "def model_fn(d):\n    raise OSError('truncated')", {}, "OSError: truncated"),
        ("no-model-fn", "", {}, "NotImplementedError: Please provide a model_fn implementation."),
        ("not-uploaded", f"import {HIDDEN_PACKAGE}", {}, f"ModuleNotFoundError: No module named '{HIDDEN_PACKAGE}'"),
    ],
)
def test_an_endpoint_that_cannot_start_fails_and_logs_the_cause(
    aws: Aws, name: str, module: str, environment: dict[str, str], line: str
) -> None:
    found = aws.deploy(name, module, **environment)
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"] == (
        "The primary container for production variant AllTraffic did not pass the ping health check. Please check "
        "CloudWatch logs for this endpoint."
    )
    assert line in aws.log_lines(f"/aws/sagemaker/Endpoints/{name}", "AllTraffic/")
    with pytest.raises(ClientError, match=f"Endpoint {name} of account 123456789012 not found"):
        aws.runtime.invoke_endpoint(EndpointName=name, Body=b"")
    aws.sagemaker.delete_endpoint(EndpointName=name)


def test_traffic_is_split_by_variant_weight(aws: Aws) -> None:
    for name in ("blue", "green"):
        aws.configure(name, ECHO)
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="split", ProductionVariants=[variant("blue", "blue", 1.0), variant("green", "green", 0.0)]
    )
    aws.sagemaker.create_endpoint(EndpointName="split", EndpointConfigName="split")
    assert aws.settle("split")["EndpointStatus"] == "InService"
    assert {_who(aws, "split")[3] for _ in range(10)} == {"blue"}
    assert _who(aws, "split", TargetVariant="green")[3] == "green"
    aws.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="split",
        DesiredWeightsAndCapacities=[
            {"VariantName": "blue", "DesiredWeight": 0.0},
            {"VariantName": "green", "DesiredWeight": 1.0},
        ],
    )
    assert {_who(aws, "split")[3] for _ in range(10)} == {"green"}
    shares = aws.sagemaker.describe_endpoint(EndpointName="split")["ProductionVariants"]
    assert [(share["VariantName"], share["CurrentWeight"]) for share in shares] == [("blue", 0.0), ("green", 1.0)]
    aws.sagemaker.delete_endpoint(EndpointName="split")


def test_default_functions_read_csv_and_write_the_accepted_type(aws: Aws) -> None:
    # xgboost is imported here: the first call must not wait for it.
    module = """
import xgboost

class Model:
    def predict(self, matrix, validate_features):
        return [float(matrix.num_row()), float(matrix.num_col())]

def model_fn(model_dir):
    return Model()
"""
    assert aws.deploy("defaults", module)["EndpointStatus"] == "InService"
    answer = aws.runtime.invoke_endpoint(
        EndpointName="defaults", Body=b"1,2,3\n4,,6", ContentType="text/csv", Accept="text/csv"
    )
    assert (answer["Body"].read(), answer["ContentType"]) == (b"2.0\n3.0\n", "text/csv; charset=utf-8")
    answer = aws.runtime.invoke_endpoint(EndpointName="defaults", Body=b"1 1:0.5 3:2", ContentType="text/libsvm")
    assert answer["Body"].read() == b"[1.0, 3.0]"
    aws.sagemaker.delete_endpoint(EndpointName="defaults")


def test_models_and_configurations_are_validated_and_listed(aws: Aws) -> None:
    aws.configure("records", ECHO)
    model = aws.sagemaker.describe_model(ModelName="records")
    assert model["PrimaryContainer"]["Environment"]["SAGEMAKER_PROGRAM"] == "serve.py"
    config = aws.sagemaker.describe_endpoint_config(EndpointConfigName="records")
    assert config["ProductionVariants"][0]["ModelName"] == "records"
    aws.sagemaker.add_tags(ResourceArn=model["ModelArn"], Tags=[{"Key": "run", "Value": "1"}])
    assert aws.sagemaker.list_tags(ResourceArn=model["ModelArn"])["Tags"] == [{"Key": "run", "Value": "1"}]
    with pytest.raises(ClientError, match='Cannot create already existing model "arn:aws:sagemaker'):
        aws.configure("records", ECHO)
    with pytest.raises(ClientError, match=f"Could not find model data at s3://{BUCKET}/nothing"):
        aws.sagemaker.create_model(
            ModelName="empty",
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/nothing"},
        )
    with pytest.raises(ClientError, match=r'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:e'):
        aws.sagemaker.describe_endpoint(EndpointName="missing")
    with pytest.raises(ClientError, match=r'Could not find endpoint configuration "arn'):
        aws.sagemaker.create_endpoint(EndpointName="x", EndpointConfigName="missing")
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="records")
    aws.sagemaker.delete_model(ModelName="records")
    with pytest.raises(ClientError, match='Could not find model "arn'):
        aws.sagemaker.describe_model(ModelName="records")
