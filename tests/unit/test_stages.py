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
from app.pipeline import STAGES, Explained, Stages, explain_stages, run_stages
from app.ports import Table
from app.runs.lease import TTL_S, Holder, RunInProgress, find_lease, held, lease_uri, this_process, unlock
from app.runs.stage import Context, Seen, Stage, Summary, World
from app.sql import Statement
from tests.support.fakes import FakeHosting, FakeService, FakeStore, FakeTraining, FakeWarehouse, changing_sources
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
        "ROW_HASH": changing_sources("orders"),
        "SELECT COUNT(*) FROM RAW.ORDERS": [(21,)],
        "CURRENT_ACCOUNT": [("AB12345", "SNOWSAGE")],
    }
    warehouse = FakeWarehouse(answers, {'AS "orders"': churn.EVENT_TIMES, '"RAW"."ORDERS"': churn.SOURCE})
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
        "count": Explained(
            "new", "Count the orders.", "", ("SELECT COUNT(*) FROM RAW.ORDERS WHERE AMOUNT > ?\n-- with 1 bind",)
        ),
        "double": Explained("unknown", "planned once count has finished"),
    }
    assert world.store.writes == []  # type: ignore[attr-defined]
    results(world)
    assert explain_stages(context(world), "count", "double", stages=TOY) == {
        "count": Explained("found", "counted"),
        "double": Explained("found", "doubled"),
    }
    assert explain_stages(context(world), "double", "double", again=True, stages=TOY) == {
        "double": Explained("new", "Double the count.", "", ("double to 42",))
    }


def test_a_dry_run_plans_from_the_preview_of_a_stage_that_is_not_selected(world: World) -> None:
    previewed = Stage(**{**vars(COUNT), "preview": lambda _context, _plan: Counted(5)})
    double = Stage(
        **{**vars(DOUBLE), "plan": lambda context: context.result(previewed).rows * 2, "needs": (previewed,)}
    )
    explained = explain_stages(context(world), "double", "double", stages=(previewed, double))
    assert explained == {"double": Explained("new", "Double the count.", "", ("double to 10",))}


def looking(answer: Seen[Counted]) -> Stages:
    """``count`` with a world that says ``answer`` of its recorded result, and ``double``."""
    count = Stage(**{**vars(COUNT), "look": lambda _context, _result: answer})
    return count, Stage(**{**vars(DOUBLE), "needs": (count,)})


def test_a_recorded_result_is_compared_with_the_world(world: World) -> None:
    results(world)
    gone = looking(Seen(None, "the table is gone"))
    finished = run_stages(context(world), console.ConsoleProgress(), "count", "double", stages=gone)
    assert [(done.found, done.note) for done in finished] == [(False, "the table is gone"), (True, "")]
    assert explain_stages(context(world), "count", "count", stages=gone)["count"].note == "the table is gone"
    with pytest.raises(CallerError, match="has not finished count"):
        run_stages(context(world), console.ConsoleProgress(), "double", "double", stages=gone)
    by_hand = looking(Seen(Counted(7), "changed by hand"))
    finished = run_stages(context(world), console.ConsoleProgress(), "count", "double", again=True, stages=by_hand)
    assert [done.result for done in finished] == [Counted(21), Doubled(42)]
    (done,) = run_stages(context(world), console.ConsoleProgress(), "count", "count", stages=by_hand)
    assert (done.result, done.found, done.note) == (Counted(7), True, "changed by hand")


def test_owners_are_checked_before_the_first_stage_runs(world: World) -> None:
    def refuse(_: Context) -> None:
        raise CallerError("table T belongs to pipeline other")

    taken = (COUNT, Stage(**{**vars(DOUBLE), "check": refuse}))
    warehouse = world.warehouse
    assert isinstance(warehouse, FakeWarehouse)
    for act in (
        explain_stages,
        lambda *names, stages: run_stages(names[0], console.ConsoleProgress(), *names[1:], stages=stages),
    ):
        with pytest.raises(CallerError, match="table T belongs to pipeline other"):
            act(context(world), "count", "double", stages=taken)
    assert [text for text in warehouse.texts if "CURRENT_ACCOUNT" not in text] == []
    assert world.store.writes == []  # type: ignore[attr-defined]


def test_the_first_run_marks_the_folder_on_s3(world: World) -> None:
    results(world)
    results(world)
    written = [uri for uri in world.store.writes if not uri.endswith("lease.json")]  # type: ignore[attr-defined]
    assert written == ["s3://lake/churn/owner.json"]


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
    assert "[default: count]" in command_line(world, "run", "--help")


def test_run_and_the_stage_commands_run_the_stages(world: World) -> None:
    folder = str(churn.FOLDER)
    finished = json.loads(command_line(world, "run", folder, "--json"))
    assert [(item["stage"], item["result"]) for item in finished] == [("count", {"rows": 21}), ("double", {"rows": 42})]
    assert "Double the count." in command_line(world, "double", folder, "--dry-run")
    assert "double to 42" not in command_line(world, "double", folder, "--dry-run")
    assert "double to 42" in command_line(world, "double", folder, "--dry-run", "--verbose")


def test_every_stage_declares_needs_that_come_before_it() -> None:
    for at, stage in enumerate(STAGES):
        assert set(stage.needs) <= set(STAGES[:at]), stage.name
        assert stage.help.endswith("."), stage.name


def test_a_second_process_is_refused_before_it_writes_anything(world: World) -> None:
    with held(world.store, lease_uri(churn.BUCKET, "churn"), "run 19980701-0a1b2c3d, features to monitor"):
        with pytest.raises(RunInProgress, match="run 19980701-0a1b2c3d, features to monitor, since"):
            run_stages(context(world), console.ConsoleProgress(), "count", "double", stages=TOY)
        assert [text for text in world.warehouse.texts if "CURRENT_ACCOUNT" not in text] == []
    run_stages(context(world), console.ConsoleProgress(), "count", "double", stages=TOY)
    assert list(world.store.objects) == ["s3://lake/churn/owner.json"]


def test_a_process_that_loses_its_lease_stops_at_its_next_step(world: World) -> None:
    """Another process takes the lease over while this one polls its training job."""
    other = Holder("other", "run x", this_process(), "now", TTL_S)

    def poll(context: Context, _: object) -> Counted:
        unlock(world.store, lease_uri(churn.BUCKET, "churn"))
        world.store.write(lease_uri(churn.BUCKET, "churn"), other.to_json())
        while True:
            context.tell("churn-job: Training")

    polling = Stage(**{**vars(COUNT), "run": poll})
    with pytest.raises(RunInProgress, match=r"the lease was taken over: .*, run x, since now"):
        run_stages(context(world), console.ConsoleProgress(), "count", "count", stages=(polling,), renew_s=0.001)
    found = find_lease(world.store, lease_uri(churn.BUCKET, "churn"))
    assert found is not None
    assert found.holder == other, "the other process's lease stays"
