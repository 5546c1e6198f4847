"""``run``, and one verb for each stage."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app import wiring
from app.cli.options import DryRun, Folder, Json, KnownAt, LogicalDate, Sample, Verbose
from app.errors import CallerError, Interrupted
from app.pipeline import STAGES, Stages, explain_stages, look_up_run, run_stages, stages_between
from app.runs.stage import Context, Stage, World

if TYPE_CHECKING:
    from app.spec import PipelineFile

#: A model of a sample is not worth an endpoint.
_LAST_OF_SAMPLE = "train"

OpenWorld = Callable[[], AbstractContextManager[World]]


@dataclass(frozen=True)
class Request:
    """A command's arguments. ``again``: run finished stages, too. ``rebuilds``: the time of ``--known-at``.

    ``sample``: run on at least so many entities; None: on all.
    """

    folder: Path
    first: str
    last: str
    dry_run: bool
    day: datetime | None
    json: bool
    again: bool
    verbose: bool
    rebuilds: datetime | None
    sample: int | None = None


def commands(
    stages: Stages = STAGES, open_world: OpenWorld = wiring.open_world, without: Collection[str] = ()
) -> typer.Typer:
    """``run`` over ``stages``, and a verb for each of them. ``open_world`` connects to both clouds.

    ``without``: stages whose verbs have modules of their own.
    """
    made = typer.Typer()

    @made.command()
    def run(
        pipeline: Folder,
        first: Annotated[str, typer.Option("--from", help="First stage to run.")] = stages[0].name,
        last: Annotated[
            str | None,
            typer.Option("--to", help=f"Last stage to run; default: the last one, of a sample {_LAST_OF_SAMPLE}."),
        ] = None,
        dry_run: DryRun = False,
        day: LogicalDate = None,
        known_at: KnownAt = None,
        sample: Sample = None,
        json: Json = False,
        verbose: Verbose = False,
    ) -> None:
        """Run the stages in order. Finished stages are skipped, so an interrupted run continues."""
        last = last or (stages[-1].name if sample is None else _LAST_OF_SAMPLE)
        request = Request(pipeline, first, last, dry_run, day, json, False, verbose, known_at, sample)
        execute(request, stages, open_world)

    for stage in [stage for stage in stages if stage.name not in without]:
        made.command(stage.name, help=_verb_help(stage))(_verb(stage.name, stages, open_world))
    return made


def _verb_help(stage: Stage[Any, Any]) -> str:
    return (
        f"{stage.help}\n\nRuns the stage again, and reuses complete results. The stages before it must have finished."
    )


def _verb(name: str, stages: Stages, open_world: OpenWorld) -> Callable[..., None]:
    def command(
        pipeline: Folder,
        dry_run: DryRun = False,
        day: LogicalDate = None,
        known_at: KnownAt = None,
        json: Json = False,
        verbose: Verbose = False,
    ) -> None:
        request = Request(pipeline, name, name, dry_run, day, json, again=True, verbose=verbose, rebuilds=known_at)
        execute(request, stages, open_world)

    return command


def execute(request: Request, stages: Stages, open_world: OpenWorld) -> None:
    """Run or explain the stages of a command, and print what was done."""
    from app import spec
    from app.cli import console

    stages_between(request.first, request.last, stages)
    file = spec.load(request.folder)
    for note in file.not_yet:
        console.err.print(f"[yellow]note:[/yellow] {note}", soft_wrap=True)
    with open_world() as world:
        if request.sample is not None:
            file = _sampled(request, request.sample, file, world)
        with console.working("reading the state of the sources"):
            day = request.day.date() if request.day else None
            found = look_up_run(file, world.warehouse, day, request.rebuilds)
        context = Context(file, found, world)
        if request.dry_run:
            _show_plan(context, request, stages)
            return
        console.err.print(f"run {found.id} of {found.pipeline}, logical date {found.logical_date}")
        progress = console.ConsoleProgress()
        try:
            finished = run_stages(context, progress, request.first, request.last, again=request.again, stages=stages)
        except KeyboardInterrupt as stop:
            raise Interrupted(
                str(stop) or "start the same command again to continue: finished stages are kept"
            ) from stop
        finally:
            progress.stop()
    if request.json:
        console.print_json(console.finished_json(finished))
    elif len(finished) > 1:
        console.out.print(console.stages_table(finished))


def _sampled(request: Request, wanted: int, file: PipelineFile, world: World) -> PipelineFile:
    from app.cli import console
    from app.features.definitions.sample import draw_sample

    if request.dry_run or request.rebuilds:
        other = "--dry-run" if request.dry_run else "--known-at"
        raise CallerError(f"--sample copies rows of the sources, which {other} does not; leave one of them out")
    with console.working("copying a sample of the sources"):
        sampled, what = draw_sample(world.warehouse, file, wanted)
    console.err.print(what, soft_wrap=True)
    return sampled


def _show_plan(context: Context, request: Request, stages: Stages) -> None:
    from app.cli import console

    plans = explain_stages(context, request.first, request.last, again=request.again, stages=stages)
    if request.json:
        console.print_json({name: asdict(plan) for name, plan in plans.items()})
        return
    console.out.print(console.plan_table(context.run, plans), markup=False)
    if request.verbose:
        for name, plan in plans.items():
            console.print_details(name, plan)
    elif any(plan.details for plan in plans.values()):
        console.out.print("Statements and requests: --verbose.")
    console.out.print("Nothing was changed.")
