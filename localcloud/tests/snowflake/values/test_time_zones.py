"""Sessions in time zones other than UTC: conversions, functions, texts, files, results."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector.constants import FIELD_ID_TO_NAME

Sql = Callable[..., list[tuple[Any, ...]]]
PACIFIC = timezone(timedelta(hours=-7))
_ROW = (
    "(SELECT '2024-07-01 20:30:00'::TIMESTAMP_NTZ n, '2024-07-01 20:30:00'::TIMESTAMP_LTZ l, "
    "'2024-07-01 20:30:00'::TIMESTAMP_TZ z, '2024-07-01'::DATE d, '2024-07-01 20:30:00' s, PARSE_JSON('0') v) t"
)
LOCAL = datetime(2024, 7, 1, 20, 30)


@pytest.fixture(scope="session")
def pacific(connect: Any) -> Any:
    return connect(session_parameters={"TIMEZONE": "America/Los_Angeles"})


@pytest.fixture
def local(pacific: Any, schema: str) -> Iterator[Sql]:
    """Runs a statement in a session of Los Angeles, in the test's schema."""
    pacific.cursor().execute(f"USE SCHEMA {schema}")

    def run(text: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = pacific.cursor().execute(text).fetchall()
        return rows

    yield run
    pacific.cursor().execute("ALTER SESSION SET TIMEZONE = 'America/Los_Angeles'")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # Conversions among the three types, and from text, dates and numbers.
        ("n::TIMESTAMP_LTZ", LOCAL.replace(tzinfo=PACIFIC)),
        ("n::TIMESTAMP_TZ", LOCAL.replace(tzinfo=PACIFIC)),
        ("l::TIMESTAMP_NTZ", LOCAL),
        ("z::TIMESTAMP_NTZ", LOCAL),
        ("s::TIMESTAMP_LTZ", LOCAL.replace(tzinfo=PACIFIC)),
        ("d::TIMESTAMP_LTZ", datetime(2024, 7, 1, tzinfo=PACIFIC)),
        ("l::DATE", date(2024, 7, 1)),
        ("l::TIME", time(20, 30)),
        ("TO_TIMESTAMP_TZ('2024-04-05 01:02:03')", datetime(2024, 4, 5, 1, 2, 3, tzinfo=PACIFIC)),
        ("TO_TIMESTAMP_NTZ('2024-04-05 01:02:03')", datetime(2024, 4, 5, 1, 2, 3)),
        (
            "TO_TIMESTAMP_TZ('04/05/2024 01:02:03', 'mm/dd/yyyy hh24:mi:ss')",
            datetime(2024, 4, 5, 1, 2, 3, tzinfo=PACIFIC),
        ),
        ("TO_TIMESTAMP_LTZ('2024-07-01 20:30:00 +0900')", datetime(2024, 7, 1, 11, 30, tzinfo=UTC)),
        ("'2024-07-01 20:30:00 Z'::TIMESTAMP_LTZ", datetime(2024, 7, 1, 20, 30, tzinfo=UTC)),
        ("'2024-07-01 20:30:00 +0900'::TIMESTAMP_NTZ", LOCAL),
        ("'2024-07-01 20:30:00 +0900'::TIMESTAMP_TZ::TIMESTAMP_NTZ", LOCAL),
        ("'2024-07-01 20:30:00 +0900'::TIMESTAMP_TZ::DATE", date(2024, 7, 1)),
        ("0::TIMESTAMP_NTZ", datetime(1970, 1, 1)),
        ("0::TIMESTAMP_LTZ", datetime(1970, 1, 1, tzinfo=UTC)),
        ("v::TIMESTAMP_NTZ", datetime(1969, 12, 31, 16)),
        ("v::INT::TIMESTAMP_NTZ", datetime(1970, 1, 1)),
        ("TO_TIMESTAMP(1000000000, 3)", datetime(1970, 1, 12, 13, 46, 40)),
        ("TO_TIMESTAMP_NTZ(40 * 365.25 * 86400 * 1000 + 456, 3)", datetime(2010, 1, 1, 0, 0, 0, 456_000)),
        ("TO_TIMESTAMP('31536000000')", datetime(1971, 1, 1)),
        ("'1704067200'::TIMESTAMP_NTZ", datetime(2024, 1, 1)),
        ("'1704067200000'::TIMESTAMP_NTZ", datetime(2024, 1, 1)),
        ("'1704067200000000'::TIMESTAMP_NTZ", datetime(2024, 1, 1)),
        ("'1704067200000000000'::TIMESTAMP_NTZ", datetime(2024, 1, 1)),
        ("TO_TIMESTAMP_LTZ('31536000000000')", datetime(1971, 1, 1, tzinfo=UTC)),
        ("TRY_TO_TIMESTAMP_LTZ('soon')", None),
        ("TRY_CAST(s AS TIMESTAMP_LTZ)", LOCAL.replace(tzinfo=PACIFIC)),
        ("TIMESTAMP_LTZ_FROM_PARTS(2024, 7, 1, 20, 30, 0)", LOCAL.replace(tzinfo=PACIFIC)),
        ("TIMESTAMP_TZ_FROM_PARTS(2024, 7, 1, 20, 30, 0, 0, 'Asia/Tokyo')", datetime(2024, 7, 1, 11, 30, tzinfo=UTC)),
        # Functions compute on the wall clock of the session.
        ("DATE_TRUNC('day', l)", datetime(2024, 7, 1, tzinfo=PACIFIC)),
        ("DATEADD(day, 1, l)", datetime(2024, 7, 2, 20, 30, tzinfo=PACIFIC)),
        ("DATEADD(day, 1, '2024-03-09 20:30:00'::TIMESTAMP_LTZ)", datetime(2024, 3, 10, 20, 30, tzinfo=PACIFIC)),
        ("HOUR(l)", 20),
        ("DATEDIFF(hour, n, l)", 0),
        ("DATE_PART(epoch_second, l)", 1719891000),
        ("DATE_PART(epoch_second, n)", 1719865800),
        ("LAST_DAY(l)", date(2024, 7, 31)),
        ("n = l AND d < l AND l >= '2024-07-01 20:30:00'", True),
        # A moment in another zone.
        ("CONVERT_TIMEZONE('UTC', 'Asia/Tokyo', n)", datetime(2024, 7, 2, 5, 30)),
        ("CONVERT_TIMEZONE('Asia/Tokyo', n)", LOCAL.replace(tzinfo=PACIFIC)),
        ("CONVERT_TIMEZONE('Asia/Tokyo', l)::TIMESTAMP_NTZ", datetime(2024, 7, 2, 12, 30)),
        ("CONVERT_TIMEZONE('Asia/Tokyo', l)::DATE", date(2024, 7, 2)),
        ("HOUR(CONVERT_TIMEZONE('Asia/Tokyo', l))", 12),
        ("DATE_TRUNC('day', CONVERT_TIMEZONE('Asia/Tokyo', l))", datetime(2024, 7, 1, 15, tzinfo=UTC)),
        ("DATE_TRUNC('day', CONVERT_TIMEZONE('Asia/Tokyo', l))::TIMESTAMP_NTZ", datetime(2024, 7, 2)),
        # Texts.
        ("n::VARCHAR", "2024-07-01 20:30:00.000"),
        ("l::VARCHAR", "2024-07-01 20:30:00.000 -0700"),
        ("TO_VARCHAR(z)", "2024-07-01 20:30:00.000 -0700"),
        ("MAX(l)::VARCHAR", "2024-07-01 20:30:00.000 -0700"),
        ("TO_CHAR(l, 'YYYY-MM-DD HH24:MI TZH:TZM')", "2024-07-01 20:30 -07:00"),
        ("'2024-07-01 20:30:00 +0900'::TIMESTAMP_TZ::VARCHAR", "2024-07-01 20:30:00.000 +0900"),
        ("CONVERT_TIMEZONE('Asia/Tokyo', l)::VARCHAR", "2024-07-02 12:30:00.000 +0900"),
        ("TO_CHAR(CONVERT_TIMEZONE('Asia/Tokyo', l), 'HH24:MI TZHTZM')", "12:30 +0900"),
    ],
)
def test_values(local: Sql, expression: str, value: Any) -> None:
    ((found,),) = local(f"SELECT {expression} FROM {_ROW} GROUP BY n, l, z, d, s, v")
    assert (type(found), found) == (type(value), value)
    assert getattr(found, "tzinfo", None) is None or found.utcoffset() in (timedelta(hours=-7), timedelta(hours=-8))


def test_the_current_time_is_local_and_sysdate_is_utc(local: Sql) -> None:
    ((now, utc, same),) = local("SELECT CURRENT_TIMESTAMP(), SYSDATE(), CURRENT_DATE() = CURRENT_TIMESTAMP()::DATE")
    assert abs(now.replace(tzinfo=None) - now.utcoffset() - utc) < timedelta(seconds=1)
    assert now.utcoffset() != timedelta(0)
    assert same


def test_columns_keep_their_type_through_queries_views_and_tables(local: Sql, pacific: Any) -> None:
    local("CREATE TABLE t (n TIMESTAMP_NTZ, l TIMESTAMP_LTZ, z TIMESTAMP_TZ)")
    local("CREATE VIEW w AS SELECT DATEADD(hour, 1, l) AS moved, z, CURRENT_TIMESTAMP() AS now FROM t")
    local("CREATE TABLE made AS SELECT MAX(l) AS l, n::TIMESTAMP_TZ AS z FROM t GROUP BY n")
    assert [row[1] for row in local("DESC TABLE made")] == ["TIMESTAMP_LTZ(9)", "TIMESTAMP_TZ(9)"]
    for query, types in {
        "SELECT * FROM t": ["TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ"],
        "SELECT * FROM w": ["TIMESTAMP_LTZ", "TIMESTAMP_TZ", "TIMESTAMP_LTZ"],
        "SELECT COALESCE(l, CURRENT_TIMESTAMP()), IFF(TRUE, z, z), LAG(l) OVER (ORDER BY l) FROM (SELECT * FROM t)": [
            *("TIMESTAMP_LTZ", "TIMESTAMP_TZ", "TIMESTAMP_LTZ"),
        ],
    }.items():
        assert [FIELD_ID_TO_NAME[column.type_code] for column in pacific.cursor().describe(query)] == types


def test_a_stored_moment_is_shown_in_the_zone_of_the_session_that_reads_it(local: Sql, sql: Sql) -> None:
    local("CREATE TABLE t (n TIMESTAMP_NTZ, l TIMESTAMP_LTZ DEFAULT '2024-01-01 00:00:00'::TIMESTAMP_LTZ)")
    local("INSERT INTO t VALUES ('2024-07-01 20:30:00', '2024-07-01 20:30:00')")
    local("ALTER SESSION SET TIMEZONE = 'Europe/Berlin'")
    ((naive, moment, text),) = local("SELECT n, l, l::VARCHAR FROM t")
    assert (naive, text) == (LOCAL, "2024-07-02 05:30:00.000 +0200")
    assert (moment, moment.utcoffset()) == (LOCAL.replace(tzinfo=PACIFIC), timedelta(hours=2))
    assert sql("SELECT l::TIMESTAMP_NTZ FROM t") == [(datetime(2024, 7, 2, 3, 30),)]


def test_files_are_read_and_written_in_the_zone_of_the_session(local: Sql, pacific: Any) -> None:
    local("CREATE STAGE s")
    sink = io.BytesIO()
    moment = pa.array([datetime(2024, 7, 2, 3, 30)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"n": moment, "l": moment}), sink)
    pacific.cursor().execute("PUT file://a.parquet @s", file_stream=io.BytesIO(sink.getvalue()))
    local("CREATE TABLE t (n TIMESTAMP_NTZ, l TIMESTAMP_LTZ)")
    match = "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
    local(f"COPY INTO t FROM @s FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) {match}")
    # A TIMESTAMP_LTZ of the file becomes the local time; without logical types it is a TIMESTAMP_NTZ in UTC.
    assert local("SELECT n, l::TIMESTAMP_NTZ FROM t") == [(LOCAL, LOCAL)]
    local(f"COPY INTO t FROM @s FILE_FORMAT = (TYPE = PARQUET) {match} FORCE = TRUE")
    assert local("SELECT MAX(n) FROM t") == [(datetime(2024, 7, 2, 3, 30),)]
    local("COPY INTO @s/out FROM (SELECT l FROM t LIMIT 1) FILE_FORMAT = (TYPE = CSV COMPRESSION = NONE) SINGLE = TRUE")
    assert local("SELECT $1 FROM @s/out") == [("2024-07-01 20:30:00.000 -0700",)]
    local("CREATE TABLE texts (n TIMESTAMP_NTZ, l TIMESTAMP_LTZ)")
    pacific.cursor().execute(
        "PUT file://b.csv @s", file_stream=io.BytesIO(b"2024-07-01 20:30:00,2024-07-01 20:30:00\n")
    )
    local("COPY INTO texts FROM @s/b.csv")
    assert local("SELECT n, l = n::TIMESTAMP_LTZ FROM texts") == [(LOCAL, True)]


def test_snowpark_and_arrow_results(pacific: Any, local: Sql) -> None:
    table = pacific.cursor().execute(f"SELECT n, l FROM {_ROW}").fetch_arrow_all()
    assert table.column("L").to_pylist() == [LOCAL.replace(tzinfo=PACIFIC)]
    assert table.column("N").to_pylist() == [LOCAL]
    local("ALTER SESSION SET PYTHON_CONNECTOR_QUERY_RESULT_FORMAT = JSON")
    try:
        ((plain, moment, zoned),) = local(f"SELECT n, l, z FROM {_ROW}")
    finally:
        local("ALTER SESSION UNSET PYTHON_CONNECTOR_QUERY_RESULT_FORMAT")
    assert (plain, moment, zoned) == (LOCAL, LOCAL.replace(tzinfo=PACIFIC), LOCAL.replace(tzinfo=PACIFIC))
    assert zoned.utcoffset() == timedelta(hours=-7)


@pytest.mark.parametrize(("mapping", "shown"), [("TIMESTAMP_LTZ", "TIMESTAMP_LTZ"), ("TIMESTAMP_TZ", "TIMESTAMP_TZ")])
def test_timestamp_is_the_type_that_the_session_maps_it_to(local: Sql, mapping: str, shown: str) -> None:
    local(f"ALTER SESSION SET TIMESTAMP_TYPE_MAPPING = {mapping}")
    try:
        local("CREATE TABLE t (a TIMESTAMP, b DATETIME, c TIMESTAMP_NTZ)")
        assert [row[1] for row in local("DESC TABLE t")] == [f"{shown}(9)", "TIMESTAMP_NTZ(9)", "TIMESTAMP_NTZ(9)"]
        text = "'2024-07-01 20:30:00'"
        ((*zoned, plain),) = local(
            f"SELECT {text}::TIMESTAMP, TO_TIMESTAMP({text}), TRY_TO_TIMESTAMP({text}), "
            f"TO_TIMESTAMP({text}, 'YYYY-MM-DD HH24:MI:SS'), TO_TIMESTAMP_NTZ({text})"
        )
        assert (zoned, plain) == ([LOCAL.replace(tzinfo=PACIFIC)] * 4, LOCAL)
    finally:
        local("ALTER SESSION UNSET TIMESTAMP_TYPE_MAPPING")
