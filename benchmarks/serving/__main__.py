"""The command line of the serving benchmark."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from benchmarks.serving import workload
from benchmarks.serving.measurement import overload, profile, rounds, variations
from benchmarks.serving.measurement.rounds import Point
from benchmarks.serving.results import report, tables, targets
from benchmarks.serving.results.tables import Report, faults
from benchmarks.serving.results.targets import FULL
from benchmarks.serving.servers import ours, peers, processes
from benchmarks.serving.servers.server import NotAvailable, PackingServer, Place, Server
from benchmarks.serving.workload import FURTHER, STANDARD

SIZES, IN_FLIGHT = (1, 100, 1000, 4096), (1, 4, 16)

# A table in a file gets lines as long as a wide screen's.
out, err = Console(width=None if sys.stdout.isatty() else 150), Console(stderr=True)
cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="What serving costs: snowsage, other servers and the limit, side by side.\n\n"
    "`run --quick` takes about two minutes. For the other servers run `peers install` first (some gigabytes), then `run`, which "
    "takes about twelve minutes. Servers run on one core, the load on another; CPU time counts every process of a server.",
)
others = typer.Typer(no_args_is_help=True, help="The other servers, each in a virtual environment of its own.")
cli.add_typer(others, name="peers")

Environments = Annotated[Path, typer.Option("--environments", help="Folder of the peers' virtual environments.")]
_ENVIRONMENTS = Path(".snowsage/peers")


@cli.command()
def run(
    quick: Annotated[bool, typer.Option("--quick", help="Only the points of the targets, in short windows.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A server: embedded, endpoint, or a peer's key. May be repeated.", show_default=False),
    ] = None,
    rounds_: Annotated[int, typer.Option("--rounds", min=1, help="Rounds; the figures are their medians.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of one window.")] = 0.7,
    no_overload: Annotated[bool, typer.Option("--no-overload", help="Skip the overload scenario.")] = False,
    no_variations: Annotated[
        bool, typer.Option("--no-variations", help="Only the standard model, without deeper and wider ones.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the results section here.", show_default=False)] = None,
    container: Annotated[
        Path | None,
        typer.Option(
            help=f"Checkout of {peers.CONTAINER} at {peers.CONTAINER_COMMIT[:7]}; by default one next to the environments.",
            show_default=False,
        ),
    ] = None,
    environments: Environments = _ENVIRONMENTS,
) -> None:
    """Measure. Exit code 1 if a server answered wrongly; missed targets are only shown."""
    if quick:
        rounds_, seconds = 3, 0.5
    container = container or environments.resolve() / peers.CONTAINER.partition("/")[2]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the servers are stopped
    server_cores, load_cores = _cores()
    with tempfile.TemporaryDirectory(prefix="snowsage-benchmark-") as folder, processes.on_cores(load_cores):
        err.print("training the model")
        place = Place(Path(folder, "one"), frozenset(server_cores), frozenset(load_cores), workload.make())
        servers = _servers(place, environments, container, only)
        with _running(servers) as (started, absent), err.status("starting") as status:
            tell = _teller(status)
            results = rounds.measure(started, _points(quick), place, rounds_, seconds, tell)
            loads, gone = _overloads([] if no_overload else started, 3.0 if quick else 6.0, tell)
        with err.status("other models") as status:
            wanted = [] if no_variations else [*targets.TIMES_ALONE] if quick else [STANDARD, *FURTHER]
            with_service = not quick and any(isinstance(server, ours.Embedded) for server in started)
            embedded = ours.Embedded if with_service else None
            varied = variations.measure(wanted, embedded, place, rounds_, seconds, _teller(status))
        # Started again, because a server determines its number of cores at the start.
        everywhere = replace(place, folder=Path(folder, "all"), server_cores=place.server_cores | place.load_cores)
        with (
            _running(_servers(everywhere, environments, container, only)) as (on_all, _),
            err.status("starting") as status,
        ):
            on_all_cores = rounds.measure(on_all, _all_cores_points, everywhere, rounds_, seconds, _teller(status))
        results.figures.update(on_all_cores.figures)
    found = Report(
        machine=report.machine(),
        versions=report.versions(),
        method=_method(rounds_, seconds),
        servers={server.name: (server.version(), server.protocol, server.settings) for server in servers},
        absent=absent,
        results=results,
        variations=varied,
        overload=loads,
        verdicts=targets.judge(results, varied, loads),
        gone=gone,
    )
    report.show(found, out)
    if markdown is not None:
        markdown.write_text(report.markdown(found))
    sys.exit(1 if faults(found) else 0)


@cli.command("limit")
def show_limit() -> None:
    """Without a server: the cost of prediction alone, and with only the codec around it. Takes seconds."""
    server_cores, load_cores = _cores()
    place = Place(Path(), frozenset(server_cores), frozenset(load_cores), workload.make())
    out.print(report.rich_table(tables.limits(rounds.limits(place, SIZES, 3))))


@cli.command("profile")
def show_profile(
    seconds: Annotated[float, typer.Option(min=1.0, help="Length of each measurement.")] = 5.0,
    long: Annotated[bool, typer.Option("--long", help="Numbers with 17 significant digits.")] = False,
) -> None:
    """Where the CPU time of one row and of 4,096 rows goes in the embedded service. Takes half a minute."""
    server_cores, load_cores = _cores()
    with tempfile.TemporaryDirectory(prefix="snowsage-benchmark-") as folder, processes.on_cores(load_cores):
        place = Place(Path(folder), frozenset(server_cores), frozenset(load_cores), workload.make())
        server = ours.Profiled(place)
        try:
            server.start()
            points = [replace(point, long=long) for point in (targets.ONE_ROW, targets.FULL)]
            found = profile.profile(server, points, seconds)
        finally:
            server.stop()
    out.print(report.rich_table(tables.profiles(found)))
    out.print(f"{report.machine()}; {report.versions()}", highlight=False)


@others.command()
def install(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar=f"[{'|'.join(peers.KEYS)}]...", show_default=False)
    ] = None,
    environments: Environments = _ENVIRONMENTS,
) -> None:
    """Create the environments, all or the named ones, from the pinned lists in this package."""
    if unknown := sorted(set(keys or ()) - set(peers.KEYS)):
        raise typer.BadParameter(f"no such peer: {', '.join(unknown)}")
    for key in keys or peers.KEYS:
        with err.status(f"installing {key}"):
            peers.install(key, environments.resolve())
        err.print(f"{key} is installed")
    err.print(
        f"the container's code is not a package: clone {peers.CONTAINER} into {environments}, "
        f"check out {peers.CONTAINER_COMMIT}"
    )


def _cores() -> tuple[set[int], set[int]]:
    """One core for the servers, the others for the load."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        sys.exit("error: the benchmark needs two cores, one for the servers and one for the load")
    return {available[0]}, {available[1]}


def _servers(place: Place, environments: Path, container: Path | None, only: list[str] | None) -> list[Server]:
    found: list[Server] = [
        ours.Embedded(place),
        ours.Endpoint(place),
        *peers.make(place, environments.resolve(), container),
    ]
    if only and (unknown := sorted(set(only) - {server.key for server in found})):
        sys.exit(f"error: no such server: {', '.join(unknown)}; there are {', '.join(server.key for server in found)}")
    return [server for server in found if not only or server.key in only]


@contextlib.contextmanager
def _running(servers: list[Server]) -> Iterator[tuple[list[Server], dict[str, str]]]:
    """The servers that can be started, and why the others cannot."""
    started: list[Server] = []
    absent: dict[str, str] = {}
    try:
        for server in servers:
            err.print(f"starting {server.name}")
            try:
                server.start()
                started.append(server)
                server.park()
            except NotAvailable as reason:
                absent[server.name] = str(reason)
            except RuntimeError as fault:
                if isinstance(server, ours.Snowsage):
                    raise
                absent[server.name] = f"it did not start ({str(fault).strip().splitlines()[-1]})"
            if server.name in absent:
                err.print(f"  {absent[server.name]}")
        yield started, absent
    finally:
        for server in servers:
            server.stop()


def _teller(status: Status) -> rounds.Tell:
    """Show every step on a terminal; in a log, one line a round."""
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        status.update(text)
        if not err.is_terminal and (part := text.partition(":")[0]) != last:
            err.print(part, highlight=False)
            last = part

    return tell


def _points(quick: bool) -> rounds.Plan:
    def of(server: Server) -> Iterable[Point]:
        if quick:
            yield from (targets.ONE_ROW, Point(1000, 4), FULL, replace(FULL, long=True))
            return
        for rows in SIZES:
            for in_flight in IN_FLIGHT:
                yield Point(rows, in_flight)
                if isinstance(server, PackingServer) and in_flight == FULL.in_flight:
                    yield Point(rows, in_flight, packed=True)
        yield from (variations.LONG, replace(FULL, long=True))

    return of


def _all_cores_points(_: Server) -> Iterable[Point]:
    return (Point(1000, 4, all_cores=True), Point(4096, 4, all_cores=True))


def _overloads(
    started: list[Server], seconds: float, tell: rounds.Tell
) -> tuple[dict[str, overload.Overload], list[str]]:
    """Results by server's name, and the names of servers that accepted no more connections."""
    found, gone = {}, []
    for server in started:
        if isinstance(server, ours.Snowsage):
            try:
                with rounds.at_work(server):
                    found[server.name] = overload.overload(server, seconds, tell)
            except OSError:
                gone.append(server.name)
    return found, gone


def _method(count: int, seconds: float) -> str:
    return (
        f"Medians of {count} interleaved rounds of {seconds:g} s; servers on one core, one thread a prediction, the load on "
        f"another core; {STANDARD}, "
        f"{workload.NULL_SHARE:.0%} NULLs, about 200 bytes a row"
    )


if __name__ == "__main__":
    cli()
