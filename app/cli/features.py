"""``features``: the stage's own verb, and a look into the feature store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.confirmation import confirm
from app.cli.options import DryRun, Json, KnownAt, LogicalDate, Verbose
from app.cli.run import Request, execute
from app.errors import CallerError, Interrupted
from app.pipeline import STAGES, check_owners
from app.runs.identity import Run, now
from app.runs.lease import held, lease_uri
from app.runs.stage import Context, World
from app.wiring import open_world

if TYPE_CHECKING:
    from app.features.catalogue.listing import ListedFeature, ShownVersion
    from app.features.upkeep.backfill import Backfilled, BackfillPlan
    from app.spec import PipelineFile

group = typer.Typer()

VERB = "features"

Pipeline = Annotated[
    Path | None, typer.Argument(metavar="PIPELINE", help="Folder with a pipeline.yaml.", show_default=False)
]
Listed = Annotated[bool, typer.Option("--list", help="List every feature in the store, and who uses it.")]
Shown = Annotated[
    str, typer.Option("--show", metavar="VIEW", help="Show a view: its versions, features and definition.")
]

First = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], help="Backfill: compute slices of all views from this date on (UTC)."),
]
Last = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Backfill: up to and including this date.")
]
Every = Annotated[str, typer.Option("--every", help="Backfill: the time between two slices, such as 7days.")]

Prune = Annotated[bool, typer.Option("--prune", help="Remove the rows of superseded slices; with --older-than.")]
OlderThan = Annotated[
    str, typer.Option("--older-than", help="With --prune: how long ago a later slice superseded them, such as 365days.")
]
Yes = Annotated[bool, typer.Option("--yes", help="With --prune: do not ask.")]


@group.command(VERB)
def features(
    pipeline: Pipeline = None,
    dry_run: DryRun = False,
    day: LogicalDate = None,
    known_at: KnownAt = None,
    listed: Listed = False,
    show: Shown = "",
    first: First = None,
    last: Last = None,
    every: Every = "",
    prune: Prune = False,
    older_than: OlderThan = "",
    yes: Yes = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Compute the views at every as-of time into FEATURE_STORE, or look into the store.

    With PIPELINE, runs the stage again, and reuses complete slices. With --from, --to and --every, it computes the views over a
    range of dates instead; an interrupted backfill continues. --prune removes slices that later ones of the same time
    superseded. --list and --show need no pipeline.
    """
    if listed or show:
        _refuse_pipeline(pipeline, "--list" if listed else "--show")
        _list(json) if listed else _show(show, json)
        return
    if pipeline is None:
        raise CallerError("name the folder of a pipeline, `snowsage features PIPELINE`, or write --list or --show VIEW")
    if prune or older_than:
        if not (prune and older_than):
            raise CallerError("--prune and --older-than belong together, for example --prune --older-than 365days")
        _prune(pipeline, _duration("--older-than", older_than), dry_run, yes, json)
        return
    if first or last or every:
        if day or known_at:
            raise CallerError("a backfill has dates of its own; leave --date and --known-at out")
        _backfill(pipeline, first, last, every, dry_run, json)
        return
    request = Request(pipeline, VERB, VERB, dry_run, day, json, again=True, verbose=verbose, rebuilds=known_at)
    execute(request, STAGES, open_world)


def _refuse_pipeline(pipeline: Path | None, option: str) -> None:
    if pipeline is not None:
        raise CallerError(f"{option} looks at the whole feature store; leave {pipeline} out")


def _list(json: bool) -> None:
    from app.cli import console
    from app.features.catalogue.listing import list_features
    from app.wiring import open_warehouse

    with open_warehouse() as warehouse:
        found = list_features(warehouse)
    if json:
        console.print_json([asdict(feature) for feature in found])
    elif found:
        console.out.print(console.features_table(found))
    else:
        console.out.print("the feature store is empty; `snowsage features PIPELINE` writes the first features")


def _show(view: str, json: bool) -> None:
    from app.cli import console
    from app.features.catalogue.listing import show_view
    from app.wiring import open_warehouse

    with open_warehouse() as warehouse:
        found = show_view(warehouse, view)
    if json:
        console.print_json([asdict(version) for version in found])
        return
    for version in found:
        console.out.print("\n".join(_headed(version)), markup=False, soft_wrap=True)
        console.out.print(console.features_table(version.features))
        console.out.print(f"\n{_transformations(version.features)}", markup=False, soft_wrap=True)
    console.out.print(f"\n{found[-1].definition}", markup=False, soft_wrap=True)


def _headed(version: ShownVersion) -> list[str]:
    """What holds for all features of a version, a line each."""
    first = version.features[0]
    said = {
        "entity": ", ".join(first.entity),
        "owner": first.owner,
        "description": first.description,
        "definition": first.define,
        "TTL": str(timedelta(seconds=first.ttl_s)) if first.ttl_s else None,
        "created": f"by {first.created_by} for pipeline {first.pipeline}, {first.created_at:%Y-%m-%d %H:%M} UTC",
        "used by": ", ".join(first.used_by),
    }
    return [f"{version.view}, version {version.version}", *(f"  {key:<13}{text}" for key, text in said.items() if text)]


def _transformations(features: Sequence[ListedFeature]) -> str:
    return "\n".join(f"{feature.feature} = {feature.transformation}" for feature in features)


def _backfill(
    folder: Path, first: datetime | None, last: datetime | None, every: str, dry_run: bool, json: bool
) -> None:
    from app import spec
    from app.cli import console
    from app.features.upkeep.backfill import plan_backfill, times_between

    if first is None or last is None or not every:
        raise CallerError(
            "a backfill needs --from, --to and --every, for example --from 2025-01-01 --to 2025-12-31 --every 7days"
        )
    file = spec.load(folder)
    times = times_between(file.pipeline, first, last, _duration("--every", every))
    with open_world() as world:
        check_owners(Context(file, _no_run(file.pipeline.name), world), (), write=not dry_run)
        with console.working(f"reading what slices of {len(times)} dates depend on"):
            plan = plan_backfill(world.warehouse, file, times)
        if not dry_run:
            done = _run_backfill(file, plan, world)
            said = f"{done.computed} slices of {len(done.views)} views computed, {done.found} were there"
            values = asdict(done)
        else:
            said = f"{plan.missing} slices of {len(plan.views)} views to compute, {plan.found} are there. Nothing was changed."
            values = {"times": plan.times, "missing": plan.missing, "found": plan.found}
    if json:
        console.print_json(values)
    else:
        console.out.print(said, markup=False, soft_wrap=True)


def _run_backfill(file: PipelineFile, plan: BackfillPlan, world: World) -> Backfilled:
    from app.cli import console
    from app.features.upkeep.backfill import backfill_run, run_backfill
    from app.runs.ledger import Ledger

    name, started = file.pipeline.name, time.monotonic()
    ledger, run = Ledger(world.warehouse), backfill_run(file, plan)
    try:
        with (
            held(world.store, lease_uri(world.platform.bucket, name), f"backfill {run.id}") as lease,
            console.bar("backfill", plan.missing) as advance,
        ):
            run = ledger.begin(run)
            sources = file.pipeline.sources
            done = run_backfill(plan, world.warehouse, run, sources, lambda _: lease.check(), advance)
            ledger.record(run, "backfill", done, time.monotonic() - started)
    except KeyboardInterrupt as stop:
        raise Interrupted(str(stop) or "start the same command again to continue: finished slices are kept") from stop
    return done


def _prune(folder: Path, older_than: timedelta, dry_run: bool, yes: bool, json: bool) -> None:
    from app import spec
    from app.cli import console
    from app.features.upkeep.retention import plan_prune, run_prune
    from app.registry.runs_in_use import runs_in_use

    pipeline = spec.load(folder).pipeline
    with open_world() as world:
        warehouse, uri = world.warehouse, lease_uri(world.platform.bucket, pipeline.name)
        plan = plan_prune(warehouse, pipeline, now() - older_than, runs_in_use(warehouse))
        used = f"; {plan.kept} more are in use and are kept" if plan.kept else ""
        said = f"{len(plan.remove)} superseded slices of {pipeline.name}, {plan.rows:,} rows"
        if plan.remove and not dry_run:
            confirm(f"This removes {said}", yes=yes)
            with held(world.store, uri, "features --prune"):
                run_prune(plan, warehouse, now())
    if json:
        console.print_json({**asdict(plan), "rows": plan.rows, "removed": not dry_run})
    else:
        end = ". Nothing was changed." if dry_run else ""
        console.out.print(f"{'to remove' if dry_run else 'removed'}: {said}{used}{end}", markup=False, soft_wrap=True)


def _no_run(pipeline: str) -> Run:
    """The run of a command that has none yet."""
    return Run(pipeline, "", now().date(), now())


def _duration(option: str, text: str) -> timedelta:
    from app.spec.values import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise CallerError(f"{option} {text}: {error}, such as 7days") from error
