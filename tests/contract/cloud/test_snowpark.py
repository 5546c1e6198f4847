"""Queries that Snowpark makes of frames: stable texts, few questions to Snowflake, and sources that can be recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from snowflake.snowpark import Window
from snowflake.snowpark.functions import avg, col, count, lit, row_number

from app.cloud.snowflake import SnowflakeWarehouse
from app.errors import CallerError
from app.features.definitions.reads import Definition, shape, sources_read
from app.features.definitions.views import View
from app.spec.schema import Source
from app.sql import Statement

AS_OF = datetime(1998, 1, 1)
SOURCES = {"orders": Source(table="RAW.ORDERS", event_time="ORDER_DATE")}

Frame = Callable[[Any, datetime], Any]


def joined(sources: Any, as_of: datetime) -> Any:
    """A join of frames with equal column names, to which Snowpark adds prefixes."""
    orders = sources["orders"]
    recent = orders.filter(col("ORDER_DATE") >= lit(as_of - timedelta(days=90)))
    counted = recent.group_by("CUSTOMER_ID").agg(count(lit(1)).alias("N"))
    valued = orders.group_by("CUSTOMER_ID").agg(avg("AMOUNT").alias("N"))
    pairs = counted.join(valued, counted["CUSTOMER_ID"] == valued["CUSTOMER_ID"])
    return pairs.select(counted["CUSTOMER_ID"].alias("CUSTOMER_ID"), counted["N"].alias("N"), valued["N"].alias("M"))


def joined_to_itself(sources: Any, as_of: datetime) -> Any:
    left, right = sources["orders"].alias("l"), sources["orders"].alias("r")
    same = left.join(right, (col("l", "ORDER_ID") == col("r", "ORDER_ID")))
    return same.select(col("l", "ORDER_ID").alias("A"), col("r", "AMOUNT").alias("B"))


FRAMES: dict[str, Frame] = {
    "whole": lambda sources, _: sources["orders"],
    "joined": joined,
    "joined to itself": joined_to_itself,
    "filtered": lambda sources, _: sources["orders"].filter(col("AMOUNT") > 3).sort("ORDER_ID").limit(5),
    "distinct": lambda sources, _: sources["orders"].select("CUSTOMER_ID").distinct(),
    "first of each": lambda sources, _: sources["orders"].drop_duplicates("CUSTOMER_ID"),
    "union": lambda sources, _: sources["orders"].union_all(sources["orders"].filter(col("AMOUNT") > 3)),
    "except": lambda sources, _: sources["orders"].except_(sources["orders"].filter(col("AMOUNT") > 3)),
    "window": lambda sources, _: sources["orders"].with_column(
        "NTH", row_number().over(Window.partition_by("CUSTOMER_ID").order_by("ORDER_DATE", "ORDER_ID"))
    ),
    "renamed": lambda sources, _: sources["orders"].rename({"AMOUNT": "PAID"}).drop("ORDER_DATE"),
    "cross": lambda sources, _: sources["orders"].cross_join(sources["orders"].select(avg("AMOUNT").alias("MEAN"))),
}  # fmt: skip


def view(frame: Frame, described: dict[str, Any] | None = None) -> View:
    return View("features.py:view", Path("features.py"), frame, "", {} if described is None else described)


@pytest.fixture(scope="module")
def other(environment: dict[str, str]) -> Iterator[SnowflakeWarehouse]:
    found = SnowflakeWarehouse("SNOWSAGE", environment)
    yield found
    found.close()


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_equal_frames_give_equal_texts_that_show_their_sources(
    warehouse: SnowflakeWarehouse, other: SnowflakeWarehouse, frame: Frame
) -> None:
    described: dict[str, Any] = {}
    first = view(frame, described).query(warehouse, SOURCES, AS_OF, AS_OF)
    later = view(frame, described).query(warehouse, SOURCES, AS_OF + timedelta(days=30), AS_OF + timedelta(days=30))
    assert view(frame, described).query(warehouse, SOURCES, AS_OF, AS_OF) == first  # with all answers known
    assert view(frame).query(other, SOURCES, AS_OF, AS_OF) == first
    shaped = shape(first, SOURCES, AS_OF)
    assert shape(later, SOURCES, AS_OF + timedelta(days=30)) == shaped
    assert sources_read(shaped, SOURCES, Definition("features.py:view")) == {"orders"}
    assert warehouse.run(Statement(f"SELECT COUNT(*) FROM ({first})")).scalar() > 0


def test_the_columns_of_frames_are_asked_for_once(warehouse: SnowflakeWarehouse) -> None:
    described: dict[str, Any] = {}
    for month in range(12):
        at = AS_OF - timedelta(days=30 * month)
        view(joined, described).query(warehouse, SOURCES, at, at)
        if month == 0:
            asked = len(described)
    assert len(described) == asked


@pytest.mark.parametrize(
    "read",
    [
        lambda sources, _: sources["orders"].session.table("RAW.ORDERS"),
        lambda sources, _: sources["orders"].session.sql("SELECT * FROM RAW.ORDERS"),
        lambda sources, _: sources["orders"].join(
            sources["orders"].session.table("RAW.ORDERS").select("CUSTOMER_ID"), "CUSTOMER_ID"
        ),
    ],
)
def test_a_table_that_a_frame_reads_itself_is_refused(warehouse: SnowflakeWarehouse, read: Frame) -> None:
    query = view(read).query(warehouse, SOURCES, AS_OF, AS_OF)
    with pytest.raises(CallerError, match=r'reads the table RAW.ORDERS itself, .*; write sources\["orders"\]'):
        sources_read(shape(query, SOURCES, AS_OF), SOURCES, Definition("features.py:view"))
