"""``init``: a first pipeline folder from a table in Snowflake."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.errors import CallerError

if TYPE_CHECKING:
    from app.ports import Warehouse
    from app.spec.draft import Draft, Request

group = typer.Typer()


@group.command()
def init(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="NAME", help="Folder to make; its last part is the pipeline's name.", show_default=False
        ),
    ],
    table: Annotated[str, typer.Option(help="Table or view with the data, such as RAW.CUSTOMERS.", show_default=False)],
    label: Annotated[str, typer.Option(help="Column to predict: a number, or two values.", show_default=False)],
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that identifies an entity; may be repeated. Default: found in the table.", show_default=False
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Column with the time of each row; leave it out for a table without time.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a pipeline folder for a table: pipeline.yaml and SQL for features and label, with comments.

    Reads the table to choose features, label and as-of times; changes nothing in Snowflake.
    """
    from app.cli import console
    from app.spec.draft import Request, check_name
    from app.sql import Name
    from app.wiring import open_warehouse

    check_name(folder.name)
    request = Request(folder.name, Name.parse(table), label, tuple(key or ()), time)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CallerError(f"{folder} exists already; choose another name, or remove it")
    with open_warehouse() as warehouse:
        with console.working(f"reading {request.table}"):
            draft = _draft(warehouse, request)
        with console.working("checking the new pipeline against the table"):
            _write(folder, draft, warehouse)
    for note in draft.notes:
        console.out.print(f"- {note}", markup=False, soft_wrap=True)
    console.out.print(
        f"\n{folder} is ready: {', '.join(draft.files)}. Read them, then:\n"
        f"  snowsage run {folder} --dry-run\n  snowsage run {folder}",
        markup=False,
        soft_wrap=True,
    )


def _draft(warehouse: Warehouse, request: Request) -> Draft:
    from app.spec.draft import find_key_names, plan_draft
    from app.spec.profile import count_entities, read_profile

    profile = read_profile(warehouse, request.table)
    names = find_key_names(request, profile)
    entities = count_entities(warehouse, request.table, names) if len(names) > 1 else None
    return plan_draft(request, profile, datetime.now(UTC).date(), entities)


def _write(folder: Path, draft: Draft, warehouse: Warehouse) -> None:
    """Write the files, and check that the pipeline loads and that Snowflake accepts its queries; else remove them again."""
    existed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, text in draft.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        _check(folder, warehouse)
    except BaseException:
        for name in draft.files:
            (folder / name).unlink(missing_ok=True)
        if not existed:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _check(folder: Path, warehouse: Warehouse) -> None:
    from app import spec
    from app.features.definitions.source_label import load_label
    from app.features.definitions.views import load_view
    from app.runs.identity import Run, now

    file = spec.load(folder)
    pipeline, described = file.pipeline, dict[str, Any]()
    run = Run(pipeline.name, "", pipeline.logical_date or datetime.now(UTC).date(), now())
    label = load_label(warehouse, file, run, described)
    for view, beyond in (
        (load_view(folder, pipeline.features[0].define, described), timedelta()),
        (label, pipeline.horizon),
    ):
        warehouse.describe(view.query(warehouse, pipeline.sources, run.as_of, run.as_of + beyond))
