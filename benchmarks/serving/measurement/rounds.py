"""The measurement: points interleaved among all servers, round by round, and the medians of the rounds.

A noisy minute affects all servers alike. Servers that wait for their turn are stopped by a signal, because some of them use CPU
time without requests.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from benchmarks.serving.load.exchange import Exchange
from benchmarks.serving.load.loops import OK, REFUSED, Window, closed_loop
from benchmarks.serving.measurement import limit, stats
from benchmarks.serving.servers import processes
from benchmarks.serving.servers.server import PackingServer, Place, Server
from benchmarks.serving.workload import Workload

#: The points that are measured of a server, and the callback for progress.
Plan = Callable[[Server], Iterable["Point"]]
Tell = Callable[[str], None]

_WARM_UP_S, _WARM_UP_IN_FLIGHT = 0.15, 4


@dataclass(frozen=True)
class Point:
    """``rows`` a request, ``in_flight`` requests at a time, ``packed`` with gzip; ``long``: numbers of 17 digits;
    ``all_cores``: for the comparison by wall time, in which servers are started with all cores.
    """

    rows: int
    in_flight: int
    packed: bool = False
    all_cores: bool = False
    long: bool = False

    def __str__(self) -> str:
        more = ", gzip" * self.packed + ", all cores" * self.all_cores + ", 17 digits" * self.long
        return f"{self.rows:,} × {self.in_flight}{more}"


@dataclass(frozen=True)
class Figures:
    """Medians over the rounds. ``us_a_row``: CPU time of all of the server's processes. ``difference``: the largest to
    ``inplace_predict`` in any reply. ``faults``: replies that were neither good nor a rejection, by status; 0: no reply.
    """

    rows_a_s: float
    us_a_row: float
    p50_ms: float
    p99_ms: float
    refused: int
    difference: float
    spread: float
    faults: dict[int, int]


@dataclass
class _Kept:
    windows: list[tuple[float, float, float, float]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    difference: float = 0.0


@dataclass(frozen=True)
class Results:
    """``limits``: microseconds a row by path and rows; ``figures`` by server's name and point; ``memory_mib``: resident and
    proportional set size after the load."""

    limits: dict[tuple[str, int], float]
    figures: dict[tuple[str, Point], Figures]
    memory_mib: dict[str, tuple[float, float]]


def measure(
    servers: Sequence[Server],
    points: Plan,
    place: Place,
    rounds: int,
    seconds: float,
    tell: Tell,
) -> Results:
    """Measure all ``points`` of all ``servers``, which run and are parked at the end. ``seconds``: of one window."""
    kept: dict[tuple[str, Point], _Kept] = {}
    found_limits: dict[tuple[str, int], list[float]] = {}
    plan = {server.name: list(points(server)) for server in servers}
    every = sorted({point for of_one in plan.values() for point in of_one}, key=_order)
    for server in servers:
        server.park()
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}: the limit")
        _measure_limits(place, sorted({point.rows for point in every}), found_limits)
        for point in every:
            for server in servers:
                if point in plan[server.name]:
                    tell(f"round {number + 1} of {rounds}: {server.name}, {point}")
                    with at_work(server):
                        found = kept.setdefault((server.name, point), _Kept())
                        try:
                            _window(server, point, place.workload, seconds, found)
                        except OSError:  # no connection: the results show that the server is gone
                            found.statuses[0] += 1
    return Results(
        _medians(found_limits),
        {name: _figures(found) for name, found in kept.items()},
        {server.name: processes.memory_mib(processes.tree(server.roots())) for server in servers},
    )


def limits(place: Place, sizes: Sequence[int], rounds: int) -> dict[tuple[str, int], float]:
    """Microseconds of CPU time a row by path and rows, without any server."""
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        _measure_limits(place, sizes, found)
    return _medians(found)


def figures(server: Server, points: Sequence[Point], rounds: int, seconds: float) -> dict[Point, Figures]:
    """Medians of one running server alone, in windows of ``seconds``."""
    kept = {point: _Kept() for point in points}
    for _ in range(rounds):
        for point, found in kept.items():
            _window(server, point, server.place.workload, seconds, found)
    return {point: _figures(found) for point, found in kept.items()}


@contextmanager
def at_work(server: Server) -> Iterator[None]:
    """Let ``server`` run on its cores for the block, and park it again."""
    server.unpark(server.place.server_cores)
    try:
        yield
    finally:
        server.park()


def difference(exchange: Exchange, window: Window, workload: Workload, rows: int) -> float:
    """The largest distance of any score in the window's sample to ``inplace_predict``'s; infinite for another kind of reply."""
    expected = workload.expected[:rows]
    try:
        scored = [exchange.scores(reply) for reply in window.sample]
    except (ValueError, LookupError, TypeError):
        return math.inf
    if any(scores.shape != expected.shape for scores in scored):
        return math.inf
    return max((float(np.abs(scores - expected).max()) for scores in scored), default=0.0)


def _order(point: Point) -> tuple[int, int, bool, bool, bool]:
    return point.rows, point.in_flight, point.packed, point.all_cores, point.long


def _measure_limits(place: Place, sizes: Sequence[int], found: dict[tuple[str, int], list[float]]) -> None:
    with processes.on_cores(set(place.server_cores)):
        for rows in sizes:
            for name, call in limit.paths(place.workload, rows).items():
                found.setdefault((name, rows), []).append(limit.cost_us(call, rows))


def _medians(found: dict[tuple[str, int], list[float]]) -> dict[tuple[str, int], float]:
    return {name: statistics.median(values) for name, values in found.items()}


def _exchange(server: Server, point: Point, workload: Workload) -> Exchange:
    rows = workload.rows[: point.rows]
    if not point.packed:
        return server.exchange(rows)
    assert isinstance(server, PackingServer)
    return server.packed_exchange(rows)


def _window(server: Server, point: Point, workload: Workload, seconds: float, kept: _Kept) -> None:
    workload = workload.long if point.long else workload
    exchange = _exchange(server, point, workload)
    closed_loop(exchange, min(point.in_flight, _WARM_UP_IN_FLIGHT), _WARM_UP_S)
    members = processes.tree(server.roots())
    before = processes.cpu_s(members)
    window = closed_loop(exchange, point.in_flight, seconds)
    spent = processes.cpu_s(members) - before
    kept.statuses += window.statuses
    kept.difference = max(kept.difference, difference(exchange, window, workload, point.rows))
    if scored := point.rows * window.statuses[OK]:
        p50, p99 = (1e3 * stats.percentile(window.latencies, percent) for percent in (50, 99))
        kept.windows.append((scored / window.wall_s, 1e6 * spent / scored, p50, p99))


def _figures(kept: _Kept) -> Figures:
    columns = list(zip(*(kept.windows or [(math.nan,) * 4]), strict=True))
    rows_a_s, us_a_row, p50_ms, p99_ms = (statistics.median(column) for column in columns)
    return Figures(
        rows_a_s,
        us_a_row,
        p50_ms,
        p99_ms,
        kept.statuses[REFUSED],
        kept.difference,
        stats.spread(columns[1]),
        {status: count for status, count in kept.statuses.items() if status not in (OK, REFUSED)},
    )
