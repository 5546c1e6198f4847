"""Slices of the feature store, written and found in Snowflake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.cloud.snowflake import SnowflakeWarehouse
from app.features import store
from app.features.store import Counts, Slice, SlicePlan, ViewVersion
from app.features.upkeep.retention import PrunePlan, Superseded, find_superseded, find_used, run_prune
from app.ports import ColumnType
from app.runs.identity import Run
from app.runs.ledger import Ledger
from app.sql import Statement
from tests.unit import churn

VIEW, KEY = "CONTRACT_SLICES", ("ID",)
STORED = ViewVersion(VIEW, 1, KEY, ("A",))
TIMES = (datetime(1998, 1, 1), datetime(1998, 2, 1, 12, 30, 0, 5))
PARTS = tuple(
    SlicePlan(
        VIEW,
        1,
        at,
        f"SELECT 1 AS ID, {n}.5 AS A UNION ALL SELECT 2, {n + 1}.5",
        f"d{n}",
        "s",
        '{"o": {"hash": "-1\\"\'"}}',
    )
    for n, at in enumerate(TIMES)
)
KNOWN_AT = datetime(1998, 7, 1, 6, 30)


@pytest.fixture
def stored(warehouse: SnowflakeWarehouse) -> Iterator[SnowflakeWarehouse]:
    """A warehouse with the tables of a view."""
    warehouse.run(store.CREATE_LINEAGE)
    warehouse.run(store.create_view_table(VIEW, {"ID": "NUMBER"}, (ColumnType("A", "number"),), "contract"))
    yield warehouse
    warehouse.run(Statement(f"DROP TABLE {store.view_table(VIEW).sql}"))
    warehouse.run(Statement(f"DELETE FROM {store.LINEAGE.sql} WHERE VIEW_NAME = ?", (VIEW,)))


def write(warehouse: SnowflakeWarehouse) -> None:
    warehouse.run(store.remove_slices(PARTS, KNOWN_AT))
    warehouse.run(store.write_slices(PARTS, KEY, ("A",), KNOWN_AT, KNOWN_AT))
    counted = warehouse.run(store.count_slices([STORED], KNOWN_AT, *TIMES)).rows
    assert sorted((*row[:4], json.loads(row[4])) for row in counted) == [(VIEW, at, 2, 2, {"A": 0}) for at in TIMES]
    counts_of = {(view, at): Counts(rows, entities, {"A": 0}) for view, at, rows, entities, _ in counted}
    warehouse.run(store.write_lineage(PARTS, "run", KNOWN_AT, counts_of, KNOWN_AT))


def found(warehouse: SnowflakeWarehouse) -> list[bool]:
    """For each row of the lineage, whether the slice is intact."""
    rows = warehouse.run(store.find_slices([STORED])).rows
    expected = [(VIEW, part.as_of, KNOWN_AT, 2, part.definition_sha256, "s") for part in PARTS]
    assert [row[:6] for row in rows] == expected
    assert {row[7] for row in rows} == {None}
    return [bool(row[6]) for row in rows]


def test_slices_that_are_written_twice_are_there_once(stored: SnowflakeWarehouse) -> None:
    write(stored)
    write(stored)
    assert found(stored) == [True, True]
    assert stored.run(Statement(f"SELECT AS_OF, ID, A FROM {store.view_table(VIEW).sql} ORDER BY A, ID")).rows == [
        (TIMES[0], 1, 0.5),
        (TIMES[1], 1, 1.5),
        (TIMES[0], 2, 1.5),
        (TIMES[1], 2, 2.5),
    ]
    sources = stored.run(Statement(f"SELECT DISTINCT SOURCES FROM {store.LINEAGE.sql} WHERE VIEW_NAME = ?", (VIEW,)))
    assert sources.rows == [(PARTS[0].sources,)]


@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO {table} SELECT * FROM {table} WHERE {first}",
        "DELETE FROM {table} WHERE ID = 2 AND {first}",
        "DELETE FROM {table} WHERE {first}",
        "UPDATE {table} SET ID = 1 WHERE {first}",
    ],
)
def test_a_damaged_slice_is_detected_and_repaired(stored: SnowflakeWarehouse, damage: str) -> None:
    write(stored)
    stored.run(Statement(damage.format(table=store.view_table(VIEW).sql, first="AS_OF < '1998-01-02'")))
    assert found(stored) == [False, True]
    write(stored)
    assert found(stored) == [True, True]


def test_superseded_slices_are_found_and_removed(stored: SnowflakeWarehouse) -> None:
    later = KNOWN_AT + timedelta(days=30)
    write(stored)
    first = replace(PARTS[0], sources_sha256="late rows")
    stored.run(store.write_slices((first,), KEY, ("A",), later, later))
    stored.run(store.write_lineage((first,), "run", later, {(VIEW, TIMES[0]): Counts(2, 2, {"A": 0})}, later))
    assert stored.run(find_superseded([VIEW], later)).rows == []
    rows = stored.run(find_superseded([VIEW], later + timedelta(days=1))).rows
    assert rows == [(VIEW, 1, TIMES[0], KNOWN_AT, 2, later)]
    run_prune(PrunePlan(later, (Superseded(*rows[0]),), 0), stored, later)
    found = [(row[1], row[2], row[6], row[7]) for row in stored.run(store.find_slices([STORED])).rows]
    assert found == [
        (TIMES[0], KNOWN_AT, False, later),
        (TIMES[0], later, True, None),
        (TIMES[1], KNOWN_AT, True, None),
    ]
    assert stored.run(find_superseded([VIEW], later + timedelta(days=1))).rows == []


def test_slices_of_the_latest_run_and_of_runs_in_use_are_found(warehouse: SnowflakeWarehouse) -> None:
    ledger = Ledger(warehouse)
    for id, as_of in (("retention-1", TIMES[0]), ("retention-2", TIMES[1])):
        run = ledger.begin(Run("retention", id, as_of.date(), KNOWN_AT))
        ledger.record(run, "features", replace(churn.feature_set(), slices=(Slice(VIEW, 1, as_of, KNOWN_AT, 2),)), 1.0)

    def used(runs: list[str]) -> list[tuple[object, ...]]:
        return sorted(row for row in warehouse.run(find_used(runs)).rows if row[0] == VIEW)

    assert used([]) == [(VIEW, 1, TIMES[1], KNOWN_AT)]
    assert used(["retention-1"]) == [(VIEW, 1, time, KNOWN_AT) for time in TIMES]
    warehouse.run(Statement("DELETE FROM ML.RUNS WHERE PIPELINE = 'retention'"))
