"""The functions that definitions are written with give what plain loops give, for every type of event time and in any time zone."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from snowflake.snowpark import functions as F

from app.cloud.snowflake import SnowflakeWarehouse
from app.features.aggregates import (
    LIFETIME,
    Measure,
    active_months,
    count,
    deviation,
    distinct,
    gaps,
    maximum,
    mean,
    minimum,
    ratio,
    recency,
    score_by_rank,
    score_by_rules,
    score_by_value,
    tenure,
    total,
    trailing,
)
from app.features.definitions.views import View
from app.spec.schema import Source
from app.sql import Statement

TABLE = "RAW.CONTRACT_EVENTS"
#: In Los Angeles the clocks change on 5 April 1998, inside the windows.
AS_OF = datetime(1998, 4, 20, 14, 30, 0, 250_000)
MIDNIGHT = datetime(1998, 4, 20)
DAYS = (7, 30, LIFETIME)
MEASURES = {
    "SPENT": total("X"),
    "EVENTS": count(),
    "PRICED": count("X"),
    "MEAN": mean("X"),
    "LEAST": minimum("X"),
    "MOST": maximum("X"),
    "SPREAD": deviation("X"),
    "KINDS": distinct("C"),
    "DOUBLE": total(F.col("X") * 2),
    "MIDDLE": Measure("median", F.median, F.col("X").cast("FLOAT")),
}

Row = dict[str, Any]


def made_rows() -> list[Row]:
    """240 events of 12 entities, some of them exactly at the as-of time and at the starts of windows."""
    chosen = random.Random(5)
    edges = [end - timedelta(days=days) for end in (AS_OF, MIDNIGHT) for days in (0, 7, 30)]
    rows = []
    for index in range(240):
        at = MIDNIGHT - timedelta(days=45) + timedelta(microseconds=chosen.randrange(47 * 86_400 * 10**6))
        at = edges[index] if index < len(edges) else at
        price = None if index % 9 == 0 else chosen.randrange(10_000) / 100
        rows.append({"K": index % 12 if index % 12 else 1, "T": at, "X": price, "C": chosen.choice("abc")})
    return rows


ROWS = made_rows()


@pytest.fixture(scope="module", params=["UTC", "America/Los_Angeles"])
def session(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[SnowflakeWarehouse]:
    """A session in a time zone, with the rows in a table that has their times in every type."""
    found = SnowflakeWarehouse("SNOWSAGE", environment)
    found.run(Statement(f"ALTER SESSION SET TIMEZONE = '{request.param}'"))
    zone = ZoneInfo("Asia/Tokyo")
    values = [
        [row["K"], row["T"].isoformat(), row["T"].replace(tzinfo=UTC).astimezone(zone).isoformat(), row["X"], row["C"]]
        for row in ROWS
    ]
    found.run(
        Statement(
            f"CREATE OR REPLACE TABLE {TABLE} AS SELECT VALUE[0]::NUMBER AS K, VALUE[1]::TIMESTAMP_NTZ::DATE AS D, "
            "VALUE[1]::TIMESTAMP_NTZ AS N, VALUE[2]::TIMESTAMP_TZ::TIMESTAMP_LTZ AS L, VALUE[2]::TIMESTAMP_TZ AS Z, "
            "VALUE[3]::NUMBER(10, 2) AS X, VALUE[4]::VARCHAR AS C FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?)))",
            (json.dumps(values),),
        )
    )
    yield found
    found.run(Statement(f"DROP TABLE {TABLE}"))
    found.close()


def answer(session: SnowflakeWarehouse, build: Callable[[Any], Any]) -> dict[int, Row]:
    """The rows of a view over the whole table, by entity."""
    view = View("features.py:view", Path("features.py"), lambda sources, _: build(sources["events"]), "", {})
    query = view.query(session, {"events": Source(table=TABLE)}, AS_OF, AS_OF)
    found = session.run(Statement(query))
    return {int(row[0]): dict(zip(found.columns[1:], row[1:], strict=True)) for row in found.rows}


def time_of(row: Row, column: str) -> datetime:
    at: datetime = row["T"]
    return at.replace(hour=0, minute=0, second=0, microsecond=0) if column == "D" else at


def expected_measures(rows: list[Row]) -> Row:
    prices = [row["X"] for row in rows if row["X"] is not None]
    return {
        "SPENT": sum(prices),
        "EVENTS": len(rows),
        "PRICED": len(prices),
        "MEAN": sum(prices) / len(prices) if prices else None,
        "LEAST": min(prices, default=None),
        "MOST": max(prices, default=None),
        "SPREAD": statistics.stdev(prices) if len(prices) > 1 else None,
        "KINDS": len({row["C"] for row in rows}),
        "DOUBLE": 2 * sum(prices),
        "MIDDLE": statistics.median(prices) if prices else None,
    }


def expected_windows(column: str, as_of: datetime) -> dict[int, Row]:
    known = [row for row in ROWS if time_of(row, column) < as_of]
    found: dict[int, Row] = {}
    for key in {row["K"] for row in known}:
        for days in DAYS:
            start = datetime.min if days is None else as_of - timedelta(days=days)
            inside = [row for row in known if row["K"] == key and time_of(row, column) >= start]
            suffix = "LIFETIME" if days is None else f"{days}_DAYS"
            found.setdefault(key, {}).update({f"{n}_{suffix}": v for n, v in expected_measures(inside).items()})
    return found


def assert_same(found: dict[int, Row], expected: dict[int, Row]) -> None:
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key].keys() == row.keys()
        for name, value in row.items():
            got = found[key][name]
            same = got is None if value is None else got is not None and math.isclose(got, value, abs_tol=1e-9)
            assert same, (key, name, got, value)


@pytest.mark.parametrize(("column", "as_of"), [("D", AS_OF), ("N", MIDNIGHT), ("L", AS_OF), ("Z", AS_OF)])
def test_windows_are_half_open_for_every_type_of_time(
    session: SnowflakeWarehouse, column: str, as_of: datetime
) -> None:
    found = answer(session, lambda events: trailing(events, "K", column, as_of, DAYS, MEASURES))
    assert_same(found, expected_windows(column, as_of))


@pytest.mark.parametrize("column", ["D", "L", "Z"])
def test_recency_tenure_months_and_gaps_are_utc_calendar_days(session: SnowflakeWarehouse, column: str) -> None:
    rhythm = answer(session, lambda events: gaps(events, "K", column))
    ages = answer(
        session,
        lambda events: events.group_by("K").agg(
            recency(column, AS_OF).alias("R"), tenure(column, AS_OF).alias("T"), active_months(column).alias("M")
        ),
    )
    for key in {row["K"] for row in ROWS}:
        days = sorted(time_of(row, column).date() for row in ROWS if row["K"] == key)
        apart = [(later - earlier).days for earlier, later in pairwise(days)]
        assert ages[key] == {
            "R": (AS_OF.date() - days[-1]).days,
            "T": (AS_OF.date() - days[0]).days,
            "M": len({day.replace(day=1) for day in days}),
        }
        assert rhythm[key]["GAP_LONGEST_DAYS"] == max(apart)
        assert math.isclose(rhythm[key]["GAP_MEAN_DAYS"], statistics.mean(apart))
        assert math.isclose(rhythm[key]["GAP_DEVIATION_DAYS"], statistics.stdev(apart))


def scored(session: SnowflakeWarehouse) -> dict[int, Row]:
    def build(events: Any) -> Any:
        entities = events.group_by("K").agg(
            F.count("X").alias("N"), F.max(F.iff(F.col("K") > 9, None, F.col("K"))).alias("V")
        )
        return entities.select(
            "K",
            "N",
            "V",
            score_by_rules("V", [(3, 5), (6, 4)], 1).alias("BELOW"),
            score_by_rules("V", [(6, 5), (3, 4)], 1, at_least=True).alias("ABOVE"),
            score_by_rank("N", "K").alias("BY_RANK"),
            score_by_rank("V", "K", 3, lower_is_better=True).alias("LOW"),
            score_by_value("N").alias("BY_VALUE"),
            score_by_value("V", 3).alias("THIRDS"),
            ratio("N", F.col("V") - 2).alias("RATIO"),
        )  # fmt: skip

    return answer(session, build)


def test_scores_follow_rules_ranks_and_values(session: SnowflakeWarehouse) -> None:
    found = scored(session)
    ranked = sorted(found, key=lambda key: (found[key]["N"], key))
    valued = sorted(key for key in found if found[key]["V"] is not None)
    for key, row in found.items():
        value = row["V"]
        assert row["BELOW"] == (None if value is None else 5 if value < 3 else 4 if value < 6 else 1)
        assert row["ABOVE"] == (None if value is None else 5 if value >= 6 else 4 if value >= 3 else 1)
        larger, rest = len(ranked) % 5, ranked.index(key)
        sizes = [len(ranked) // 5 + (group < larger) for group in range(5)]
        assert row["BY_RANK"] == next(group + 1 for group in range(5) if rest < sum(sizes[: group + 1]))
        worse = sum(other["N"] < row["N"] for other in found.values())
        assert row["BY_VALUE"] == min(5, worse * 5 // (len(found) - 1) + 1)
        if value is None:
            assert row["LOW"] is row["THIRDS"] is row["RATIO"] is None
        else:
            assert row["THIRDS"] == min(3, valued.index(key) * 3 // (len(valued) - 1) + 1)
            assert row["RATIO"] == (None if value == 2 else row["N"] / (int(value) - 2))
    assert found[valued[0]]["LOW"] == 3
    by_count = {row["N"]: row["BY_VALUE"] for row in found.values()}
    assert all(row["BY_VALUE"] == by_count[row["N"]] for row in found.values())
