"""The command line of the benchmark of features."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.features import engines, measure, results
from benchmarks.features.growth import grow
from benchmarks.features.measure import Limits, Measured, Place
from benchmarks.serving.results import report
from benchmarks.serving.results.tables import Table

out, err = Console(width=None if sys.stdout.isatty() else 150), Console(stderr=True)
cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Features on grown orders through the product and by other engines, and the point-in-time join.",
)
others = typer.Typer(no_args_is_help=True, help="The other engines, each in a virtual environment of its own.")
cli.add_typer(others, name="peers")

Environments = Annotated[Path, typer.Option("--environments", help="Folder of the peers' virtual environments.")]
_ENVIRONMENTS, _FOLDER = Path(".snowsage/peers-features"), Path(".snowsage/benchmarks")


@cli.command()
def run(
    orders: Annotated[
        list[int] | None, typer.Option(min=1000, help="Orders of a log; may be repeated.", show_default="1,000,000")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the figures are their least.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="A part of an engine's name; may be repeated.")] = None,
    busy: Annotated[
        list[int] | None,
        typer.Option(min=1000, help="Orders of a busy log for windows; may be repeated.", show_default=False),
    ] = None,
    join: Annotated[bool, typer.Option(help="Measure the point-in-time join, too.")] = True,
    entities: Annotated[int, typer.Option(min=10, help="Entities of the join.")] = 200_000,
    slices: Annotated[int, typer.Option(min=1, help="Slices of the join.")] = 40,
    spine: Annotated[int, typer.Option(min=10, help="Rows of the join's spine.")] = 1_000_000,
    memory_gib: Annotated[float, typer.Option(min=1, help="An engine that takes more is ended.")] = 16,
    seconds: Annotated[float, typer.Option(min=10, help="So is one that takes longer in a round.")] = 900,
    markdown: Annotated[Path | None, typer.Option(help="Write the section here.", show_default=False)] = None,
    environments: Environments = _ENVIRONMENTS,
    folder: Annotated[Path, typer.Option(help="Where the grown logs are kept.")] = _FOLDER,
) -> None:
    """Measure. Exit code 1 if two engines computed different features; a missed target is only shown."""
    limits = Limits(len(os.sched_getaffinity(0)), memory_gib, seconds)
    place = Place(environments.absolute(), folder.absolute())
    by_orders: dict[int, Sequence[Measured]] = {}
    for count in orders or ([] if busy else [1_000_000]):
        file = place.folder / f"orders-{count}.parquet"
        grow(count, file)
        by_orders[count] = measure.features(count, file, _chosen(engines.FEATURES, only), rounds, limits, place, _tell)
    windowed: dict[int, Sequence[Measured]] = {}
    for count in busy or ():
        file = place.folder / f"busy-{count}.parquet"
        grow(count, file, busy=True)
        windowed[count] = measure.windows(count, file, rounds, limits, place, _tell)
    joined: Sequence[Measured] = ()
    if join:
        chosen = _chosen(engines.JOINS, only)
        joined = measure.joins(entities, slices, spine, chosen, rounds, limits, place, _tell)
    made = _tables(by_orders, windowed, joined, spine)
    _show(made, limits, rounds, markdown)
    wrong = [fault for found in (*by_orders.values(), *windowed.values(), joined) for fault in results.faults(found)]
    for fault in wrong:
        err.print(f"fault: {fault}", highlight=False)
    sys.exit(1 if wrong else 0)


@others.command()
def install(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar=f"[{'|'.join(engines.KEYS)}]...", show_default=False)
    ] = None,
    environments: Environments = _ENVIRONMENTS,
) -> None:
    """Create the environments, all or the named ones, from the pinned lists in this package. PySpark needs a Java runtime."""
    if unknown := sorted(set(keys or ()) - set(engines.KEYS)):
        raise typer.BadParameter(f"no such peer: {', '.join(unknown)}")
    for key in keys or engines.KEYS:
        with err.status(f"installing {key}"):
            engines.install(key, environments.absolute())
        err.print(f"{key} is installed")


def _chosen(found: Sequence[engines.Engine], only: list[str] | None) -> list[engines.Engine]:
    """The named engines after the first one, with which they are compared."""
    return [
        engine
        for engine in found
        if engine is found[0] or not only or any(part.lower() in engine.name.lower() for part in only)
    ]


def _tell(text: str) -> None:
    err.print(text, highlight=False)


def _tables(
    by_orders: dict[int, Sequence[Measured]],
    windowed: dict[int, Sequence[Measured]],
    joined: Sequence[Measured],
    spine: int,
) -> list[Table]:
    made = [results.feature_table(count, found) for count, found in by_orders.items()]
    made += [table for count, found in by_orders.items() if (table := results.several_table(count, found)) is not None]
    made += [results.window_table(count, found) for count, found in windowed.items()]
    if joined:
        made.append(results.join_table(spine, joined))
    verdicts = results.verdicts(by_orders, joined)
    return [*made, verdicts] if verdicts.rows else made


def _show(made: list[Table], limits: Limits, rounds: int, markdown: Path | None) -> None:
    for table in made:
        out.print(report.rich_table(table))
        if table.note:
            out.print(table.note, highlight=False)
    method = f"{limits.threads} threads each, {rounds} interleaved rounds in processes of their own, the least of each figure"
    out.print(f"{report.machine()}; {report.versions()}\n{method}", highlight=False)
    if markdown is not None:
        head = f"{report.machine()}.  \n{report.versions()}.  \n{method}."
        markdown.write_text("\n\n".join([head, *(report.markdown_table(table) for table in made)]) + "\n")


if __name__ == "__main__":
    cli()
