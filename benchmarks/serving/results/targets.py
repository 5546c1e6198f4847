"""The targets, and whether a run met them: figures in, verdicts out; a target without its figures says what is missing. No I/O.

Every ratio compares figures of the same run, because a single figure says little about another machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.serving.measurement.limit import ALONE
from benchmarks.serving.measurement.overload import Overload
from benchmarks.serving.measurement.rounds import Figures, Point, Results
from benchmarks.serving.measurement.variations import Variation
from benchmarks.serving.workload import DEPTH_6, STANDARD, Dimensions

OURS, OURS_BY_ENDPOINT = "snowsage, embedded", "snowsage, endpoint"
FULL, ONE_ROW, ALL_CORES = Point(4096, 4), Point(1, 1), Point(4096, 4, all_cores=True)

#: Prediction alone, by the model's dimensions; the embedded service over HTTP; both against ``inplace_predict`` on one thread.
TIMES_ALONE = {STANDARD: 4.0, DEPTH_6: 2.5}
TIMES_LIMIT = 1.2
TIMES_PEER = {"MLServer": 3.0, "BentoML": 5.0, "SageMaker XGBoost container": 16.0, "MLflow": 16.0}
SHARE_OF_FASTEST_P50 = 0.40
TIMES_EMBEDDED_CPU, ENDPOINT_ROW_MS = 2.5, 1.2
GOODPUT_SHARE, RECOVERY_S, HEAVIEST = 0.90, 5.0, 10


@dataclass(frozen=True)
class Verdict:
    """``met``: None if the run lacks what the target compares; ``measured``: the figures in words."""

    target: str
    measured: str
    met: bool | None


def judge(results: Results, variations: Sequence[Variation], overload: Mapping[str, Overload]) -> list[Verdict]:
    """One verdict for each target, in their order."""
    figures = {name: found for name, found in results.figures.items() if not math.isnan(found.us_a_row)}
    return [
        *(_alone(variations, dimensions, times) for dimensions, times in TIMES_ALONE.items()),
        _of_limit(figures, results.limits),
        *(_of_peer(figures, peer, times) for peer, times in TIMES_PEER.items()),
        _all_cores(figures),
        _one_row(figures),
        _endpoint(figures),
        _endpoint_row(figures),
        *_overloaded(overload.get(OURS)),
    ]


def _alone(variations: Sequence[Variation], dimensions: Dimensions, times: float) -> Verdict:
    target = f"prediction alone {times:g} times inplace_predict's rows a CPU second, {dimensions}"
    found = next((variation for variation in variations if variation.dimensions == dimensions), None)
    if found is None:
        return _missing(target, "prediction alone")
    return Verdict(target, f"{found.gain:.2f} times ({found.predictor})", found.gain >= times)


def _of_limit(figures: Mapping[tuple[str, Point], Figures], limits: Mapping[tuple[str, int], float]) -> Verdict:
    target = f"{TIMES_LIMIT:g} times the rows a CPU second of inplace_predict alone, {FULL}"
    ours, alone = figures.get((OURS, FULL)), limits.get((ALONE, FULL.rows))
    if ours is None or alone is None:
        return _missing(target, OURS)
    times = alone / ours.us_a_row
    return Verdict(target, f"{times:.2f} times", times >= TIMES_LIMIT)


def _of_peer(figures: Mapping[tuple[str, Point], Figures], peer: str, times: float) -> Verdict:
    target = f"{times:g} times {peer}'s rows a CPU second, {FULL}"
    ours, theirs = figures.get((OURS, FULL)), figures.get((peer, FULL))
    if ours is None or theirs is None:
        return _missing(target, OURS if ours is None else peer)
    found = theirs.us_a_row / ours.us_a_row
    return Verdict(target, f"{found:.2f} times", found >= times)


def _all_cores(figures: Mapping[tuple[str, Point], Figures]) -> Verdict:
    target = f"ahead of all in wall time, {ALL_CORES}"
    ours = figures.get((OURS, ALL_CORES))
    peers = {name: found.rows_a_s for name, found in _peers(figures, ALL_CORES).items()}
    if ours is None or not peers:
        return _missing(target, OURS if ours is None else "any peer")
    fastest = max(peers, key=lambda name: peers[name])
    times = ours.rows_a_s / peers[fastest]
    measured = f"{ours.rows_a_s:,.0f} rows/s, {times:.2f} times {fastest}'s {peers[fastest]:,.0f}"
    return Verdict(target, measured, times > 1)


def _one_row(figures: Mapping[tuple[str, Point], Figures]) -> Verdict:
    target = f"one row's p50 at most {SHARE_OF_FASTEST_P50:.0%} of the fastest peer's"
    ours = figures.get((OURS, ONE_ROW))
    peers = {name: found.p50_ms for name, found in _peers(figures, ONE_ROW).items()}
    if ours is None or not peers:
        return _missing(target, OURS if ours is None else "any peer")
    fastest = min(peers, key=lambda name: peers[name])
    share = ours.p50_ms / peers[fastest]
    measured = f"{ours.p50_ms:.2f} ms, {share:.0%} of {fastest}'s {peers[fastest]:.2f} ms"
    return Verdict(target, measured, share <= SHARE_OF_FASTEST_P50)


def _endpoint(figures: Mapping[tuple[str, Point], Figures]) -> Verdict:
    target = f"through the endpoint at most {TIMES_EMBEDDED_CPU:g} times the embedded CPU time a row, {FULL}"
    ours, through = figures.get((OURS, FULL)), figures.get((OURS_BY_ENDPOINT, FULL))
    if ours is None or through is None:
        return _missing(target, OURS if ours is None else OURS_BY_ENDPOINT)
    times = through.us_a_row / ours.us_a_row
    return Verdict(target, f"{times:.2f} times", times <= TIMES_EMBEDDED_CPU)


def _endpoint_row(figures: Mapping[tuple[str, Point], Figures]) -> Verdict:
    target = f"one row through the endpoint at most {ENDPOINT_ROW_MS:g} ms of CPU time, {ONE_ROW}"
    through = figures.get((OURS_BY_ENDPOINT, ONE_ROW))
    if through is None:
        return _missing(target, OURS_BY_ENDPOINT)
    spent_ms = through.us_a_row / 1e3
    return Verdict(target, f"{spent_ms:.2f} ms", spent_ms <= ENDPOINT_ROW_MS)


def _overloaded(found: Overload | None) -> list[Verdict]:
    goodput = f"goodput at least {GOODPUT_SHARE:.0%} of its peak at {HEAVIEST} times saturation"
    recovery = f"recovered within {RECOVERY_S:g} s after {HEAVIEST} times saturation"
    heaviest = next((step for step in found.steps if step.times == HEAVIEST), None) if found else None
    if found is None or heaviest is None:
        return [_missing(goodput, f"{OURS} under overload"), _missing(recovery, f"{OURS} under overload")]
    peak = max(found.saturated_rows_a_s, *(step.goodput_rows_a_s for step in found.steps))
    share = heaviest.goodput_rows_a_s / peak
    by_cpu = found.us_a_row / heaviest.us_a_good_row
    seconds = math.inf if heaviest.recovery_s is None else heaviest.recovery_s
    return [
        Verdict(goodput, f"{share:.0%}; by CPU time {by_cpu:.0%}", share >= GOODPUT_SHARE),
        Verdict(recovery, f"{seconds:.1f} s" if math.isfinite(seconds) else "not at all", seconds <= RECOVERY_S),
    ]


def _peers(figures: Mapping[tuple[str, Point], Figures], wanted: Point) -> dict[str, Figures]:
    return {
        name: found for (name, point), found in figures.items() if point == wanted and not name.startswith("snowsage")
    }


def _missing(target: str, what: str) -> Verdict:
    return Verdict(target, f"{what} was not measured", None)
