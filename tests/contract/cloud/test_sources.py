"""The state of sources at many times, read by one statement, against the rows that views see at each time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from app.cloud.snowflake import SnowflakeWarehouse
from app.features.definitions.reads import cut_query
from app.features.sources import check_sources, source_state, source_states
from app.spec.schema import Source
from app.sql import Statement

TYPES = ("DATE", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ")
TIMES = [datetime(2024, 1, 1) + timedelta(hours=12) * step for step in range(8)]
SOURCES = {kind.lower(): Source(table=f"RAW.STATE_{kind}", event_time="AT") for kind in TYPES}


@pytest.fixture(scope="module")
def tables(warehouse: SnowflakeWarehouse) -> Iterator[None]:
    moments = [
        "2024-01-01 00:00:00",
        "2024-01-02 03:00:00",
        "2024-01-02 21:00:00",
        "2024-01-03 12:00:00",
        "2030-01-01 00:00:00",
    ]
    for kind in TYPES:
        shown = [
            f"{moment} -0500" if kind == "TIMESTAMP_TZ" else moment[:10] if kind == "DATE" else moment
            for moment in moments
        ]
        values = ", ".join(f"({number}, '{moment}'::{kind})" for number, moment in enumerate(shown))
        warehouse.run(Statement(f"CREATE OR REPLACE TABLE RAW.STATE_{kind} (N NUMBER, AT {kind})"))
        warehouse.run(Statement(f"INSERT INTO RAW.STATE_{kind} SELECT * FROM VALUES {values}"))
        warehouse.run(Statement(f"INSERT INTO RAW.STATE_{kind} VALUES (7, NULL)"))
    yield
    for kind in TYPES:
        warehouse.run(Statement(f"DROP TABLE RAW.STATE_{kind}"))  # fmt: skip


def test_each_state_counts_the_rows_that_a_view_sees(warehouse: SnowflakeWarehouse, tables: None) -> None:
    check_sources(warehouse, SOURCES)
    states = source_states(warehouse, SOURCES, TIMES)
    for at in TIMES:
        for name, source in SOURCES.items():
            seen = warehouse.run(Statement(f"SELECT COUNT(*) FROM ({cut_query(source, at)})")).scalar()
            assert (at, name, states.at[at][name]["rows"]) == (at, name, seen)
        assert source_state(warehouse, SOURCES, at) == states.at[at]
    assert states.spans["timestamp_tz"] == (datetime(2024, 1, 1, 5), datetime(2024, 1, 3, 17))


def test_a_state_changes_with_any_row_before_its_time(warehouse: SnowflakeWarehouse, tables: None) -> None:
    source, at = {"date": SOURCES["date"]}, TIMES[-1]
    table = "RAW.STATE_DATE"
    before = source_state(warehouse, source, at)
    warehouse.run(Statement(f"INSERT INTO {table} VALUES (9, '2031-01-01')"))
    assert source_state(warehouse, source, at) == before
    warehouse.run(Statement(f"INSERT INTO {table} SELECT * FROM {table} WHERE N = 1"))
    twice = source_state(warehouse, source, at)
    assert twice["date"]["hash"] != before["date"]["hash"]
    warehouse.run(Statement(f"UPDATE {table} SET N = N + 10"))
    assert source_state(warehouse, source, at)["date"]["hash"] != twice["date"]["hash"]
