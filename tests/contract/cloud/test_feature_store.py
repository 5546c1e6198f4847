"""Slices of the feature store, written and found in Snowflake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from app.cloud.snowflake import SnowflakeWarehouse
from app.features import store
from app.features.store import Counts, SlicePlan, ViewVersion
from app.ports import ColumnType
from app.sql import Statement

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
