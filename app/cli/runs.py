"""``runs``: list a pipeline's runs and the run in progress, or remove its lease."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Folder, Json

if TYPE_CHECKING:
    from app.runs.lease import Found

group = typer.Typer()

Unlock = Annotated[
    bool,
    typer.Option("--unlock", help="Remove the lease of a run whose process does not exist any more; start nothing."),
]


@group.command()
def runs(pipeline: Folder, unlock: Unlock = False, json: Json = False) -> None:
    """List the pipeline's runs, newest first, their finished stages, and the run in progress.

    One process at a time runs a pipeline. It has a lease on S3, which expires two minutes after the process has ended. --unlock
    removes it at once; if the process does exist, it stops at its next step.
    """
    from app import spec

    name = spec.load(pipeline).pipeline.name
    if unlock:
        _unlock(name, json)
    else:
        _list(name, json)


def _unlock(name: str, json: bool) -> None:
    from app.cli import console
    from app.runs.lease import lease_uri, unlock
    from app.wiring import open_store

    store, bucket = open_store()
    removed = unlock(store, lease_uri(bucket, name))
    if json:
        console.print_json({"removed": _lease_json(removed)})
    elif removed is None:
        console.out.print(f"no run of {name} is in progress; there is no lease to remove", markup=False)
    else:
        console.out.print(f"removed the lease of {removed}", markup=False, soft_wrap=True)


def _list(name: str, json: bool) -> None:
    from app.cli import console
    from app.runs.lease import find_lease, lease_uri
    from app.runs.ledger import Ledger
    from app.wiring import open_store, open_warehouse

    store, bucket = open_store()
    lease = find_lease(store, lease_uri(bucket, name))
    with open_warehouse() as warehouse:
        found = Ledger(warehouse).runs(name)
    if json:
        console.print_json({"runs": [asdict(item) for item in found], "in_progress": _lease_json(lease)})
        return
    if found:
        console.out.print(console.runs_table(found))
    else:
        console.out.print(f"{name} has no runs yet; `snowsage run` starts the first", markup=False)
    if lease is not None:
        console.out.print(f"in progress: {lease}", markup=False, soft_wrap=True)


def _lease_json(lease: Found | None) -> dict[str, object] | None:
    if lease is None:
        return None
    holder = asdict(lease.holder) if lease.holder else None
    return {"holder": holder, "expires_in_s": round(lease.left_s, 1)}
