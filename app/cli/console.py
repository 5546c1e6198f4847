"""Console output: progress while a run works, tables and sentences at its end, or JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table as RichTable

from app.deploy.promotion import Changed
from app.pipeline import Finished
from app.ports import Table
from app.registry.versions import RegisteredVersion

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

#: Rows of a query's result that are shown; the rest is counted.
SHOWN_ROWS = 20


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
        err.print(
            f"{mark} [bold]{done.stage.name:<9}[/bold] {rows}{escape(line.what)} [dim]({time})[/dim]", soft_wrap=True
        )

    def stop(self) -> None:
        """Remove the spinner; needed if a stage fails."""
        if self._status is not None:
            self._status.stop()
            self._status = None


@contextmanager
def working(text: str) -> Iterator[None]:
    """A spinner while something takes time."""
    with err.status(text):
        yield


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
        rows = f"{line.rows:,}" if line.rows is not None else ""
        seconds = "before" if done.found else f"{done.seconds:.1f}"
        table.add_row(done.stage.name, escape(line.what), rows, seconds, escape(line.where))
    return table


def answer_table(answer: Table) -> RichTable:
    """A query's result, its first rows."""
    table = RichTable(header_style="bold")
    for index, name in enumerate(answer.columns):
        numeric = any(isinstance(row[index], int | float | Decimal) for row in answer.rows[:1])
        table.add_column(escape(name), justify="right" if numeric else "left")
    for row in answer.rows[:SHOWN_ROWS]:
        table.add_row(*(escape(shown(value)) for value in row))
    if len(answer.rows) > SHOWN_ROWS:
        table.caption = f"{len(answer.rows) - SHOWN_ROWS:,} more rows"
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
        {"stage": item.stage.name, "found": item.found, "seconds": item.seconds, "result": asdict(item.result)}
        for item in finished
    ]


def shown(value: Any) -> str:
    """One value of a result, for people."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _jsonable(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
