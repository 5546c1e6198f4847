"""Overload: arrivals at 1, 2, 4 and 10 times the saturating rate, regardless of replies.

For each step: goodput, rejections and their latency, memory, and the time until a single caller is served as before. Batches
have 1,000 rows and are compressed, as Snowflake sends them on AWS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.serving.load.exchange import Exchange
from benchmarks.serving.load.loops import OK, REFUSED, Window, closed_loop, open_loop
from benchmarks.serving.measurement import stats
from benchmarks.serving.servers import processes
from benchmarks.serving.servers.server import PackingServer, Server

ROWS, TIMES = 1000, (1, 2, 4, 10)
_SATURATING, _CONNECTIONS = 16, 512
_PROBE_EVERY_S, _GIVE_UP_S, _STEADY = 0.05, 60.0, 3
# The fraction of a step in which queues fill; goodput is measured in the rest.
_FILLING = 0.25
# A probe that takes longer than this many times the unloaded p99 still waits in a queue.
_SLACK = 3.0


@dataclass(frozen=True)
class Step:
    """One load. ``times``: of the saturating rate. ``sent_rows_a_s``: less than that if all connections wait.
    ``us_a_good_row``: CPU time of the whole step, including rejections, for each row scored in it.

    ``recovery_s``: from the last arrival until single requests are quick again, None if that did not happen within a minute.
    ``faults``: replies that are neither good nor rejections, by status.
    """

    times: int
    sent_rows_a_s: float
    goodput_rows_a_s: float
    us_a_good_row: float
    good_p50_ms: float
    good_p99_ms: float
    refused: int
    refused_p50_ms: float
    refused_p99_ms: float
    memory_mib: float
    recovery_s: float | None
    faults: dict[int, int]


@dataclass(frozen=True)
class Overload:
    """``saturated_rows_a_s``, ``us_a_row``: of a closed loop with 16 in flight, whose rate the steps are multiples of."""

    saturated_rows_a_s: float
    us_a_row: float
    steps: list[Step]


def overload(server: PackingServer, seconds: float, tell: Callable[[str], None]) -> Overload:
    """All steps on a running server. ``seconds``: of arrivals in a step."""
    exchange = server.packed_exchange(server.place.workload.rows[:ROWS])
    tell(f"{server.name}: what saturates it")
    closed_loop(exchange, _SATURATING, seconds / 4)
    members = processes.tree(server.roots())
    before = processes.cpu_s(members)
    window = closed_loop(exchange, _SATURATING, seconds / 2)
    spent_s = processes.cpu_s(members) - before
    rate = window.statuses[OK] / window.wall_s
    alone = closed_loop(exchange, 1, seconds / 4)
    quick_s = _SLACK * stats.percentile(alone.latencies, 99)
    steps = []
    for times in TIMES:
        tell(f"{server.name}: {times} times saturation")
        steps.append(_step(server, exchange, times, rate, seconds, quick_s))
    return Overload(rate * ROWS, 1e6 * spent_s / (ROWS * window.statuses[OK]), steps)


def _step(server: Server, exchange: Exchange, times: int, rate: float, seconds: float, quick_s: float) -> Step:
    members = processes.tree(server.roots())
    processes.forget_peaks(members)
    before = processes.cpu_s(members)
    window = open_loop(exchange, times * rate, seconds, _CONNECTIONS)
    spent_s = processes.cpu_s(members) - before
    recovery_s = _recovery_s(exchange, window.ended_at, quick_s)
    filling_s = _FILLING * seconds
    good = sum(filling_s <= finished <= seconds for finished in window.finished)
    good_p50, good_p99 = _percentiles(window, OK)
    refused_p50, refused_p99 = _percentiles(window, REFUSED)
    return Step(
        times,
        ROWS * window.begun / seconds,
        ROWS * good / (seconds - filling_s),
        1e6 * spent_s / (ROWS * window.statuses[OK]) if window.statuses[OK] else float("nan"),
        good_p50,
        good_p99,
        window.statuses[REFUSED],
        refused_p50,
        refused_p99,
        processes.peak_mib(members),
        recovery_s,
        {status: count for status, count in window.statuses.items() if status not in (OK, REFUSED)},
    )


def _recovery_s(exchange: Exchange, ended_at: float, quick_s: float) -> float | None:
    steady = 0
    while time.perf_counter() - ended_at < _GIVE_UP_S:
        began = time.perf_counter()
        probe = closed_loop(exchange, 1, 0.0)
        good = probe.statuses[OK] == 1 and probe.latencies[0] <= quick_s
        steady = steady + 1 if good else 0
        if steady == 1:
            since = began
        if steady == _STEADY:
            return max(0.0, since - ended_at)
        time.sleep(_PROBE_EVERY_S)
    return None


def _percentiles(window: Window, status: int) -> tuple[float, float]:
    found = window.seconds_by_status.get(status)
    if not found:
        return float("nan"), float("nan")
    return 1e3 * stats.percentile(found, 50), 1e3 * stats.percentile(found, 99)
