"""Windows over daily tiles equal those over rows, for any log and any as-of time; tiles of an earlier time stay as they were."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.cloud.snowflake import SnowflakeWarehouse
from app.features.aggregates import LIFETIME, count, deviation, maximum, mean, minimum, total, trailing
from app.features.definitions.reads import shape, sources_read
from app.features.definitions.views import View
from app.features.store import SlicePlan
from app.features.tiles.refresh import plan_tiles, read_stored, refresh_tiles
from app.features.tiles.statements import LINEAGE
from app.ports import Row
from app.spec.schema import Source, Tiles
from app.sql import Statement

TABLE = "RAW.CONTRACT_LOGS"
SOURCES = {
    "events": Source(table=TABLE, event_time="SEEN", tiles=Tiles(key=("LOG", "K"), measures=("X",))),
}
MIDNIGHT = datetime(2024, 3, 20)
#: Known at the first load, and after late rows.
BEFORE, AFTER = datetime(2024, 4, 1), datetime(2024, 4, 2)
MEASURES = {
    "SPENT": total("X"),
    "EVENTS": count(),
    "PRICED": count("X"),
    "MEAN": mean("x"),
    "LEAST": minimum("X"),
    "MOST": maximum("X"),
    "SPREAD": deviation("X"),
}
DAYS = (1, 30, LIFETIME)


@dataclass(frozen=True)
class Logs:
    """Random logs in one table. ``late``: rows that come after the first load. ``dropped``: rows that are deleted then."""

    as_of: datetime
    rows: tuple[list[Any], ...]
    late: tuple[list[Any], ...]
    dropped: tuple[int, ...]

    @property
    def changed(self) -> set[date]:
        """The whole days whose rows differ after the first load."""
        dropped = [row for row in self.rows if row[4] in self.dropped]
        days = {datetime.fromisoformat(row[2]).date() for row in (*self.late, *dropped)}
        return {day for day in days if day < self.as_of.date()}


def made_logs(seed: int, logs: int) -> Logs:
    chosen = random.Random(seed)
    as_of = chosen.choice([MIDNIGHT, MIDNIGHT + timedelta(microseconds=chosen.randrange(1, 86_400 * 10**6))])
    borders = [as_of - timedelta(days=days or 0) for days in DAYS] + [
        MIDNIGHT - timedelta(days=days or 0) for days in DAYS
    ]

    def row(log: int, index: int) -> list[Any]:
        if chosen.random() < 0.3:
            at = chosen.choice(borders) + timedelta(microseconds=chosen.choice([-1, 0, 1]))
        else:
            at = MIDNIGHT - timedelta(microseconds=chosen.randrange(-2 * 86_400 * 10**6, 40 * 86_400 * 10**6))
        value = None if chosen.random() < 0.15 else chosen.randrange(-10_000, 10_000) / 100
        return [log, chosen.choice("ab"), at.isoformat(), value, index]

    rows = [row(log, index) for log in range(logs) for index in range(chosen.randrange(9))]
    numbered = [[*each[:4], number] for number, each in enumerate(rows)]
    late = [[*row(0, 0)[:4], -number] for number in range(1, 4)]
    dropped = chosen.sample(range(len(numbered)), min(3, len(numbered)))
    return Logs(as_of, tuple(numbered), tuple(late), tuple(dropped))


def load(warehouse: SnowflakeWarehouse, logs: Logs) -> None:
    warehouse.run(Statement(f"CREATE OR REPLACE TABLE {TABLE} {rows_of(json.dumps(logs.rows))}"))


def rows_of(bind: str) -> str:
    values = bind.replace("'", "''")
    return (
        "AS SELECT VALUE[0]::NUMBER AS LOG, VALUE[1]::VARCHAR AS K, VALUE[2]::TIMESTAMP_NTZ::TIMESTAMP_TZ AS SEEN, "
        f"VALUE[3]::NUMBER(10, 2) AS X, VALUE[4]::NUMBER AS I FROM TABLE(FLATTEN(INPUT => PARSE_JSON('{values}')))"
    )


def change(warehouse: SnowflakeWarehouse, logs: Logs) -> None:
    warehouse.run(Statement(f"INSERT INTO {TABLE} {rows_of(json.dumps(logs.late)).removeprefix('AS ')}"))
    warehouse.run(Statement(f"DELETE FROM {TABLE} WHERE I IN ({', '.join(map(str, logs.dropped)) or 'NULL'})"))


def window(warehouse: SnowflakeWarehouse, source: str, as_of: datetime, cut: datetime) -> SlicePlan:
    """A view over the rows or the tiles."""

    def build(sources: Any, _: datetime) -> Any:
        return trailing(sources[source], ["LOG", "K"], "SEEN", as_of, DAYS, MEASURES)

    view = View("features.py:view", Path("features.py"), build, "", {})
    query = view.query(warehouse, SOURCES, as_of, cut)
    assert sources_read(shape(query, SOURCES, cut), SOURCES, view.definition(SOURCES)) == {"events"}
    return SlicePlan("V", 1, as_of, query, "d", "s", "{}")


def answer(warehouse: SnowflakeWarehouse, part: SlicePlan) -> list[Row]:
    return sorted(warehouse.run(Statement(part.query)).rows)


def assert_equal(found: list[Row], expected: list[Row]) -> None:
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        for one, other in zip(got, wanted, strict=True):
            same = one == other or (
                one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
            )
            assert same, (got, wanted)


@pytest.fixture
def no_tiles(warehouse: SnowflakeWarehouse) -> Iterator[SnowflakeWarehouse]:
    yield warehouse
    warehouse.run(Statement(f"DROP TABLE IF EXISTS {TABLE}"))
    remove_tiles(warehouse)


def remove_tiles(warehouse: SnowflakeWarehouse) -> None:
    for row in warehouse.run(Statement("SHOW TABLES LIKE 'CONTRACT_EVENTS_TILES_%' IN SCHEMA FEATURE_STORE")).rows:
        warehouse.run(Statement(f'DROP TABLE FEATURE_STORE."{row[1]}"'))
    if warehouse.run(Statement(f"SHOW TABLES LIKE '{LINEAGE.last}' IN SCHEMA FEATURE_STORE")).rows:
        warehouse.run(Statement(f"DELETE FROM {LINEAGE.sql} WHERE TILES LIKE 'CONTRACT_EVENTS_TILES_%'"))


def check_logs(warehouse: SnowflakeWarehouse, logs: Logs) -> None:
    """Tiles give what rows give: computed, stored, with late rows, and as they were known before those."""
    remove_tiles(warehouse)
    load(warehouse, logs)
    cut = logs.as_of + timedelta(days=1)  # as for a label
    rows, tiled = (window(warehouse, source, logs.as_of, cut) for source in ("events", "events_tiles"))
    expected = answer(warehouse, rows)
    assert_equal(answer(warehouse, tiled), expected)
    at_midnight = window(warehouse, "events_tiles", MIDNIGHT, MIDNIGHT)
    then = answer(warehouse, window(warehouse, "events", MIDNIGHT, MIDNIGHT))

    def refreshed(known_at: datetime) -> set[date]:
        plans = plan_tiles(warehouse, "contract", SOURCES, [tiled, at_midnight], known_at)
        refresh_tiles(warehouse, plans, known_at, known_at, lambda _: None)
        assert_equal(answer(warehouse, read_stored(tiled, plans, known_at)), answer(warehouse, rows))
        old = read_stored(at_midnight, plans, BEFORE)
        assert TABLE not in old.query.replace('"', "")
        assert_equal(answer(warehouse, old), then)
        return {state.day for state in plans[0].stale}

    assert refreshed(BEFORE) == {
        day for day in (datetime.fromisoformat(row[2]).date() for row in logs.rows) if day < cut.date()
    }
    change(warehouse, logs)
    changed = refreshed(AFTER)
    assert {day for day in changed if day < logs.as_of.date()} == logs.changed
    assert refreshed(AFTER) == set()


@pytest.mark.slow
def test_tiles_equal_rows_for_many_logs(no_tiles: SnowflakeWarehouse) -> None:
    logs = made_logs(5, 150)
    assert logs.as_of != MIDNIGHT  # days at the windows' edges are read in part
    check_logs(no_tiles, logs)


def test_a_source_without_rows_has_no_tiles(no_tiles: SnowflakeWarehouse) -> None:
    remove_tiles(no_tiles)
    load(no_tiles, Logs(MIDNIGHT, (), (), ()))
    part = window(no_tiles, "events_tiles", MIDNIGHT, MIDNIGHT)
    plans = plan_tiles(no_tiles, "contract", SOURCES, [part], BEFORE)
    refresh_tiles(no_tiles, plans, BEFORE, BEFORE, lambda _: None)
    assert answer(no_tiles, read_stored(part, plans, BEFORE)) == []


@pytest.mark.slow
def test_tiles_equal_rows_for_logs_of_all_kinds(no_tiles: SnowflakeWarehouse) -> None:
    @settings(max_examples=8, phases=[Phase.generate])  # a smaller example takes minutes to find
    @given(st.integers(0, 2**32), st.integers(0, 150))
    def check(seed: int, logs: int) -> None:
        check_logs(no_tiles, made_logs(seed, logs))

    check()
