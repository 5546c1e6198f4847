"""``demo``: both clouds on this machine, the churn example through every stage, and scores in SQL.

It does what ``local up``, ``serve`` and ``run`` do, and then runs an analyst's queries.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import State
from app.monitor.stage import STAGE as MONITOR
from app.pipeline import Finished, look_up_run, run_stages
from app.registry.stage import STAGE as REGISTRY
from app.runs.stage import Context
from app.sandbox.errors import local_cloud

if TYPE_CHECKING:
    from app.sandbox.demo import Answers

group = typer.Typer()

_LOOK = """  snowsage versions examples/churn
  snowsage sql "SELECT * FROM ANALYTICS.CHURN_SCORES ORDER BY SCORE DESC LIMIT 10; SELECT * FROM ML.DRIFT ORDER BY PSI DESC"
  snowsage run examples/churn            # finds everything done; change pipeline.yaml, and it makes the next version
"""


@group.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep clouds and service running until Ctrl-C.")] = False,
    state: State = Path(".snowsage/demo"),
) -> None:
    """Run the churn example on this machine: both clouds, every stage, scores in SQL."""
    with local_cloud():
        _demo(state.resolve(), keep)


def _demo(state: Path, keep: bool) -> None:
    from app import spec
    from app.cli import console
    from app.resources import shared
    from app.sandbox.demo import ask, clouds, service
    from app.wiring import open_world

    started = time.monotonic()
    file = spec.load(shared("examples") / "churn")
    with ExitStack() as children:
        with console.working("starting Snowflake and AWS on this machine, and setting both up"):
            children.enter_context(clouds(state, file))
        console.err.print(
            "[green]✓[/green] [bold]clouds[/bold]    Snowflake, AWS and API Gateway run on this machine, set up by infra/"
        )
        with console.working("starting the service"):
            children.enter_context(service(state))
        console.err.print(
            f"[green]✓[/green] [bold]serve[/bold]     the service answers at {os.environ['SNOWSAGE_API_URL']}"
        )
        with open_world() as world:
            context = Context(file, look_up_run(file, world.warehouse), world)
            finished = _run(context)
            with console.working("querying the scores in SQL"):
                answers = ask(context)
        _show(finished, answers, time.monotonic() - started)
        if keep:
            _stay(state)
    if not keep:
        _show_next_steps(state)


def _run(context: Context) -> list[Finished]:
    from app.cli import console

    progress = console.ConsoleProgress()
    try:
        return run_stages(context, progress)
    finally:
        progress.stop()


def _show(finished: list[Finished], answers: Answers, seconds: float) -> None:
    from rich.panel import Panel

    from app.cli import console, query_result

    console.out.print()
    console.out.print(console.stages_table(finished))
    console.out.print(f"\n{_quality(finished)}\n", soft_wrap=True)
    if drift := _drift(finished):
        console.out.print(f"{drift}\n", soft_wrap=True)
    console.out.print(
        Panel(answers.query, title="the best customers, and how likely each is not to come back", title_align="left")
    )
    console.out.print(query_result.answer_table(answers.riskiest))
    verdict = "equal" if answers.equal == answers.rows else f"[red]only {answers.equal:,} equal[/red]"
    console.out.print(
        f"\nAll {answers.rows:,} customers scored through the external function, in {answers.batches} batches over HTTP: "
        f"{verdict}, bit for bit, to what the batch stage wrote into the table.",
        soft_wrap=True,
    )
    console.out.print(f"The demo took {seconds:.0f} s.")


def _quality(finished: list[Finished]) -> str:
    """The model's metric on the test rows, next to what the best single columns reach on the same rows."""
    report = next(done.result.report for done in finished if done.stage is REGISTRY)
    metric = report["metric"]
    alone = ", ".join(f"{item['column']} {item['value']:.4f}" for item in report["single_columns"][metric][:3])
    return (
        f"On {report['parts']['test']['rows']:,} test rows, later than all it was trained on, the model's {metric} is "
        f"{report['metrics']['test'][metric]:.4f}; single columns alone reach {alone}."
    )


def _drift(finished: list[Finished]) -> str:
    """Why features of the example moved; empty if none did."""
    result = next(done.result for done in finished if done.stage is MONITOR)
    if not result.drifted:
        return ""
    moved = ", ".join(f"{feature.feature} {feature.psi:.2f}" for feature in result.features if feature.drifted)
    return (
        f"Drift (PSI above {result.threshold:g}): {moved}. This is expected here: all customers of the log first bought in early "
        "1997, so they are older at the logical date than in any training row. A table that gains customers has no such trend."
    )


def _show_next_steps(state: Path) -> None:
    """What remains, and what to do with it."""
    from app.cli import console

    shown = state.relative_to(Path.cwd()) if state.is_relative_to(Path.cwd()) else state
    console.out.print(
        f"\nTables, model, endpoint and files are kept in {shown}. To look at them, start the clouds again:\n"
        f"  snowsage local up --state {shown}\n"
        "and in another shell:\n"
        f"  source {shown}/env.sh\n"
        f"{_LOOK}"
        "  snowsage serve &                       # scores in SQL and over HTTP; /docs describes the service\n"
        "Your own data: `snowsage init NAME --table T --label COLUMN` writes a pipeline for a table. See README.md.",
        markup=False,
        soft_wrap=True,
    )


def _stay(state: Path) -> None:
    from app.cli import console

    console.out.print(
        f"\nEverything keeps running until Ctrl-C. In another shell:\n  source {state}/env.sh\n{_LOOK.rstrip()}",
        markup=False,
        soft_wrap=True,
    )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.out.print("stopping")
