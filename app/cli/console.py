"""Console output: progress while a run works, tables and sentences at its end, or JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Table as RichTable

from app.deploy.promotion import Changed
from app.features.catalogue.listing import ListedFeature
from app.pipeline import Explained, Finished
from app.registry.versions import RegisteredVersion
from app.runs.identity import Run
from app.runs.ledger import RecordedRun

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class ConsoleProgress:
    """A line for each finished stage, and a spinner for the running one if standard error is a terminal."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._stage = ""

    def begin(self, stage: str) -> None:
        self._stage = stage
        self._status = err.status(f"[bold]{stage}[/bold]")
        self._status.start()

    def tell(self, text: str) -> None:
        if self._status is not None:
            self._status.update(f"[bold]{self._stage}[/bold] {escape(text)}")

    def end(self, done: Finished) -> None:
        self.stop()
        line = done.stage.summarize(done.result)
        rows = f"{line.rows:,} rows; " if line.rows is not None else ""
        mark, time = ("[cyan]=[/cyan]", "done before") if done.found else ("[green]✓[/green]", f"{done.seconds:.1f} s")
        if done.note:
            time = f"{done.note}" if done.found else f"again: {done.note}; {time}"
        err.print(
            f"{mark} [bold]{done.stage.name:<9}[/bold] {rows}{escape(line.what)} [dim]({escape(time)})[/dim]",
            soft_wrap=True,
        )

    def stop(self) -> None:
        """Remove the spinner; needed if a stage fails."""
        if self._status is not None:
            self._status.stop()
            self._status = None


_STATES = {"found": "=", "new": "+", "unknown": "?"}


def plan_table(run: Run, plans: Mapping[str, Explained]) -> RichTable:
    """A dry run on one screen: each stage, whether it is found or new, and what it would do."""
    table = RichTable(
        box=None,
        pad_edge=False,
        show_header=False,
        title=f"run {run.id}, logical date {run.logical_date}",
        title_justify="left",
    )
    table.add_column(style="bold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, plan in plans.items():
        note = f" ({plan.note})" if plan.note else ""
        state = f"{_STATES[plan.state]} {'found' if plan.state == 'found' else plan.state}"
        table.add_row(name, state, escape(f"{plan.what}{note}"))
    return table


def print_details(stage: str, plan: Explained) -> None:
    """Statements, requests and files of one stage."""
    if plan.details:
        out.print(f"\n[bold]{stage}[/bold]")
    for line in plan.details:
        out.print("\n".join(f"  {part}" for part in line.splitlines()), markup=False, soft_wrap=True)


@contextmanager
def working(text: str) -> Iterator[None]:
    """A spinner while something takes time."""
    with err.status(text):
        yield


@contextmanager
def bar(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar, if standard error is a terminal. Yields the function that says how much more is done."""
    shown = Progress(
        TextColumn("[bold]{task.description}[/bold]"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with shown:
        task = shown.add_task(text, total=total)
        yield lambda count: shown.advance(task, count)


def stages_table(finished: list[Finished]) -> RichTable:
    """Each stage: what it did, rows, seconds, where to look."""
    table = RichTable(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage", style="bold")
    table.add_column("what it did")
    table.add_column("rows", justify="right")
    table.add_column("s", justify="right")
    table.add_column("where to look", style="cyan", overflow="fold")
    for done in finished:
        line = done.stage.summarize(done.result)
        if done.found and done.note:
            line = replace(line, what=done.note)
        rows = f"{line.rows:,}" if line.rows is not None else ""
        seconds = "before" if done.found else f"{done.seconds:.1f}"
        table.add_row(done.stage.name, escape(line.what), rows, seconds, escape(line.where))
    return table


def versions_table(versions: list[RegisteredVersion], shares: Mapping[str, float]) -> RichTable:
    """A model's versions, newest first. ``shares``: the share of the entities that each live version answers."""
    table = RichTable(header_style="bold")
    for name in ("version", "stage", "answers", "metrics on the test part", "contract", "run"):
        table.add_column(name)
    for item in reversed(versions):
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in sorted(item.metrics.items()))
        share = _percent(shares[item.version]) if item.version in shares else ""
        table.add_row(item.version, item.stage, share, metrics, str(item.contract["fingerprint"]), item.run_id)
    return table


def runs_table(found: list[RecordedRun]) -> RichTable:
    """The runs of a pipeline."""
    table = RichTable(header_style="bold")
    for name in ("run", "logical date", "started (UTC)", "finished stages", "last finished (UTC)"):
        table.add_column(name)
    for item in found:
        started, last = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (item.started_at, item.last_at))
        table.add_row(item.id, str(item.logical_date), started, ", ".join(item.stages), last if item.stages else "")
    return table


def features_table(found: Sequence[ListedFeature]) -> RichTable:
    """Features of the store: origin, freshness and use. A column that says nothing about any of them is left out."""
    columns: dict[str, list[str]] = {
        "feature": [feature.feature for feature in found],
        "view": [f"{feature.view} {feature.version}" for feature in found],
        "from": [_origin(feature) for feature in found],
        "as of": [f"{feature.last_as_of:%Y-%m-%d}" if feature.last_as_of else "" for feature in found],
        "rows": [f"{feature.rows:,}" if feature.rows is not None else "" for feature in found],
        "NULL": [_percent(feature.null_rate) if feature.null_rate is not None else "" for feature in found],
        "owner": [feature.owner or "" for feature in found],
        "used by": [", ".join(feature.used_by) for feature in found],
    }
    said = {name: values for name, values in columns.items() if any(values)}
    table = RichTable(header_style="bold")
    for name in said:
        table.add_column(
            name, justify="right" if name in ("rows", "NULL") else "left", overflow="fold", no_wrap=name == "feature"
        )
    for row in zip(*said.values(), strict=True):
        table.add_row(*map(escape, row))
    return table


def _origin(feature: ListedFeature) -> str:
    if feature.source_columns is None:
        return f"unknown columns of {', '.join(feature.source_tables)}"
    return ", ".join(feature.source_columns) or f"rows of {', '.join(feature.source_tables)}"


def changed(done: Changed) -> str:
    """What is live now, in a sentence."""
    versions = ", ".join(f"{version} answers {_percent(share)}" for version, share in done.shares.items())
    return f"{done.model}: {versions}"


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    out.print(json.dumps(value, default=_jsonable, indent=1), soft_wrap=True, markup=False)


def finished_json(finished: list[Finished]) -> list[dict[str, Any]]:
    """The stages as JSON values."""
    return [
        {
            "stage": item.stage.name,
            "found": item.found,
            "seconds": item.seconds,
            "note": item.note,
            "result": asdict(item.result),
        }
        for item in finished
    ]


def _jsonable(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex().upper()
    return str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
