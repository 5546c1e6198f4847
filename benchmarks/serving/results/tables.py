"""Results as tables of text: shown on the screen by ``report`` and written into the docs by ``markdown``. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.serving.measurement import limit
from benchmarks.serving.measurement.overload import Overload
from benchmarks.serving.measurement.profile import Profile
from benchmarks.serving.measurement.rounds import Figures, Point, Results
from benchmarks.serving.measurement.variations import LONG, Variation
from benchmarks.serving.results.targets import FULL, ONE_ROW, OURS, Verdict
from benchmarks.serving.workload import STANDARD

FULL_LONG = replace(FULL, long=True)
_MET = {True: "met", False: "missed", None: "not measured"}


@dataclass(frozen=True)
class Table:
    """``header`` and ``rows`` of text; the first column is text, as all are with ``words``. ``note``: shown below."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    words: bool = False


@dataclass(frozen=True)
class Report:
    """A whole run. ``servers``: version, protocol and settings by name. ``absent``: why a server did not take part, by name.

    ``gone``: servers that accepted no more connections under overload.
    """

    machine: str
    versions: str
    method: str
    servers: dict[str, tuple[str, str, str]]
    absent: dict[str, str]
    results: Results
    variations: list[Variation]
    overload: dict[str, Overload]
    verdicts: list[Verdict]
    gone: list[str]


def tables(report: Report) -> list[Table]:
    """All tables of a run, in their order."""
    one_core = sorted({point.rows for _, point in report.results.figures if not point.all_cores}, reverse=True)
    return [
        _targets(report),
        _summary(report),
        _servers(report.servers),
        limits(report.results.limits),
        *_variations(report),
        *(_points(report, rows) for rows in one_core),
        *_all_cores(report),
        *(_overload(name, found) for name, found in report.overload.items()),
    ]


def faults(report: Report) -> list[str]:
    """A sentence for each server and point with a bad reply or a wrong score."""
    found = [
        f"{name}, {point}: {fault}"
        for (name, point), figures in report.results.figures.items()
        for fault in (_bad_replies(figures.faults), _wrong(figures))
        if fault
    ]
    found += [
        f"{variation.dimensions}, {point}: {fault}"
        for variation in report.variations
        for point, figures in variation.figures.items()
        for fault in (_bad_replies(figures.faults), _wrong(figures))
        if fault
    ]
    steps = [
        f"{name}, {step.times} times saturation: {_bad_replies(step.faults)}"
        for name, overload in report.overload.items()
        for step in overload.steps
        if step.faults
    ]
    return found + steps + [f"{name}: it was gone under overload" for name in report.gone]


def limits(found: Mapping[tuple[str, int], float]) -> Table:
    """The results of ``rounds.limits``."""
    sizes = sorted({rows for _, rows in found})
    names = dict.fromkeys(name for name, _ in found)
    rows = [(name, *(number(found[name, size]) for size in sizes)) for name in names]
    header = ("path", *(f"{size:,} row{'s' * (size > 1)}" for size in sizes))
    return Table("The limit: µs of CPU time a row without a server", header, rows)


def profiles(found: Sequence[Profile]) -> Table:
    """CPU time a request by part: microseconds, and the share of the whole."""
    header = ("part", *(text for one in found for text in (f"{one.point}: µs", "share")))
    rows = [
        (part, *(text for one in found for text in (number(one.us[part]), f"{one.us[part] / one.total_us:.1%}")))
        for part in found[0].us
    ]
    rows.append(("all", *(text for one in found for text in (number(one.total_us), "100%"))))
    return Table("CPU time of a request in the embedded service", header, rows)


def number(value: float) -> str:
    """Three significant digits, with thousands separators; a dash for none."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _targets(report: Report) -> Table:
    rows = [(verdict.target, verdict.measured, _MET[verdict.met]) for verdict in report.verdicts]
    return Table("Targets", ("target", "measured", ""), rows)


def _summary(report: Report) -> Table:
    figures, ours = report.results.figures, report.results.figures.get((OURS, FULL))
    alone = report.results.limits.get((limit.ALONE, FULL.rows))
    rows: list[tuple[str, ...]] = [
        (f"no server: {path}", *_prices(cost, alone), *_times(cost, ours), "", "", "", "")
        for path in (limit.ALONE, limit.PREDICT, limit.BARE)
        if (cost := report.results.limits.get((path, FULL.rows)))
    ]
    for name in report.servers:
        if name in report.absent:
            rows.append((name, *["–"] * 8))
            continue
        full, one, long = (figures.get((name, point)) for point in (FULL, ONE_ROW, FULL_LONG))
        resident, shared = report.results.memory_mib[name]
        rows.append(
            (
                name,
                *_cost(full, alone),
                *_times(full.us_a_row if full else math.nan, ours),
                number(long.us_a_row) if long else "–",
                *((number(one.p50_ms), number(one.p99_ms)) if one else ("–", "–")),
                f"{resident:,.0f} ({shared:,.0f})",
            )
        )
    header = (
        "server",
        f"µs a row, {FULL}",
        "rows a CPU s",
        "× limit",
        "× ours",
        "17 digits, µs a row",
        "1 row p50 ms",
        "p99 ms",
        "RSS (PSS) MiB",
    )
    note = " ".join(f"{name} was not measured: {reason}." for name, reason in report.absent.items())
    return Table("All servers, one core", header, rows, note)


def _servers(servers: Mapping[str, tuple[str, str, str]]) -> Table:
    rows = [(name, *told) for name, told in servers.items()]
    return Table("What ran", ("server", "version", "protocol", "settings"), rows, words=True)


def _cost(figures: Figures | None, alone: float | None) -> tuple[str, str, str]:
    return _prices(figures.us_a_row if figures else math.nan, alone)


def _prices(us_a_row: float, alone: float | None) -> tuple[str, str, str]:
    """Microseconds a row, rows a CPU second, times the limit."""
    return number(us_a_row), number(1e6 / us_a_row if us_a_row else math.nan), number(us_a_row / (alone or math.nan))


def _times(us_a_row: float, ours: Figures | None) -> tuple[str]:
    return (number(us_a_row / (ours.us_a_row if ours else math.nan)),)


def _points(report: Report, size: int) -> Table:
    alone = report.results.limits.get((limit.ALONE, size))
    rows = [
        (
            name,
            f"{point.in_flight}{' gzip' * point.packed}{', 17 digits' * point.long}",
            number(found.rows_a_s),
            *_cost(found, alone),
            number(found.p50_ms),
            number(found.p99_ms),
            str(found.refused or ""),
            f"{found.spread:.0%}",
        )
        for point, name, found in _sorted(report, [key for key in report.results.figures if _is_of(key[1], size)])
    ]
    header = (
        "server",
        "in flight",
        "rows/s",
        "µs a row",
        "rows a CPU s",
        "× limit",
        "p50 ms",
        "p99 ms",
        "refused",
        "spread",
    )
    return Table(f"{size:,} row{'s' * (size > 1)} a request, one core", header, rows)


def _variations(report: Report) -> list[Table]:
    if not report.variations:
        return []
    standard = {point: found for (name, point), found in report.results.figures.items() if name == OURS}
    rows = []
    for found in report.variations:
        figures = standard if found.dimensions == STANDARD else found.figures
        full, long = figures.get(FULL), figures.get(LONG)
        prices = (number(full.us_a_row), number(found.alone_us / full.us_a_row)) if full else ("–", "–")
        rows.append(
            (
                str(found.dimensions),
                found.predictor,
                number(found.alone_us),
                number(found.predict_us),
                number(found.gain),
                *prices,
                number(long.us_a_row) if long else "–",
            )
        )
    header = (
        "model",
        "evaluated by",
        "inplace_predict, µs a row",
        "this project's predict",
        "times",
        f"the service, {FULL}",
        "times inplace_predict",
        f"the service, {LONG}",
    )
    note = "`times`: rows a CPU second against `inplace_predict` alone."
    return [Table("Other models: prediction alone, and the embedded service", header, rows, note)]


def _all_cores(report: Report) -> list[Table]:
    keys = [key for key in report.results.figures if key[1].all_cores]
    if not keys:
        return []
    rows = [
        (
            name,
            f"{point.rows:,} × {point.in_flight}",
            number(found.rows_a_s),
            number(found.us_a_row),
            number(found.p50_ms),
        )
        for point, name, found in _sorted(report, keys)
    ]
    note = "The load shares these cores, so that less is left for a server than two cores."
    header = ("server", "rows × in flight", "rows/s", "µs a row", "p50 ms")
    return [Table("Wall time, all cores", header, rows, note)]


def _overload(name: str, found: Overload) -> Table:
    rows = [
        (
            f"{step.times} ×",
            number(step.sent_rows_a_s),
            number(step.goodput_rows_a_s),
            number(step.us_a_good_row),
            number(step.good_p50_ms),
            number(step.good_p99_ms),
            f"{step.refused:,}",
            number(step.refused_p50_ms),
            number(step.refused_p99_ms),
            number(step.memory_mib),
            "never" if step.recovery_s is None else number(step.recovery_s),
        )
        for step in found.steps
    ]
    replies = ("p50 ms", "p99 ms", "refused", "p50 ms", "p99 ms")
    header = ("load", "sent rows/s", "good rows/s", "µs a good row", *replies, "peak MiB", "recovery s")
    return Table(
        f"Overload of {name}: {number(found.saturated_rows_a_s)} rows/s saturate it, at {number(found.us_a_row)} µs a row",
        header,
        rows,
    )


def _sorted(report: Report, keys: Sequence[tuple[str, Point]]) -> list[tuple[Point, str, Figures]]:
    order = list(report.servers)
    found = [(point, name, report.results.figures[name, point]) for name, point in keys]
    return sorted(found, key=lambda item: (item[0].in_flight, item[0].packed, item[0].long, order.index(item[1])))


def _is_of(point: Point, size: int) -> bool:
    return point.rows == size and not point.all_cores


def _bad_replies(statuses: dict[int, int]) -> str:
    words = [
        f"{count} {f'replies with status {status}' if status else 'without a reply'}"
        for status, count in statuses.items()
    ]
    return ", ".join(words)


def _wrong(figures: Figures) -> str:
    return f"scores differ from inplace_predict's by up to {figures.difference:g}" if figures.difference else ""
