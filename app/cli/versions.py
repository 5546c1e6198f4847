"""``versions``, ``promote`` and ``rollback``: list a model's registered versions, and change which of them is live."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Folder, Json

if TYPE_CHECKING:
    from app.deploy.promotion import Changed
    from app.runs.stage import Tell, World
    from app.spec import PipelineFile

group = typer.Typer()


@group.command()
def versions(pipeline: Folder, json: Json = False) -> None:
    """List the model's versions, newest first, and the share of the entities that each live version answers."""
    from app import spec
    from app.cli import console
    from app.registry.run import versions_of
    from app.wiring import live_record, open_warehouse

    name = spec.load(pipeline).pipeline.name
    with open_warehouse() as warehouse:
        found = versions_of(name, warehouse)
    live = live_record(name) if found else None
    shares = live.versions if live else {}
    if json:
        console.print_json([{**asdict(item), "share": shares.get(item.version, 0.0)} for item in found])
    elif found:
        console.out.print(console.versions_table(found, shares))
    else:
        console.out.print(f"{name} has no version yet; `snowsage run {pipeline}` makes the first")


@group.command()
def promote(
    pipeline: Folder,
    version: Annotated[str, typer.Argument(help="A version that passed its gate, such as 1.1.", show_default=False)],
    share: Annotated[
        str,
        typer.Option(
            help="Share of the entities that it answers next to the live version, such as 10% or 0.1; default: all."
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Make a registered version live, or with --share start an experiment next to the live one.

    In an experiment, the version that answers is chosen by hashing the entity key. `promote` without --share ends the
    experiment with the named version, `rollback` with the version that was live before.
    """
    from app.deploy import promotion
    from app.deploy.experiment import parse_share

    part = parse_share(share) if share else None
    with _changing(pipeline, "promote") as (file, world, tell):
        done = promotion.promote(file, world, version, part, tell, _say_live)
    _show_change(done, json)


@group.command()
def rollback(pipeline: Folder, json: Json = False) -> None:
    """End an experiment, or return to the version that was live before."""
    from app.deploy import promotion

    with _changing(pipeline, "rollback") as (file, world, tell):
        done = promotion.rollback(file, world, tell, _say_live)
    _show_change(done, json)


@contextmanager
def _changing(folder: Path, verb: str) -> Iterator[tuple[PipelineFile, World, Tell]]:
    """Pipeline file, adapters and progress for a change of the live version."""
    from app import spec
    from app.cli import console
    from app.wiring import open_world

    file, progress = spec.load(folder), console.ConsoleProgress()
    with open_world() as world:
        progress.begin(verb)
        try:
            yield file, world, progress.tell
        finally:
            progress.stop()


def _say_live(done: Changed) -> None:
    """What is live, before the command waits for the queries of the previous version."""
    from app.cli import console

    console.err.print(f"live now: {console.changed(done)}; queries of the previous version end next", markup=False)


def _show_change(done: Changed, json: bool) -> None:
    from app.cli import console

    if json:
        console.print_json(asdict(done))
    else:
        console.out.print(console.changed(done), markup=False)
