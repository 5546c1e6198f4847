"""Arguments and options that several commands share."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="PIPELINE", help="Folder with a pipeline.yaml.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="With --dry-run: show statements, requests and files, too.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
LogicalDate = Annotated[
    datetime | None,
    typer.Option("--date", formats=["%Y-%m-%d"], help="Logical date; default: the pipeline's own, or today (UTC)."),
]
KnownAt = Annotated[
    datetime | None,
    typer.Option(
        "--known-at",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        help="Rebuild: take the features as the store held them at this time (UTC), and compute none.",
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample",
        min=1,
        metavar="N",
        help="For development: run on copies of the sources with at least N entities, as a pipeline of its own, NAME-sample.",
    ),
]
State = Annotated[Path, typer.Option("--state", help="Folder for key, connection file, jobs and endpoints.")]
