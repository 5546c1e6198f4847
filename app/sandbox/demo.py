"""The demo: two clouds and the service as processes of their own, the churn example through every stage, and SQL at the end.

It is the README's three commands in one (``local up``, ``serve``, ``run``), and then asks what an analyst would ask. Nothing here
knows that the clouds are local but the command that starts them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.panel import Panel

from app import console, spec
from app.deploy.plan import function_name
from app.errors import CallerError, PermanentError
from app.features.store import current_view
from app.pipeline import STAGES, Context, Finished, World, look_up_run, run_stages
from app.ports import Table
from app.registry.versions import RegisteredVersion
from app.sandbox.cloud import read_environment
from app.serve.security.credentials import HEADER
from app.share import shared
from app.spec import PipelineFile
from app.sql import Name, Statement, columns
from app.wiring import open_world

#: Seconds that the clouds, and then the service, have to answer. They take a few; a slow machine takes longer.
_START_S = 120

#: Seconds that a child has to end after SIGTERM before it is killed; endpoints and jobs are its to end.
_END_S = 20

_SHOWN_CUSTOMERS = 8


@dataclass(frozen=True)
class Answers:
    """What the SQL at the end said. ``equal`` of ``rows`` live scores are those of the prediction table, bit for bit."""

    query: str
    riskiest: Table
    rows: int
    equal: int
    batches: int


def run_demo(state: Path, keep: bool) -> None:
    """Everything, in one process's sight. ``keep``: stay until Ctrl-C, to look around."""
    started, state = time.monotonic(), state.resolve()
    file = spec.load(shared("examples") / "churn")
    with ExitStack() as children:
        with console.working("starting Snowflake and AWS on this machine, and setting both up"):
            children.enter_context(_clouds(state, file))
        os.environ.update(read_environment(state))
        console.err.print(
            "[green]✓[/green] [bold]clouds[/bold]    Snowflake, AWS and API Gateway run on this machine, set up by infra/"
        )
        with console.working("starting the service"):
            children.enter_context(_service(state))
        console.err.print(
            f"[green]✓[/green] [bold]serve[/bold]     the service answers at {os.environ['SNOWSAGE_API_URL']}"
        )
        with open_world() as world:
            context = Context(file, look_up_run(file, world.warehouse), world)
            finished = _run(context)
            with console.working("asking SQL"):
                answers = _ask(context, world)
        _show(finished, answers, time.monotonic() - started)
        if keep:
            _stay(state)


def _run(context: Context) -> list[Finished]:
    progress = console.ConsoleProgress()
    try:
        return run_stages(context, progress, next(iter(STAGES)), list(STAGES)[-1])
    finally:
        progress.stop()


def _ask(context: Context, world: World) -> Answers:
    version: RegisteredVersion = context.results["registry"]
    pipeline = context.file.pipeline
    function, view, key = function_name(pipeline), current_view(pipeline.name), pipeline.key
    contract = version.made_contract()
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
    if rows != context.results["batch"].scored:
        raise PermanentError(f"{rows:,} rows came back through SQL, {context.results['batch'].scored:,} were scored")
    return Answers(query, riskiest, rows, equal, batches)


def _batches(world: World) -> int:
    """How many batches Snowflake has sent so far; only the local one can tell."""
    return int(world.warehouse.run(Statement("SELECT COUNT(*) FROM SNOWSAGE_LOCAL.EXTERNAL_FUNCTION_CALLS")).scalar())


def _show(finished: list[Finished], answers: Answers, seconds: float) -> None:
    console.out.print()
    console.out.print(console.stages_table(finished))
    console.out.print(f"\n{_quality(finished)}\n", soft_wrap=True)
    console.out.print(
        Panel(answers.query, title="the best customers, and how likely each is not to come back", title_align="left")
    )
    console.out.print(console.answer_table(answers.riskiest))
    verdict = "equal" if answers.equal == answers.rows else f"[red]only {answers.equal:,} equal[/red]"
    console.out.print(
        f"\nAll {answers.rows:,} customers scored through the external function, in {answers.batches} batches over HTTP: "
        f"{verdict}, bit for bit, to what the batch stage wrote into the table.",
        soft_wrap=True,
    )
    console.out.print(f"The whole of it took {seconds:.0f} s.")


def _quality(finished: list[Finished]) -> str:
    """The model's figure on the test rows beside what the best columns reach alone on the same rows."""
    report = next(done.result.report for done in finished if done.stage == "registry")
    metric = report["metric"]
    alone = ", ".join(f"{item['column']} {item['value']:.4f}" for item in report["single_columns"][:3])
    return (
        f"On {report['parts']['test']['rows']:,} test rows, later than all it was trained on, the model's {metric} is "
        f"{report['metrics']['test'][metric]:.4f}; single columns alone reach {alone}."
    )


def _stay(state: Path) -> None:
    console.out.print(
        f"\nEverything keeps running until Ctrl-C. In another shell:\n  source {state}/env.sh\n"
        '  snowsage sql "SELECT * FROM ML.DRIFT ORDER BY PSI DESC"\n  snowsage versions examples/churn'
    )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.out.print("stopping")


@contextmanager
def _clouds(state: Path, file: PipelineFile) -> Iterator[None]:
    command = ["local", "up", str(file.folder), "--state", str(state)]
    with _child(command, state.with_suffix(".log")) as process:

        def ready() -> bool:
            try:
                return "SNOWSAGE_EXECUTION_ROLE_ARN" in read_environment(state)
            except CallerError:
                return False  # not written yet

        _wait("the clouds", process, ready, state.with_suffix(".log"))
        yield


@contextmanager
def _service(state: Path) -> Iterator[None]:
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
    """``snowsage`` with these arguments, its words in ``log``; ended at the end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            stdout=words,
            stderr=subprocess.STDOUT,
            # A Ctrl-C in the terminal is for the demo; it ends its children in order.
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
    raise PermanentError(f"{what} did not answer within {_START_S} s; {log} says what they did")
