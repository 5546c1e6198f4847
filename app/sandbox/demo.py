"""The steps of the demo: both clouds and the service as processes, and the SQL queries at its end.

Only :func:`clouds` starts something local; everything else works the same with real accounts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.batch.stage import STAGE as BATCH
from app.deploy.plan import function_name
from app.errors import CallerError, PermanentError
from app.features.store import current_view
from app.ports import Table
from app.registry.stage import STAGE as REGISTRY
from app.runs.stage import Context, World
from app.serve.security.credentials import HEADER
from app.spec import PipelineFile
from app.sql import Name, Statement, columns
from localcloud.errors import LocalCloudError
from localcloud.state import read_environment

#: Seconds for the clouds, and then for the service, to answer. Both take a few. The first start of the service also compiles its
#: reader, and a loaded machine takes minutes for that; a process that ends is noticed at once.
_START_S = 600

#: Seconds after SIGTERM until a child process is killed. In this time it ends endpoints and jobs, and saves what the clouds hold.
_END_S = 120

_SHOWN_CUSTOMERS = 8


@dataclass(frozen=True)
class Answers:
    """Results of the queries. ``equal``: how many of ``rows`` live scores equal the stored ones, bit for bit."""

    query: str
    riskiest: Table
    rows: int
    equal: int
    batches: int


def ask(context: Context) -> Answers:
    """Compare live scores with stored ones for all customers, and query the scores of some."""
    world = context.world
    pipeline = context.file.pipeline
    function, view, key = function_name(pipeline), current_view(pipeline.name), pipeline.key
    contract = context.result(REGISTRY).made_contract()
    arguments = columns([*([pipeline.serving.key] if pipeline.serving.key else []), *contract.names])
    call = f"{function}({arguments.replace(chr(34), '')})"
    query = (
        f"SELECT {key[0]}, ORDER_COUNT, TOTAL_SPENT, DAYS_SINCE_LAST_ORDER,\n       {call} AS RISK\n"
        f"FROM {view}\nORDER BY TOTAL_SPENT DESC LIMIT {_SHOWN_CUSTOMERS}"
    )
    same = (
        f"SELECT COUNT(*), COUNT_IF(live.RISK = stored.SCORE) FROM "
        f"(SELECT {columns([*key, 'AS_OF'])}, {call} AS RISK FROM {view.sql}) AS live "
        f"JOIN {Name.parse(pipeline.batch.table).sql} AS stored USING ({columns([*key, 'AS_OF'])})"
    )
    riskiest = world.warehouse.run(Statement(query))
    before = _batches(world)
    rows, equal = (int(value) for value in world.warehouse.run(Statement(same)).rows[0])
    batches = _batches(world) - before
    if rows != (scored := context.result(BATCH).scored):
        raise PermanentError(f"{rows:,} rows came back through SQL, {scored:,} were scored")
    return Answers(query, riskiest, rows, equal, batches)


def _batches(world: World) -> int:
    """How many batches Snowflake has sent so far; only the local one counts them."""
    return int(world.warehouse.run(Statement("SELECT COUNT(*) FROM SNOWSAGE_LOCAL.EXTERNAL_FUNCTION_CALLS")).scalar())


@contextmanager
def clouds(state: Path, file: PipelineFile) -> Iterator[None]:
    """Both clouds in a process of their own, set up, with the seeds of ``file``; this process's environment names them."""
    command = ["local", "up", str(file.folder), "--state", str(state), "--fresh"]
    with _child(command, state.with_suffix(".log")) as process:

        def ready() -> bool:
            try:
                return "SNOWSAGE_EXECUTION_ROLE_ARN" in read_environment(state)
            except LocalCloudError:
                return False  # the file is not written yet

        _wait("the clouds", process, ready, state.with_suffix(".log"))
        os.environ.update(read_environment(state))
        yield


@contextmanager
def service(state: Path) -> Iterator[None]:
    """The service in a process of its own."""
    probe = urllib.request.Request(  # noqa: S310  # our own address
        f"{os.environ['SNOWSAGE_API_URL']}/v2/health/ready", headers={HEADER: os.environ["SNOWSAGE_SECRET"]}
    )

    def ready() -> bool:
        try:
            with urllib.request.urlopen(probe, timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError):
            return False

    log = state / "serve.log"
    with _child(["serve"], log) as process:
        _wait("the service", process, ready, log)
        yield


@contextmanager
def _child(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``snowsage`` with these arguments, its output in ``log``; terminated when the context ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal reaches only the demo, which ends its children in order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(what: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CallerError(f"{what} did not start:\n{log.read_text(errors='replace').strip()[-2000:]}")
        if ready():
            return
        time.sleep(0.1)
    raise PermanentError(f"{what} did not answer within {_START_S} s; see {log}")
