"""A run is killed in each of its stages and started again each time; the end is that of a run left alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.left_behind import left_behind
from tests.support.running import Clouds, running_clouds

pytestmark = pytest.mark.slow
STAGES = ["features", "export", "train", "registry", "deploy", "batch", "monitor"]


@pytest.fixture(scope="module")
def killed_clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    """Where runs are killed."""
    with running_clouds(tmp_path_factory.mktemp("killed") / "state", pipeline) as found:
        yield found


@pytest.fixture(scope="module")
def other_clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    """Where they are left alone, side by side with the first."""
    with running_clouds(tmp_path_factory.mktemp("alone") / "state", pipeline) as found:
        yield found


def kill_in(clouds: Clouds, pipeline: Path, stage: str, log: Path) -> None:
    """Start a run and kill it, with everything it started, shortly after ``stage`` began."""
    with log.open("wb") as words:
        process = subprocess.Popen(
            clouds.command("run", str(pipeline)),
            env=clouds.environment,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
        before = STAGES.index(stage) - 1
        mark = rf"^[✓=] {STAGES[before]}\b" if before >= 0 else r"^run \S+ of churn"
        deadline = time.monotonic() + 120
        while not re.search(mark, log.read_text(errors="replace"), re.MULTILINE):
            assert process.poll() is None, f"the run ended before {stage}:\n{log.read_text()}"
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.005)
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = re.search(rf"^[✓=] {stage}\b", log.read_text(errors="replace"), re.MULTILINE)
    assert not finished, f"{stage} had finished when the run was killed:\n{log.read_text()}"


def test_a_run_killed_in_each_stage_ends_like_one_left_alone(
    killed_clouds: Clouds, other_clouds: Clouds, pipeline: Path, tmp_path: Path
) -> None:
    for stage in STAGES:
        kill_in(killed_clouds, pipeline, stage, tmp_path / f"{stage}.log")
    resumed = killed_clouds.snowsage("run", str(pipeline), "--json")
    alone = other_clouds.snowsage("run", str(pipeline), "--json")
    assert [item["stage"] for item in json.loads(resumed.stdout)] == STAGES
    assert not any(item["found"] for item in json.loads(alone.stdout))
    assert left_behind(killed_clouds) == left_behind(other_clouds)
    jobs = killed_clouds.aws("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert len(jobs) == 1, "a killed run's training job is found, not started again"
