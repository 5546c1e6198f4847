"""``routines``: create the SQL functions and procedures of a pipeline's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from app.cli.options import DryRun, Folder, Json

if TYPE_CHECKING:
    from app.features.routines.functions import Routine

group = typer.Typer()


@group.command()
def routines(pipeline: Folder, dry_run: DryRun = False, json: Json = False) -> None:
    """Create the SQL functions of the RFM score, and a procedure for each view that writes its slice of one day.

    The procedures write into tables that `snowsage features` has created. Run it again when a view's definition has changed.
    """
    from app import spec
    from app.cli import console
    from app.features.routines.functions import create_routines, rfm_functions
    from app.features.routines.procedures import refresh_procedures
    from app.wiring import open_warehouse

    file = spec.load(pipeline)
    name = file.pipeline.name
    with open_warehouse() as warehouse:
        made = (*rfm_functions(name), *refresh_procedures(warehouse, file))
        if not dry_run:
            create_routines(warehouse, name, made)
    if json:
        console.print_json({"routines": [_described(each) for each in made]})
        return
    for each in made:
        text = each.create.text if dry_run else f"{each.kind.lower()} {each.name} created"
        console.out.print(text, markup=False, highlight=False, soft_wrap=True)


def _described(routine: Routine) -> dict[str, str]:
    return {"kind": routine.kind, "name": str(routine.name), "statement": routine.create.text}
