"""``erase``: remove one entity from everything that a pipeline stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.confirmation import confirm
from app.cli.options import DryRun, Folder, Json
from app.wiring import open_world

if TYPE_CHECKING:
    from app.erasure.run import Erasure

group = typer.Typer()

Key = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="COLUMN=VALUE", help="A column of the entity and its value; once for each column."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@group.command()
def erase(pipeline: Folder, key: Key = None, yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Remove one entity: its rows in every version of every view, in the label, in the prediction table, and in files on S3.

    The sources are the team's own and are not changed: a slice that is computed from them again holds the entity again.
    FEATURE_STORE.ERASURES records who erased what and when, with a salted digest of the key.
    """
    from app import spec
    from app.cli import console
    from app.erasure.key import parse_key
    from app.erasure.run import erase_entity, find_entity
    from app.pipeline import check_owners
    from app.runs.identity import Run, now
    from app.runs.lease import held, lease_uri
    from app.runs.stage import Context

    file = spec.load(pipeline)
    wanted, name = parse_key(file.pipeline.entity, key or []), file.pipeline.name
    with open_world() as world:
        bucket, parts = world.platform.bucket, (world.warehouse, world.store, file.pipeline)
        check_owners(Context(file, Run(name, "", now().date(), now()), world), (), write=False)
        if dry_run:
            with console.working("searching tables and files"):
                _, done = find_entity(*parts, bucket, wanted)
        else:
            confirm(f"This removes one entity from all tables and files of {name}", yes=yes)
            with (
                held(world.store, lease_uri(bucket, name), "erase") as lease,
                console.working("searching and removing"),
            ):
                done = erase_entity(*parts, bucket, wanted, lambda _: lease.check())
    if json:
        console.print_json({**asdict(done), "removed": not dry_run})
    else:
        for line in _sentences(done, dry_run=dry_run):
            console.out.print(line, markup=False, soft_wrap=True)


def _sentences(done: Erasure, *, dry_run: bool) -> list[str]:
    verb = "would remove" if dry_run else "removed"
    lines = [f"{verb} {_counted(done.tables, 'table')}", f"{verb} {_counted(done.files, 'file')}"]
    if kept := {table: rows for table, rows in done.sources.items() if rows}:
        lines.append(
            f"the sources still hold the entity ({_listed(kept)}); delete it there, or the next slice that is computed from them "
            "holds it again"
        )
    if done.unmatched:
        lines.append(
            f"{len(done.unmatched)} files cannot be searched by this key (captured or deferred requests without it): "
            f"{', '.join(done.unmatched[:3])}{' ...' if len(done.unmatched) > 3 else ''}"
        )
    if done.unkeyed:
        lines.append(f"tables without the key's columns are left as they are: {', '.join(done.unkeyed)}")
    lines.append(
        "earlier versions remain until they expire: Snowflake's Time Travel and Fail-safe, and noncurrent versions on S3. Models "
        "that were trained with the entity are not trained again"
    )
    return [*lines, "Nothing was changed." if dry_run else f"recorded as {done.id} in FEATURE_STORE.ERASURES"]


def _counted(found: Mapping[str, int], what: str) -> str:
    held = {name: rows for name, rows in found.items() if rows}
    rows = sum(held.values())
    listed = f": {_listed(held)}" if held and what == "table" else ""
    return f"{rows:,} row{'' if rows == 1 else 's'} from {len(held)} {what}{'' if len(held) == 1 else 's'}{listed}"


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {rows:,}" for name, rows in found.items())
