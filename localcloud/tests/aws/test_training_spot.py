"""Managed spot training: interruptions, restarts from checkpoints, and the limit on waiting."""

from __future__ import annotations

import time

import pytest

from localcloud.errors import CallerError
from localcloud.tests.waiting import wait_for

from .conftest import BUCKET, Aws

_GROUP = "/aws/sagemaker/TrainingJobs"

_ROUNDS = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["POINTS"])
rounds = len(list(folder.iterdir()))
print("begins at", rounds, flush=True)
signal.signal(signal.SIGTERM, lambda *_: ((folder / "at-sigterm").write_text("x"), sys.exit(3)))
if rounds == 0:
    (folder / "round-1").write_text("x")
    print("ready", flush=True)
    time.sleep(3000)
pathlib.Path(os.environ["MODEL"], "m.txt").write_text(",".join(sorted(p.name for p in folder.iterdir())))
"""


def _start(aws: Aws, name: str, wait_s: int = 3600) -> None:
    aws.start_job(
        name,
        _ROUNDS,
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/{name}/points"},
        Environment={"POINTS": "/opt/ml/checkpoints", "MODEL": "/opt/ml/model"},
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": wait_s, "MaxWaitTimeInSeconds": wait_s},
    )


def _ready(aws: Aws, name: str) -> None:
    aws.wait_secondary(name, "Training")
    wait_for(lambda: aws.log_lines(_GROUP, f"{name}/"), lambda lines: "ready" in lines)


def _points(aws: Aws, name: str) -> list[str]:
    found = aws.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/points/").get("Contents", [])
    return [item["Key"].rpartition("/")[2] for item in found]


@pytest.mark.slow
def test_an_interrupted_job_continues_from_its_checkpoints(aws: Aws) -> None:
    _start(aws, "interrupted")
    _ready(aws, "interrupted")
    wait_for(lambda: _points(aws, "interrupted"), lambda names: names == ["round-1"])
    aws.server.interrupt_training("interrupted", capacity_after_s=60)
    aws.wait_secondary("interrupted", "Starting")
    time.sleep(1.1)  # durations are in whole seconds
    aws.clock.advance(60)
    job = aws.finish_job("interrupted")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [transition["Status"] for transition in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Interrupted",
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert all(transition["StartTime"] <= transition["EndTime"] for transition in job["SecondaryStatusTransitions"])
    assert all(transition["StatusMessage"] for transition in job["SecondaryStatusTransitions"])
    assert aws.log_lines(_GROUP, "interrupted/") == ["begins at 0", "ready", "begins at 2"]
    assert _points(aws, "interrupted") == ["at-sigterm", "round-1"]
    assert job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]
    assert job["EnableManagedSpotTraining"] is True


def test_without_capacity_the_job_stops_after_the_maximum_wait(aws: Aws) -> None:
    _start(aws, "waiting", wait_s=600)
    _ready(aws, "waiting")
    aws.server.interrupt_training("waiting", capacity_after_s=3600)
    aws.wait_secondary("waiting", "Starting")
    aws.clock.advance(600)
    job = aws.finish_job("waiting")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert [transition["Status"] for transition in job["SecondaryStatusTransitions"]][-4:] == [
        "Interrupted",
        "Starting",
        "Stopping",
        "MaxWaitTimeExceeded",
    ]
    assert "ModelArtifacts" not in job


def test_a_waiting_job_can_be_stopped(aws: Aws) -> None:
    _start(aws, "wait-stopped")
    _ready(aws, "wait-stopped")
    aws.server.interrupt_training("wait-stopped", capacity_after_s=3600)
    aws.wait_secondary("wait-stopped", "Starting")
    with pytest.raises(CallerError, match="is Starting; only a job in Training can be interrupted"):
        aws.server.interrupt_training("wait-stopped")
    aws.sagemaker.stop_training_job(TrainingJobName="wait-stopped")
    job = aws.finish_job("wait-stopped")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"


def test_only_spot_training_can_be_interrupted(aws: Aws) -> None:
    with pytest.raises(CallerError, match="There is no training job missing"):
        aws.server.interrupt_training("missing")
    aws.start_job("on-demand", "")
    aws.finish_job("on-demand")
    with pytest.raises(CallerError, match="does not use managed spot training"):
        aws.server.interrupt_training("on-demand")
