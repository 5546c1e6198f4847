"""Batch transform: input objects, the model's container, ``.out`` objects, logs, failures."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.waiting import wait_for

from .conftest import BUCKET, Aws

# Adds the columns of each CSV row. A row that begins with "who" is answered with details of the request.
ADDING = """
import json, os, time
from werkzeug.wrappers import Response

def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    text = data if isinstance(data, str) else data.decode()
    lines = [line for line in text.split("\\n") if line]
    if content_type == "application/jsonlines":
        return "\\n".join(json.dumps({"sum": sum(json.loads(line)["features"])}) for line in lines), accept
    if content_type == "application/json":
        return json.dumps({"sum": sum(json.loads(text)["features"])}), accept
    if lines[0].startswith("env"):
        return json.dumps({name: value for name, value in os.environ.items() if "BATCH" in name or name == "MINE"}), accept
    if lines[0].startswith("size"):
        return f"{len(lines)} {len(text)}", accept
    if lines[0].startswith("slow"):
        time.sleep(float(lines[0].split(",")[1]))
        return "done", accept
    if any("refused" in line for line in lines):
        return Response("no such feature", 400)
    return "\\n".join(str(sum(float(cell) for cell in line.split(","))) for line in lines), accept
"""


@pytest.fixture(scope="module")
def model(aws: Aws) -> str:
    return aws.configure("adding", ADDING)


@pytest.fixture
def transform(aws: Aws, model: str, request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Upload objects, run a job over them and wait for its end. Outputs are under ``<job>/out/``."""
    job = "t-" + "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[5:55].strip("-")

    def run(files: dict[str, bytes], wait: bool = True, source: dict[str, Any] | None = None, **changes: Any) -> Any:
        for name, body in files.items():
            aws.s3.put_object(Bucket=BUCKET, Key=f"{job}/in/{name}", Body=body)
        given = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{job}/in/"} | (source or {})
        parameters: dict[str, Any] = {
            "TransformJobName": job,
            "ModelName": model,
            "TransformInput": {"DataSource": {"S3DataSource": given}, "ContentType": "text/csv", "SplitType": "Line"}
            | changes.pop("TransformInput", {}),
            "TransformOutput": {
                "S3OutputPath": f"s3://{BUCKET}/{job}/out/",
                "Accept": "text/csv",
                "AssembleWith": "Line",
            }
            | changes.pop("TransformOutput", {}),
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1} | changes.pop("Resources", {}),
        }
        aws.sagemaker.create_transform_job(**(parameters | changes))
        return ended(aws, job) if wait else job

    return run


def ended(aws: Aws, job: str) -> dict[str, Any]:
    return wait_for(
        lambda: aws.sagemaker.describe_transform_job(TransformJobName=job),
        lambda found: found["TransformJobStatus"] not in ("InProgress", "Stopping"),
    )


def outputs(aws: Aws, job: dict[str, Any]) -> dict[str, bytes]:
    prefix = f"{job['TransformJobName']}/out/"
    found = aws.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {
        item["Key"].removeprefix(prefix): aws.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        for item in found
    }


def test_every_object_has_an_output(aws: Aws, transform: Any) -> None:
    job = transform({"a.csv": b"1,2\n3,4\n", "deep/b.csv": b"5,6"}, Tags=[{"Key": "k", "Value": "v"}])
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert outputs(aws, job) == {"a.csv.out": b"3.0\n7.0\n", "deep/b.csv.out": b"11.0\n"}
    assert job["TransformStartTime"] <= job["TransformEndTime"]
    assert job["TransformInput"]["SplitType"] == "Line"
    assert aws.sagemaker.list_tags(ResourceArn=job["TransformJobArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
    listed = aws.sagemaker.list_transform_jobs(NameContains=job["TransformJobName"])["TransformJobSummaries"]
    assert [line["TransformJobStatus"] for line in listed] == ["Completed"]
    words = aws.log_lines("/aws/sagemaker/TransformJobs", job["TransformJobName"])
    assert any("MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD" in line for line in words)
    with pytest.raises(ClientError) as raised:
        transform({})
    assert raised.value.response["Error"]["Code"] == "ResourceInUse"


def test_instances_divide_the_objects_and_keep_the_order_of_records(aws: Aws, transform: Any) -> None:
    files = {f"{name}.csv": "".join(f"{row},{name}\n" for row in range(40)).encode() for name in range(3)}
    job = transform(
        files, Resources={"InstanceCount": 2}, BatchStrategy="SingleRecord", MaxConcurrentTransforms=4, MaxPayloadInMB=1
    )
    assert job["TransformJobStatus"] == "Completed"
    found = outputs(aws, job)
    for name in range(3):
        assert found[f"{name}.csv.out"].split() == [str(float(row + name)).encode() for row in range(40)]
    streams = aws.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix=job["TransformJobName"]
    )["logStreams"]
    assert sum(stream["logStreamName"].endswith("/data-log") for stream in streams) == 2


def test_a_bad_record_fails_its_object_and_the_job(aws: Aws, transform: Any) -> None:
    job = transform({"good.csv": b"1,2\n", "bad.csv": b"refused\n"})
    assert (job["TransformJobStatus"], job["FailureReason"]) == (
        "Failed",
        "ClientError: See job logs for more information",
    )
    assert outputs(aws, job) == {"good.csv.out": b"3.0\n"}
    words = "\n".join(aws.log_lines("/aws/sagemaker/TransformJobs", job["TransformJobName"]))
    assert "bad.csv: ClientError: 400" in words
    assert "no such feature" in words


def test_an_exception_in_the_models_code_is_an_algorithm_error(aws: Aws, transform: Any) -> None:
    job = transform({"bad.csv": b"not a number\n"}, ModelClientConfig={"InvocationsMaxRetries": 0})
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    words = "\n".join(aws.log_lines("/aws/sagemaker/TransformJobs", job["TransformJobName"]))
    assert "Bad HTTP status received from algorithm: 500" in words


def test_an_invocation_that_times_out_fails_the_object(aws: Aws, transform: Any) -> None:
    job = transform(
        {"a.csv": b"slow,3\n"},
        ModelClientConfig={"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0},
    )
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"


def test_payload_limit_and_batches(aws: Aws, transform: Any) -> None:
    row = b"size" + b"x" * 299_995 + b"\n"
    job = transform({"rows.csv": row * 5}, MaxPayloadInMB=1)
    assert outputs(aws, job)["rows.csv.out"].split(b"\n")[:-1] == [b"3 900000", b"2 600000"]


def test_an_object_above_the_limit_fails(aws: Aws, transform: Any) -> None:
    job = transform({"big.csv": b"size" + b"x" * 1_100_000}, TransformInput={"SplitType": "None"}, MaxPayloadInMB=1)
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    words = "\n".join(aws.log_lines("/aws/sagemaker/TransformJobs", job["TransformJobName"]))
    assert "Too much data for max payload size" in words


def test_the_containers_environment(aws: Aws, transform: Any) -> None:
    job = transform({"a.csv": b"env\n"}, Environment={"MINE": "yes"})
    assert json.loads(outputs(aws, job)["a.csv.out"]) == {
        "MINE": "yes",
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
    }


def test_manifest_and_gzip(aws: Aws, transform: Any) -> None:
    manifest = [{"prefix": f"s3://{BUCKET}/listed/"}, "x/a.csv.gz"]
    aws.s3.put_object(Bucket=BUCKET, Key="listed.json", Body=json.dumps(manifest).encode())
    aws.s3.put_object(Bucket=BUCKET, Key="listed/x/a.csv.gz", Body=gzip.compress(b"1,2\n"))
    source = {"S3DataType": "ManifestFile", "S3Uri": f"s3://{BUCKET}/listed.json"}
    job = transform({}, source=source, TransformInput={"CompressionType": "Gzip"})
    assert outputs(aws, job) == {"x/a.csv.gz.out": b"3.0\n"}, job.get("FailureReason")


@pytest.mark.parametrize(
    ("processing", "row", "expected"),
    [
        ({"InputFilter": "$[1:]"}, b"7,1,2\n", b"3.0\n"),
        ({"InputFilter": "$[1:]", "JoinSource": "Input"}, b"7,1,2\n8,3,4\n", b"7,1,2,3.0\n8,3,4,7.0\n"),
        ({"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}, b"7,1,2\n", b"7,3.0\n"),
        ({"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,2:]"}, b"7,1,2\n", b"7,2,3.0\n"),
    ],
)
def test_csv_columns_are_filtered_and_joined(
    aws: Aws, transform: Any, processing: dict[str, str], row: bytes, expected: bytes
) -> None:
    job = transform({"a.csv": row}, DataProcessing=processing)
    assert outputs(aws, job) == {"a.csv.out": expected}, job.get("FailureReason")


def test_json_lines_are_joined_under_sagemaker_output(aws: Aws, transform: Any) -> None:
    job = transform(
        {"a.jsonl": b'{"id": 1, "features": [1, 2]}\n{"id": 2, "features": [3, 4]}\n'},
        TransformInput={"ContentType": "application/jsonlines"},
        TransformOutput={"Accept": "application/jsonlines"},
        DataProcessing={"JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"},
    )
    lines = [json.loads(line) for line in outputs(aws, job)["a.jsonl.out"].splitlines()]
    assert lines == [{"id": 1, "SageMakerOutput": {"sum": 3}}, {"id": 2, "SageMakerOutput": {"sum": 7}}]


def test_a_missing_column_fails_the_object(aws: Aws, transform: Any) -> None:
    job = transform({"a.csv": b"1,2\n"}, DataProcessing={"InputFilter": "$[5]"})
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    words = "\n".join(aws.log_lines("/aws/sagemaker/TransformJobs", job["TransformJobName"]))
    assert "dimension size" in words


def test_a_stopped_job_ends_at_once(aws: Aws, transform: Any) -> None:
    name = transform({"0.csv": b"1\n", "1.csv": b"slow,3000\n", "2.csv": b"1\n"}, wait=False)
    wait_for(lambda: outputs(aws, {"TransformJobName": name}), lambda found: found)
    aws.sagemaker.stop_transform_job(TransformJobName=name)
    job = ended(aws, name)
    assert job["TransformJobStatus"] == "Stopped"
    assert outputs(aws, job) == {"0.csv.out": b"1.0\n"}
    with pytest.raises(ClientError, match="is in status Stopped"):
        aws.sagemaker.stop_transform_job(TransformJobName=name)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"TransformInput": {"SplitType": "RecordIO"}}, "does not support SplitType RecordIO"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://b/c"}}, "does not support data capture"),
        ({"MaxConcurrentTransforms": 10, "MaxPayloadInMB": 11}, "must not exceed 100 MB"),
        ({"DataProcessing": {"InputFilter": "$..deep"}}, "does not support the JSONPath"),
        ({"DataProcessing": {"InputFilter": "features"}}, "must begin with"),
        ({"ModelName": "nowhere"}, "Could not find model"),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "TransformOutput": {"AssembleWith": "None"}},
            "AssembleWith Line",
        ),
    ],
)
def test_invalid_and_unsupported_requests_are_rejected(transform: Any, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError) as raised:
        transform({}, **changes)
    assert raised.value.response["Error"]["Code"] == "ValidationException"
    assert text in raised.value.response["Error"]["Message"]


def test_a_job_without_input_fails_and_an_unknown_job_is_an_error(aws: Aws, transform: Any) -> None:
    job = transform({})
    assert job["FailureReason"].startswith("ClientError: No S3 objects found under S3 URL")
    with pytest.raises(ClientError, match="Requested resource not found"):
        aws.sagemaker.describe_transform_job(TransformJobName="nowhere")


@pytest.mark.slow  # the SDK takes seconds to import
@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in the SDK's generated sources
def test_the_sagemaker_sdks_transformer(aws: Aws, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENDPOINT_URL": aws.url, "ACCESS_KEY_ID": "t", "SECRET_ACCESS_KEY": "t"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    from sagemaker.core import shapes
    from sagemaker.core.resources import TransformJob
    from sagemaker.core.utils.utils import SageMakerClient

    SageMakerClient.reset()  # the SDK keeps the first client of a process, which may be another test's
    aws.s3.put_object(Bucket=BUCKET, Key="sdk/in/a.csv", Body=b"1,2\n")
    source = shapes.TransformS3DataSource(s3_data_type="S3Prefix", s3_uri=f"s3://{BUCKET}/sdk/in/")
    job = TransformJob.create(
        transform_job_name="sdk",
        model_name=model,
        transform_input=shapes.TransformInput(
            data_source=shapes.TransformDataSource(s3_data_source=source), content_type="text/csv"
        ),
        transform_output=shapes.TransformOutput(s3_output_path=f"s3://{BUCKET}/sdk/out/"),
        transform_resources=shapes.TransformResources(instance_type="ml.m5.large", instance_count=1),
    )
    job.wait(poll=1)
    assert job.transform_job_status == "Completed"
    assert outputs(aws, {"TransformJobName": "sdk"}) == {"a.csv.out": b"3.0"}
    SageMakerClient.reset()
