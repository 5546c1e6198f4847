"""A run that is killed in each stage and restarted each time gives the result of an uninterrupted run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.pipeline import STAGES
from tests.flow.run_results import run_results
from tests.support.running import COMMAND_S, ROOT, Clouds, running_clouds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def killed_clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    """The clouds of the killed runs."""
    with running_clouds(tmp_path_factory.mktemp("killed") / "state", pipeline) as found:
        yield found


@pytest.fixture(scope="module")
def other_clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    """The clouds of the uninterrupted run."""
    with running_clouds(tmp_path_factory.mktemp("other") / "state", pipeline) as found:
        yield found


def killed_run(clouds: Clouds, pipeline: Path, stage: str, point: str) -> None:
    command = [sys.executable, "-m", "tests.flow.killed_run", str(pipeline), stage, point]
    done = subprocess.run(
        command, cwd=ROOT, env=clouds.environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == -signal.SIGKILL, f"{stage}, {point}:\n{done.stdout}{done.stderr}"


def test_a_run_killed_in_each_stage_gives_the_result_of_an_uninterrupted_run(
    killed_clouds: Clouds, other_clouds: Clouds, pipeline: Path
) -> None:
    names = [stage.name for stage in STAGES]
    for name in names:
        for point in ("working", "unrecorded"):
            killed_run(killed_clouds, pipeline, name, point)
    resumed = killed_clouds.snowsage("run", str(pipeline), "--json")
    whole = other_clouds.snowsage("run", str(pipeline), "--json")
    assert [item["stage"] for item in json.loads(resumed.stdout)] == names
    assert not any(item["found"] for item in json.loads(whole.stdout))
    assert run_results(killed_clouds) == run_results(other_clouds)
    jobs = killed_clouds.aws("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert len(jobs) == 1, "a killed run's training job is found, not started again"
