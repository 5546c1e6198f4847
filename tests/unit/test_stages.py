"""Stages: a stage that is added to the list is run, planned in a dry run and available as a command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import typer
from typer.testing import CliRunner

from app.cli import console, run
from app.errors import CallerError
from app.pipeline import STAGES, Stages, explain_stages, run_stages
from app.ports import Table
from app.runs.stage import Context, Stage, Summary, World
from app.sql import Statement
from tests.support.fakes import FakeHosting, FakeService, FakeStore, FakeTraining, FakeWarehouse
from tests.unit import churn


@dataclass(frozen=True)
class Counted:
    """The result of the stage ``count``."""

    rows: int


@dataclass(frozen=True)
class Doubled:
    """The result of the stage ``double``."""

    rows: int


COUNT = Stage(
    name="count",
    help="Count the orders.",
    result=Counted,
    plan=lambda _: Statement("SELECT COUNT(*) FROM RAW.ORDERS WHERE AMOUNT > ?", (0,)),
    run=lambda context, plan: Counted(context.world.warehouse.run(plan).scalar()),
    explain=lambda _, plan: [plan.shown],
    summarize=lambda result: Summary("counted", result.rows, "RAW.ORDERS"),
)
DOUBLE = Stage(
    name="double",
    help="Double the count.",
    result=Doubled,
    plan=lambda context: context.result(COUNT).rows * 2,
    run=lambda _, plan: Doubled(plan),
    explain=lambda _, plan: [f"double to {plan}"],
    summarize=lambda result: Summary("doubled", result.rows, "nowhere"),
    needs=(COUNT,),
)
TOY: Stages = (COUNT, DOUBLE)


class Ledger:
    """``ML.RUNS`` in memory: executes the ledger's statements."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def find(self, statement: Statement) -> Table:
        stage = statement.binds[1]
        return Table((), [(self.rows[stage],)] if stage in self.rows else [])

    def record(self, statement: Statement) -> Table:
        if statement.binds[2] != "run":
            self.rows[statement.binds[2]] = statement.binds[-1]
        return Table((), [])


@pytest.fixture
def world() -> World:
    ledger = Ledger()
    answers = {
        "SELECT RESULT": ledger.find,
        "MERGE INTO": ledger.record,
        "HASH_AGG": [(7, 12)],
        "SELECT COUNT(*) FROM RAW.ORDERS": [(21,)],
    }
    warehouse = FakeWarehouse(answers, {'"RAW"."ORDERS"': churn.SOURCE})
    return World(churn.platform(), warehouse, FakeStore(), FakeTraining(None), FakeHosting(None), FakeService("1.0"))


def context(world: World) -> Context:
    return Context(churn.FILE, churn.RUN, world)


def results(world: World, **options: object) -> list[object]:
    finished = run_stages(context(world), console.ConsoleProgress(), "count", "double", stages=TOY, **options)
    return [(done.stage.name, done.result, done.found) for done in finished]


def test_stages_run_in_order_and_are_reused_the_second_time(world: World) -> None:
    assert results(world) == [("count", Counted(21), False), ("double", Doubled(42), False)]
    assert results(world) == [("count", Counted(21), True), ("double", Doubled(42), True)]
    assert results(world, again=True) == [("count", Counted(21), False), ("double", Doubled(42), False)]


def test_a_stage_whose_inputs_are_not_finished_is_rejected(world: World) -> None:
    with pytest.raises(
        CallerError, match=r"has not finished count, which double needs; run `snowsage run .* --to count`"
    ):
        run_stages(context(world), console.ConsoleProgress(), "double", "double", stages=TOY)


def test_a_dry_run_shows_plans_and_unknown_inputs(world: World) -> None:
    assert explain_stages(context(world), "count", "double", stages=TOY) == {
        "count": ["SELECT COUNT(*) FROM RAW.ORDERS WHERE AMOUNT > ?\n-- with 1 bind"],
        "double": ["not known yet: it depends on the result of count"],
    }
    results(world)
    finished = ["finished before; found, not done again"]
    assert explain_stages(context(world), "count", "double", stages=TOY) == {"count": finished, "double": finished}
    assert explain_stages(context(world), "double", "double", again=True, stages=TOY) == {"double": ["double to 42"]}


def test_a_dry_run_plans_from_the_preview_of_a_stage_that_is_not_selected(world: World) -> None:
    previewed = Stage(**{**vars(COUNT), "preview": lambda _context, _plan: Counted(5)})
    double = Stage(
        **{**vars(DOUBLE), "plan": lambda context: context.result(previewed).rows * 2, "needs": (previewed,)}
    )
    explained = explain_stages(context(world), "double", "double", stages=(previewed, double))
    assert explained == {"double": ["double to 10"]}


def command_line(world: World, *arguments: str) -> str:
    @contextmanager
    def open_world() -> Iterator[World]:
        yield world

    program = typer.Typer()
    program.add_typer(run.commands(TOY, open_world))
    done = CliRunner().invoke(program, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_line_has_a_command_for_each_stage(world: World) -> None:
    help = command_line(world, "--help")
    assert "Count the orders." in help
    assert "Double the count." in help
    assert "[default: double]" in command_line(world, "run", "--help")


def test_run_and_the_stage_commands_run_the_stages(world: World) -> None:
    folder = str(churn.FOLDER)
    finished = json.loads(command_line(world, "run", folder, "--json"))
    assert [(item["stage"], item["result"]) for item in finished] == [("count", {"rows": 21}), ("double", {"rows": 42})]
    assert "double to 42" in command_line(world, "double", folder, "--dry-run")


def test_every_stage_declares_needs_that_come_before_it() -> None:
    for at, stage in enumerate(STAGES):
        assert set(stage.needs) <= set(STAGES[:at]), stage.name
        assert stage.help.endswith("."), stage.name
