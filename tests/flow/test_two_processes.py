"""Two processes that run one pipeline at the same time, slowed by faults: with the lease, and without it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.faults.control import RemotePlan
from localcloud.faults.rules import Fault, Kind
from tests.support.commands import ROOT
from tests.support.running import COMMAND_S, START_S, Clouds, running_clouds

pytestmark = pytest.mark.slow

#: The key of a feature view's table.
KEYS = "CUSTOMER_ID, AS_OF, FEATURE_VERSION, KNOWN_AT"


@pytest.fixture(scope="module")
def contended(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    """The clouds of the processes."""
    with running_clouds(tmp_path_factory.mktemp("contended") / "state", pipeline) as found:
        yield found


def slow(clouds: Clouds, operation: str, seconds: float, count: int | None = None) -> int:
    plan = RemotePlan(Path(clouds.environment["SNOWFLAKE_HOME"]))
    return plan.add(Fault(operation, Kind.SLOW, count=count, seconds=seconds))


def fast(clouds: Clouds) -> None:
    RemotePlan(Path(clouds.environment["SNOWFLAKE_HOME"])).clear(None)


def start(clouds: Clouds, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        clouds.command(*arguments),
        env=clouds.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background processes with the signal ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def has_lease(clouds: Clouds) -> bool:
    found = clouds.aws("s3").list_objects_v2(Bucket=clouds.environment["SNOWSAGE_BUCKET"], Prefix="churn/lease.json")
    return bool(found["KeyCount"])


def fired(clouds: Clouds) -> int:
    return len(RemotePlan(Path(clouds.environment["SNOWFLAKE_HOME"])).describe()["fired"])


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def doubled(clouds: Clouds) -> dict[str, int]:
    """How many keys occur twice, by table of the feature store, the lineage, the ledger and, once it exists, the registry."""
    tables = {
        "FEATURE_STORE.CUSTOMER_ORDERS": KEYS,
        "FEATURE_STORE.CUSTOMER_RHYTHM": KEYS,
        "FEATURE_STORE.CHURN_LABEL": KEYS,
        "FEATURE_STORE.FEATURE_LINEAGE": "VIEW_NAME, FEATURE_VERSION, AS_OF, KNOWN_AT",
        "ML.RUNS": "RUN_ID, STAGE",
    }
    if clouds.query("SELECT 1 FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 'MODEL_REGISTRY'"):
        tables["ML.MODEL_REGISTRY"] = "VERSION"
    counts = {
        table: clouds.query(f"SELECT COUNT(*) FROM (SELECT {keys} FROM {table} GROUP BY {keys} HAVING COUNT(*) > 1)")[
            0
        ][0]
        for table, keys in tables.items()
    }
    return {table: count for table, count in counts.items() if count}


def test_the_second_process_is_refused_and_ctrl_c_says_how_to_continue(contended: Clouds, pipeline: Path) -> None:
    folder = str(pipeline)
    slow(contended, "sagemaker:DescribeTrainingJob", 15)
    first = start(contended, "run", folder)
    try:
        wait_until(lambda: has_lease(contended), first)
        second = contended.attempt("run", folder)
        assert second.returncode == 75, second.stderr
        assert f"(process {first.pid}), run " in second.stderr
        assert "unless it is renewed" in second.stderr
        listed = json.loads(contended.snowsage("runs", folder, "--json").stdout)
        assert listed["in_progress"]["holder"]["process"]["pid"] == first.pid
        wait_until(lambda: fired(contended) >= 1, first)  # the run has started its training job, or waits for it
    finally:
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=COMMAND_S)
    assert first.returncode == 130, said
    assert re.search(r"stopped; training job churn-\S+ (goes on in SageMaker|may have been)", said)
    assert "Start the same command again" in said
    fast(contended)
    resumed = json.loads(contended.snowsage("run", folder, "--json").stdout)
    assert resumed[0]["found"]
    assert len(contended.aws("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == 1
    assert doubled(contended) == {}


def test_the_lease_of_a_killed_process_is_shown_removed_and_no_obstacle(contended: Clouds, pipeline: Path) -> None:
    command = ("run", str(pipeline), "--date", "1998-06-24", "--to", "features")
    slow(contended, "snowflake:MERGE", 1)
    for unlocking in (True, False):
        first = start(contended, *command)
        wait_until(lambda: has_lease(contended), first)
        first.kill()
        first.communicate()
        if unlocking:
            assert f"(process {first.pid})" in contended.snowsage("runs", str(pipeline)).stdout
            assert f"(process {first.pid})" in contended.snowsage("runs", str(pipeline), "--unlock").stdout
            assert "there is no lease to remove" in contended.snowsage("runs", str(pipeline), "--unlock").stdout
    fast(contended)
    contended.snowsage(*command)
    assert doubled(contended) == {}


_UNLEASED = """
import sys
from contextlib import contextmanager
from pathlib import Path
import app.pipeline
from app import spec
from app.cli.console import ConsoleProgress
from app.pipeline import look_up_run, run_stages
from app.runs.stage import Context
from app.wiring import open_world
from datetime import date

class Free:
    def check(self): ...

@contextmanager
def free(*_):
    yield Free()

app.pipeline.held = free
file = spec.load(Path(sys.argv[1]))
with open_world() as world:
    context = Context(file, look_up_run(file, world.warehouse, date.fromisoformat(sys.argv[2])), world)
    run_stages(context, ConsoleProgress(), "features", sys.argv[3])
"""


def unleased(clouds: Clouds, pipeline: Path, day: str, last: str) -> subprocess.Popen[str]:
    """A run that ignores the lease, as one that has slept through its expiry."""
    return subprocess.Popen(
        [sys.executable, "-c", _UNLEASED, str(pipeline), day, last],
        env=clouds.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(clouds: Clouds, processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    ended = [(process.communicate(timeout=COMMAND_S)[1], process.returncode) for process in processes]
    fast(clouds)
    return [(code, said) for said, code in ended]


def test_two_processes_without_the_lease_write_the_same_slices_once(contended: Clouds, pipeline: Path) -> None:
    slow(contended, "snowflake:DELETE", 0.3)
    ended = end(contended, [unleased(contended, pipeline, "1998-06-17", "features") for _ in range(2)])
    assert 0 in [code for code, _ in ended], ended
    assert doubled(contended) == {}
    contended.snowsage("run", str(pipeline), "--date", "1998-06-17", "--to", "export")


def test_two_processes_without_the_lease_pay_for_one_training_job(contended: Clouds, pipeline: Path) -> None:
    contended.snowsage("run", str(pipeline), "--date", "1998-06-10", "--to", "export")
    # Both have looked for a job before either has started one.
    slow(contended, "sagemaker:CreateTrainingJob", 3)
    ended = end(contended, [unleased(contended, pipeline, "1998-06-10", "train") for _ in range(2)])
    assert [code for code, _ in ended] == [0, 0], ended
    assert len(jobs(contended, "churn-19980610-")) == 1


def test_two_dates_without_the_lease_register_two_versions(contended: Clouds, pipeline: Path) -> None:
    days = ("1998-06-03", "1998-06-10")
    slow(contended, "s3:PutObject", 0.5)
    ended = end(contended, [unleased(contended, pipeline, day, "registry") for day in days])
    assert [code for code, _ in ended] == [0, 0], ended
    runs = [f"{day.replace('-', '')}-%" for day in days]
    rows = contended.query(
        f"SELECT RUN_ID, VERSION FROM ML.MODEL_REGISTRY WHERE RUN_ID LIKE '{runs[0]}' OR RUN_ID LIKE '{runs[1]}'"
    )
    assert len(rows) == len({version for _, version in rows}) == 2, rows
    assert [len(jobs(contended, f"churn-{run.removesuffix('%')}")) for run in runs] == [1, 1]
    assert doubled(contended) == {}


def jobs(clouds: Clouds, prefix: str) -> list[str]:
    found = clouds.aws("sagemaker").list_training_jobs(NameContains=prefix)["TrainingJobSummaries"]
    return [job["TrainingJobName"] for job in found]
