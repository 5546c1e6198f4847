"""``validate``: a pipeline folder checked without Snowflake and AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from app.cli.options import Folder, Json
from app.errors import CallerError

if TYPE_CHECKING:
    from app.spec import Pipeline

group = typer.Typer()


@group.command()
def validate(pipeline: Folder, json: Json = False) -> None:
    """Check a pipeline folder without any connection: the file's keys, and the Python and SQL files that it names.

    Tables and columns are checked by `run --dry-run`, which asks Snowflake.
    """
    from app import spec
    from app.cli import console
    from app.spec.definitions import check_definitions

    file = spec.load(pipeline)
    if faults := check_definitions(file):
        raise CallerError("\n".join(faults))
    if json:
        console.print_json({"pipeline": file.pipeline.name, "notes": list(file.not_yet)})
        return
    for note in file.not_yet:
        console.err.print(f"[yellow]note:[/yellow] {note}", soft_wrap=True)
    console.out.print(_sentence(file.pipeline), markup=False, soft_wrap=True)


def _sentence(pipeline: Pipeline) -> str:
    views, when = len(pipeline.features), pipeline.label.as_of
    times = f"{when.last} as-of times" if when else f"one as-of time, split by {pipeline.training.split.by}"
    return (
        f"{pipeline.name} is valid: {views} view{'s' if views > 1 else ''} of {', '.join(pipeline.sources)}; label "
        f"{pipeline.label.column} at {times}; function {pipeline.serving.function}; scores in {pipeline.batch.table}"
    )
