"""The tables of a run, with the limits next to the figures. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.features.engines import FEAST, FROM_TILES, JOINED, PRODUCT, SPARK, SQL
from benchmarks.features.measure import Measured
from benchmarks.features.processes import Cost
from benchmarks.features.workload import SEVERAL
from benchmarks.serving.results.tables import Table, number

#: From this number of orders on: the product's CPU time in times of the SQL's, at most, and PySpark's in times of the product's.
FROM, AT_MOST, AT_LEAST = 10_000_000, 1.2, 5.0

_HEADER = ("engine", "orders a s", "orders a CPU s", "s", "CPU s", "peak GiB", "× SQL by hand, CPU")


def feature_table(orders: int, found: Sequence[Measured]) -> Table:
    """The engines on one log."""
    sql = _cost(found, SQL.name, "compute")
    rows: list[tuple[str, ...]] = []
    for measured in found:
        cost = measured.least("compute")
        if cost is None or measured.wrong or measured.failed:
            rows.append((measured.engine.name, *["–"] * 6))
        else:
            rows.append(_row(measured.engine.name, orders, cost, sql))
    state = _cost(found, PRODUCT.name, "plan")
    if state is not None:
        rows.append(_row("snowsage: plan, with the hash of all rows, apart", orders, state, sql))
    return Table(f"Features of {orders:,} orders, one as-of time", _HEADER, rows, _note(found))


def several_table(orders: int, found: Sequence[Measured]) -> Table | None:
    """Several as-of times by one statement, into a table that holds another slice already."""
    costs = {name: _cost(found, name, "several") for name in (SQL.name, PRODUCT.name)}
    if None in costs.values():
        return None
    rows = [_row(name, SEVERAL * orders, cost, costs[SQL.name]) for name, cost in costs.items() if cost is not None]
    return Table(f"{SEVERAL} as-of times of {orders:,} orders, which count once a time", _HEADER, rows)


def window_table(orders: int, found: Sequence[Measured]) -> Table:
    """Trailing windows of a busy log, from rows and from tiles."""
    first = found[0].least("compute")
    costs = [(measured.engine.name, _cost(found, measured.engine.name, "compute")) for measured in found]
    costs.append(("snowsage: making the tiles, once", _cost(found, FROM_TILES.name, "tiles")))
    rows = [(name, *["–"] * 6) if cost is None else _row(name, SEVERAL * orders, cost, first) for name, cost in costs]
    title = f"Trailing windows at {SEVERAL} times of {orders:,} orders of a busy log, which count once a time"
    return Table(title, _HEADER, rows, _note(found))


def join_table(rows: int, found: Sequence[Measured]) -> Table:
    """The point-in-time join; ``rows`` of the spine."""
    first = found[0].least("compute")
    shown: list[tuple[str, ...]] = []
    for measured in found:
        cost = measured.least("compute")
        if cost is None or measured.wrong or measured.failed:
            shown.append((measured.engine.name, *["–"] * 6))
        else:
            shown.append(_row(measured.engine.name, rows, cost, first))
    header = ("engine", "rows a s", "rows a CPU s", "s", "CPU s", "peak GiB", "× ASOF by hand, CPU")
    return Table(f"Point-in-time join, a spine of {rows:,} rows", header, shown, _note(found))


def verdicts(by_orders: dict[int, Sequence[Measured]], joined: Sequence[Measured]) -> Table:
    """What was aimed for, and what was measured."""
    rows = []
    for orders, found in by_orders.items():
        sql, ours, spark = (_cost(found, name, "compute") for name in (SQL.name, PRODUCT.name, SPARK.name))
        if orders < FROM or sql is None or ours is None:
            continue
        rows.append(
            _verdict(f"{orders:,} orders: CPU time, times of SQL by hand", ours.cpu_s / sql.cpu_s, AT_MOST, most=True)
        )
        rows.append(
            _verdict(
                f"{orders:,} orders: wall time, times of SQL by hand", ours.wall_s / sql.wall_s, AT_MOST, most=True
            )
        )
        if spark is not None:
            rows.append(
                _verdict(f"{orders:,} orders: PySpark's CPU time, times of ours", spark.cpu_s / ours.cpu_s, AT_LEAST)
            )
            rows.append(
                _verdict(f"{orders:,} orders: PySpark's wall time, times of ours", spark.wall_s / ours.wall_s, AT_LEAST)
            )
    ours, feast = _cost(joined, JOINED.name, "compute"), _cost(joined, FEAST.name, "compute")
    if ours is not None and feast is not None:
        rows.append(("point-in-time join: Feast's CPU time, times of ours", number(feast.cpu_s / ours.cpu_s), "–", ""))
    return Table("Targets", ("figure", "measured", "limit", ""), rows)


def faults(found: Sequence[Measured]) -> list[str]:
    """A sentence for each engine whose result differs from the first one's."""
    return [f"{measured.engine.name}: {wrong}" for measured in found for wrong in measured.wrong]


def _verdict(text: str, ratio: float, limit: float, *, most: bool = False) -> tuple[str, ...]:
    met = ratio <= limit if most else ratio >= limit
    return text, number(ratio), f"{'at most' if most else 'at least'} {limit:g}", "met" if met else "missed"


def _row(name: str, rows: int, cost: Cost, other: Cost | None) -> tuple[str, ...]:
    ratio = number(cost.cpu_s / other.cpu_s) if other is not None else "–"
    speed = (f"{rows / seconds:,.0f}" for seconds in (cost.wall_s, cost.cpu_s))
    return name, *speed, number(cost.wall_s), number(cost.cpu_s), number(cost.peak_gib), ratio


def _cost(found: Sequence[Measured], name: str, command: str) -> Cost | None:
    for measured in found:
        if measured.engine.name == name and not measured.wrong and not measured.failed:
            return measured.least(command)
    return None


def _note(found: Sequence[Measured]) -> str:
    ran = "; ".join(dict.fromkeys(measured.version for measured in found if measured.version))
    absent = [f"{measured.engine.name} has no figure: {measured.failed}." for measured in found if measured.failed]
    wrong = [f"{fault}." for fault in faults(found)]
    return " ".join([f"{ran}.", *absent, *wrong])
