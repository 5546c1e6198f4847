"""Training on several hosts: names, channels, artefacts, name resolution, failures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import BUCKET, Aws, channel, unpack

_GROUP = "/aws/sagemaker/TrainingJobs"

_HOST = """
import json, os, pathlib, sys
ml = pathlib.Path(os.environ["ML"])
config = json.loads((ml / "input/config/resourceconfig.json").read_text())
me = config["current_host"]
data = ml / "input/data"
found = {d.name: sorted(p.relative_to(d).as_posix() for p in d.rglob("*") if p.is_file()) for d in data.iterdir()}
del found["code"]
(ml / "model" / f"{me}.json").write_text(json.dumps({"config": config, "found": found}))
(ml / "model/shared.txt").write_text(me)
(ml / "output/data" / me).write_text("x")
print("host", me)
"""


def _resources(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.xlarge", "InstanceCount": count, "VolumeSizeInGB": 10}


def _code(name: str) -> dict[str, Any]:
    return channel("code", f"s3://{BUCKET}/{name}/code/")


def _of(name: str, uri: str, source: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    made = channel(name, uri)
    made["DataSource"]["S3DataSource"].update(source or {})
    return made | more


def _archive(aws: Aws, name: str, kind: str) -> dict[str, bytes]:
    return unpack(aws.s3.get_object(Bucket=BUCKET, Key=f"out/{name}/output/{kind}.tar.gz")["Body"].read())


@pytest.fixture(scope="module")
def data(aws: Aws) -> str:
    for number in range(5):
        aws.s3.put_object(Bucket=BUCKET, Key=f"cluster/data/part-{number}", Body=b"x")
    return f"s3://{BUCKET}/cluster/data/"


@pytest.mark.slow
def test_hosts_share_a_channel_and_merge_their_models(aws: Aws, data: str) -> None:
    sharded = {"S3DataDistributionType": "ShardedByS3Key"}
    aws.start_job(
        "hosts",
        _HOST,
        ResourceConfig=_resources(2),
        Environment={"ML": "/opt/ml"},
        InputDataConfig=[_code("hosts"), _of("train", data, sharded), _of("all", data)],
    )
    job = aws.finish_job("hosts")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = _archive(aws, "hosts", "model")
    seen = {name: json.loads(model[f"{name}.json"]) for name in ("algo-1", "algo-2")}
    assert model["shared.txt"] == b"algo-1"
    assert set(_archive(aws, "hosts", "output")) == {"algo-1", "algo-2"}
    everything = [f"part-{number}" for number in range(5)]
    assert sorted(seen["algo-1"]["found"]["train"] + seen["algo-2"]["found"]["train"]) == everything
    assert {len(seen[name]["found"]["train"]) for name in seen} == {2, 3}
    assert seen["algo-1"]["found"]["all"] == seen["algo-2"]["found"]["all"] == everything
    for name, host in seen.items():
        assert host["config"]["current_host"] == name
        assert host["config"]["hosts"] == ["algo-1", "algo-2"]
        assert host["config"]["instance_groups"][0]["hosts"] == ["algo-1", "algo-2"]
        assert aws.log_lines(_GROUP, f"hosts/{name}-") == [f"host {name}"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]


def test_hosts_reach_each_other_by_name_on_the_same_port(aws: Aws) -> None:
    script = """
import json, os, pathlib, socket, time
me = json.loads((pathlib.Path(os.environ["ML"]) / "input/config/resourceconfig.json").read_text())["current_host"]
other = {"algo-1": "algo-2", "algo-2": "algo-1"}[me]
server = socket.create_server((me, 47123))
while True:
    try:
        with socket.create_connection((other, 47123), timeout=5) as client:
            client.sendall(me.encode())
        break
    except OSError:
        time.sleep(0.02)
connection, _ = server.accept()
with connection, server:
    print(me, "hears", connection.recv(20).decode())
"""
    aws.start_job("talking", script, ResourceConfig=_resources(2), Environment={"ML": "/opt/ml"})
    job = aws.finish_job("talking")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert sorted(aws.log_lines(_GROUP, "talking/")) == ["algo-1 hears algo-2", "algo-2 hears algo-1"]


def test_one_failing_host_fails_the_job_and_ends_the_others(aws: Aws) -> None:
    script = """
import json, os, pathlib, sys, time
ml = pathlib.Path(os.environ["ML"])
if json.loads((ml / "input/config/resourceconfig.json").read_text())["current_host"] == "algo-2":
    (ml / "output/failure").write_text("the second host gave up")
    sys.exit(9)
time.sleep(3000)
print("never")
"""
    aws.start_job("half", script, ResourceConfig=_resources(2), Environment={"ML": "/opt/ml"})
    job = aws.finish_job("half")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: the second host gave up, exit code: 9"
    assert aws.log_lines(_GROUP, "half/") == []


def test_channels_can_be_limited_to_instance_groups(aws: Aws, data: str) -> None:
    groups = [
        {"InstanceGroupName": "readers", "InstanceType": "ml.m5.large", "InstanceCount": 1},
        {"InstanceGroupName": "fitters", "InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
    ]
    aws.start_job(
        "groups",
        _HOST,
        ResourceConfig={"InstanceGroups": groups, "VolumeSizeInGB": 10},
        Environment={"ML": "/opt/ml"},
        InputDataConfig=[_code("groups"), _of("train", data, {"InstanceGroupNames": ["fitters"]})],
    )
    assert aws.finish_job("groups")["TrainingJobStatus"] == "Completed"
    model = _archive(aws, "groups", "model")
    first, second = (json.loads(model[f"algo-{number}.json"]) for number in (1, 2))
    assert "train" not in first["found"]
    assert len(second["found"]["train"]) == 5
    assert (first["config"]["current_group_name"], second["config"]["current_group_name"]) == ("readers", "fitters")
    assert second["config"]["current_instance_type"] == "ml.m5.xlarge"


def test_the_toolkits_variables_name_the_hosts(aws: Aws) -> None:
    source = aws.put_archive(
        "cluster/sourcedir.tar.gz",
        {"train.py": "import os; print(os.environ['SM_CURRENT_HOST'], 'of', os.environ['SM_HOSTS'])"},
    )
    hyperparameters = {"sagemaker_program": "train.py", "sagemaker_submit_directory": source}
    algorithm = {
        "TrainingImage": "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0",
        "TrainingInputMode": "File",
    }
    aws.start_job(
        "toolkit-hosts",
        "",
        ResourceConfig=_resources(2),
        HyperParameters=hyperparameters,
        AlgorithmSpecification=algorithm,
    )
    job = aws.finish_job("toolkit-hosts")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert sorted(aws.log_lines(_GROUP, "toolkit-hosts/")) == [
        'algo-1 of ["algo-1","algo-2"]',
        'algo-2 of ["algo-1","algo-2"]',
    ]


def test_a_manifest_names_the_objects(aws: Aws, data: str) -> None:
    manifest = [{"prefix": f"s3://{BUCKET}/cluster/"}, "data/part-3", "data/part-1"]
    aws.s3.put_object(Bucket=BUCKET, Key="cluster/some.manifest", Body=json.dumps(manifest).encode())
    script = "import os; print(sorted(os.path.join(d, f) for d, _, fs in os.walk(os.environ['T']) for f in fs))"
    uri = f"s3://{BUCKET}/cluster/some.manifest"
    shuffled = {"ShuffleConfig": {"Seed": 3}}
    aws.start_job(
        "manifest",
        script,
        InputDataConfig=[_code("manifest"), _of("train", uri, {"S3DataType": "ManifestFile"}, **shuffled)],
        Environment={"T": "/opt/ml/input/data/train"},
    )
    assert aws.finish_job("manifest")["TrainingJobStatus"] == "Completed"
    (line,) = aws.log_lines(_GROUP, "manifest/")
    assert line.count("part-") == 2
    assert "/input/data/train/data/part-1'" in line
    assert "/input/data/train/data/part-3'" in line


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("manifest-lost", json.dumps([{"prefix": f"s3://{BUCKET}/cluster/"}, "data/nothing"]), "data/nothing: "),
        ("manifest-odd", '{"prefix": "s3://x"}', "a manifest is a JSON list"),
    ],
)
def test_an_invalid_manifest_fails_the_job(aws: Aws, name: str, body: str, reason: str) -> None:
    aws.s3.put_object(Bucket=BUCKET, Key=f"cluster/{name}", Body=body.encode())
    source = {"S3DataType": "ManifestFile"}
    aws.start_job(name, "", InputDataConfig=[_of("train", f"s3://{BUCKET}/cluster/{name}", source)])
    job = aws.finish_job(name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:")
    assert reason in job["FailureReason"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ResourceConfig": _resources(0)}, "InstanceCount must be at least 1"),
        (
            {"InputDataConfig": [_of("t", "s3://x/y", {"S3DataType": "AugmentedManifestFile"})]},
            "Channel t: AugmentedManifestFile can only be used in Pipe input mode",
        ),
        (
            {"InputDataConfig": [_of("t", "s3://x/y", CompressionType="Gzip")]},
            "Channel t: CompressionType is used only in Pipe input mode",
        ),
        (
            {"InputDataConfig": [_of("t", "s3://x/y", RecordWrapperType="RecordIO")]},
            "Channel t: RecordWrapperType is used only in Pipe input mode",
        ),
        ({"InputDataConfig": [_of("t", "s3://x/y", InputMode="Pipe")]}, "does not support Pipe mode"),
        (
            {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 9}},
            "Invalid MaxWaitTimeInSeconds. It must be present",
        ),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 8},
            },
            "be greater than or equal to MaxRuntimeInSeconds",
        ),
    ],
)
def test_invalid_and_unsupported_requests_are_rejected(aws: Aws, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ClientError, match=sentence) as refused:
        aws.start_job("refused-training", "", **changes)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
