"""Runs the engines one after another, in rounds, and compares what they computed before a figure counts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.features import join_data, workload
from benchmarks.features.comparison import differences
from benchmarks.features.engines import WINDOWS, Engine
from benchmarks.features.processes import Cost, Failed, Worker

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """``memory_gib`` and ``seconds`` of one engine in one round; ``threads`` of each."""

    threads: int
    memory_gib: float
    seconds: float


@dataclass
class Measured:
    """One engine's costs by command, one of each round. ``wrong``: how its result differs; ``failed``: why it has none."""

    engine: Engine
    version: str = ""
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    failed: str = ""

    def least(self, command: str) -> Cost | None:
        """The least of all rounds, because other work on a machine only adds to it; the memory is the most of them."""
        found = self.costs.get(command)
        if not found:
            return None
        return Cost(
            min(cost.wall_s for cost in found), min(cost.cpu_s for cost in found), max(cost.peak_gib for cost in found)
        )

    def last(self) -> str:
        """The costs of the last round, for the log."""
        ended = {command: costs[-1] for command, costs in self.costs.items()}
        return "; ".join(
            f"{name}: {cost.wall_s:.1f} s, {cost.cpu_s:.1f} CPU s, {cost.peak_gib:.1f} GiB"
            for name, cost in ended.items()
        )


@dataclass(frozen=True)
class Place:
    """``environments`` of the peers, and a ``folder`` for what is made."""

    environments: Path
    folder: Path


def features(
    orders: int, file: Path, engines: Sequence[Engine], rounds: int, limits: Limits, place: Place, tell: Tell
) -> list[Measured]:
    """Each engine's features of ``orders`` orders. The first engine's result is what the others are compared with."""
    # Several times are for logs of which all rows are compared: above, their tables would not fit into memory together.
    job = {
        "orders": str(file),
        "as_of": str(workload.AS_OF),
        "days": workload.DAYS,
        "several": workload.times() if workload.share(orders) == 1 else [],
        "counts": workload.COUNTS,
        "floats": workload.FLOATS,
        "share": workload.share(orders),
        "threads": limits.threads,
        "memory_gib": max(2, min(12, orders // 4_000_000 + 2)),
        "partitions": max(8, orders // 1_000_000),
    }

    def compare(expected: Path, found: Path) -> list[str]:
        return differences(expected, found, workload.KEY, workload.COUNTS, workload.FLOATS, workload.TOLERANCE)

    chosen = [engine for engine in engines if orders <= engine.most_orders]
    return _run(chosen, rounds, limits, place, tell, f"{orders:,} orders", job, compare)


def windows(orders: int, file: Path, rounds: int, limits: Limits, place: Place, tell: Tell) -> list[Measured]:
    """Trailing windows of a busy log at several times, from its rows and from daily tiles."""
    counts, floats = workload.WINDOW_COUNTS, workload.WINDOW_SUMS
    job = {
        "orders": str(file),
        "times": workload.times(),
        "days": workload.DAYS,
        "counts": counts,
        "floats": floats,
        "threads": limits.threads,
    }

    def compare(expected: Path, found: Path) -> list[str]:
        return differences(expected, found, "row_id", counts, floats, workload.TOLERANCE)

    return _run(WINDOWS, rounds, limits, place, tell, f"windows of {orders:,} orders", job, compare)


def joins(
    entities: int,
    slices: int,
    spine: int,
    engines: Sequence[Engine],
    rounds: int,
    limits: Limits,
    place: Place,
    tell: Tell,
) -> list[Measured]:
    """Each engine's join of a spine with the rows of features that were known at its times."""
    files = join_data.make(place.folder, entities, slices, spine)
    job = {
        "features": str(files[0]),
        "spine": str(files[1]),
        "columns": join_data.FEATURES,
        "first": join_data.FIRST,
        "step_days": join_data.STEP_DAYS,
        "entities": entities,
        "slices": slices,
        "rows": spine,
        "threads": limits.threads,
    }

    def compare(expected: Path, found: Path) -> list[str]:
        return join_data.differences(expected, found, workload.TOLERANCE)

    return _run(engines, rounds, limits, place, tell, f"{spine:,} rows", job, compare)


def _run(
    engines: Sequence[Engine],
    rounds: int,
    limits: Limits,
    place: Place,
    tell: Tell,
    title: str,
    job: dict[str, Any],
    compare: Callable[[Path, Path], list[str]],
) -> list[Measured]:
    found = [Measured(engine, failed=engine.absent(place.environments) or "") for engine in engines]
    first: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=place.folder, prefix="run-") as results:
        for turn in range(rounds):
            for index, measured in enumerate(found):
                if measured.failed:
                    continue
                tell(f"{title}, round {turn + 1}: {measured.engine.name}")
                result = Path(results, f"{index}.parquet")
                try:
                    told = _measure(measured, {**job, "result": str(result)}, limits, place, write=turn == 0)
                except Failed as reason:
                    measured.failed = str(reason)
                    tell(f"  {reason}")
                    continue
                tell(f"  {measured.last()}")
                if turn == 0 and index > 0 and first:
                    measured.wrong = compare(Path(results, "0.parquet"), Path(results, told.get("files", result.name)))
                    if told.get("totals") != first.get("totals"):
                        measured.wrong.append(f"counts add up to {told['totals']} instead of {first['totals']}")
                first = first or told
    return found


def _measure(measured: Measured, job: dict[str, Any], limits: Limits, place: Place, *, write: bool) -> dict[str, Any]:
    """Run the engine's commands in a new process. What it told of its result, if it was asked to ``write`` it."""
    engine, told = measured.engine, dict[str, Any]()
    python, given = engine.python(place.environments), {**job, **engine.job}
    commands = [each for each in engine.commands if job.get("several") or "several" not in each]
    with (
        tempfile.TemporaryDirectory(dir=place.folder, prefix="work-", ignore_cleanup_errors=True) as folder,
        Worker(python, engine.script, given, Path(folder), limits.memory_gib, limits.seconds) as worker,
    ):
        measured.version = worker.version
        for command in commands:
            cost, _ = worker.call(command)
            measured.costs.setdefault(command, []).append(cost)
            if command == "compute" and write:
                told = {"done": True, **worker.call("write")[1]}
    return told
