"""Where a request's CPU time goes in the embedded service: decode, admission, predict, encode, HTTP.

``servers.profiled`` counts the first four in the service; HTTP is the rest of its processes' CPU time, which includes the kernel's
part of sending and receiving, the event loop, and waking threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.serving.load.loops import OK, closed_loop
from benchmarks.serving.measurement.rounds import Point, at_work
from benchmarks.serving.servers import processes, profiled
from benchmarks.serving.servers.ours import Profiled

_WARM_UP_S = 1.0
HTTP = "HTTP"
#: The parts in the order of a request's way, by their names in the service.
NAMES = {"decode": "decode", "admission": "admission", "score": "predict", "encode": "encode"}


@dataclass(frozen=True)
class Profile:
    """``us``: microseconds of CPU time a request, by part; their sum is the whole."""

    point: Point
    requests: int
    us: Mapping[str, float]

    @property
    def total_us(self) -> float:
        """Of one request."""
        return sum(self.us.values())


def profile(server: Profiled, points: Sequence[Point], seconds: float) -> list[Profile]:
    """A profile for each of ``points``, of a running server."""
    with at_work(server):
        return [_profile(server, point, seconds) for point in points]


def divided(total_s: float, counted_s: Mapping[str, float], requests: int) -> dict[str, float]:
    """Microseconds a request by part: those that were counted, and the rest of ``total_s``."""
    found = {name: 1e6 * counted_s[part] / requests for part, name in NAMES.items()}
    return found | {HTTP: 1e6 * (total_s - sum(counted_s.values())) / requests}


def _profile(server: Profiled, point: Point, seconds: float) -> Profile:
    workload = server.place.workload.long if point.long else server.place.workload
    exchange = server.exchange(workload.rows[: point.rows])
    closed_loop(exchange, point.in_flight, _WARM_UP_S)
    members = processes.tree(server.roots())
    before, counted = processes.cpu_s(members), profiled.read(server.counters)
    window = closed_loop(exchange, point.in_flight, seconds)
    total = processes.cpu_s(members) - before
    now = profiled.read(server.counters)
    requests = window.statuses[OK]
    if set(window.statuses) != {OK}:
        raise RuntimeError(f"replies by status: {dict(window.statuses)}; the service's log is in {server.folder}")
    return Profile(point, requests, divided(total, {part: now[part] - counted[part] for part in now}, requests))
