"""``features``: the stage's own verb, and a look into the feature store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import DryRun, Json, KnownAt, LogicalDate, Verbose
from app.cli.run import Request, execute
from app.errors import CallerError
from app.pipeline import STAGES
from app.wiring import open_world

if TYPE_CHECKING:
    from app.features.catalogue.listing import ListedFeature, ShownVersion

group = typer.Typer()

VERB = "features"

Pipeline = Annotated[
    Path | None, typer.Argument(metavar="PIPELINE", help="Folder with a pipeline.yaml.", show_default=False)
]
Listed = Annotated[bool, typer.Option("--list", help="List every feature in the store, and who uses it.")]
Shown = Annotated[
    str, typer.Option("--show", metavar="VIEW", help="Show a view: its versions, features and definition.")
]


@group.command(VERB)
def features(
    pipeline: Pipeline = None,
    dry_run: DryRun = False,
    day: LogicalDate = None,
    known_at: KnownAt = None,
    listed: Listed = False,
    show: Shown = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Compute the views at every as-of time into FEATURE_STORE, or look into the store.

    With PIPELINE, runs the stage again, and reuses complete slices. --list and --show need no pipeline.
    """
    if listed or show:
        _refuse_pipeline(pipeline, "--list" if listed else "--show")
        _list(json) if listed else _show(show, json)
        return
    if pipeline is None:
        raise CallerError("name the folder of a pipeline, `snowsage features PIPELINE`, or write --list or --show VIEW")
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
