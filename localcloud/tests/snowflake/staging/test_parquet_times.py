"""Times in Parquet files, by physical, logical and converted type, with and without USE_LOGICAL_TYPE."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]
Put = Callable[[str, bytes], None]
MOMENT = datetime(1970, 1, 2, 3, 4, 5, 600_000)
MATCH = "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"

# Column: its Arrow type, and what INFER_SCHEMA finds with USE_LOGICAL_TYPE = TRUE and FALSE: Snowflake's documented table.
COLUMNS = {
    "naive_ms": (pa.timestamp("ms"), "TIMESTAMP_NTZ", "NUMBER(38, 0)"),
    "naive_us": (pa.timestamp("us"), "TIMESTAMP_NTZ", "NUMBER(38, 0)"),
    "naive_ns": (pa.timestamp("ns"), "TIMESTAMP_NTZ", "NUMBER(38, 0)"),
    "utc_ms": (pa.timestamp("ms", "UTC"), "TIMESTAMP_LTZ", "TIMESTAMP_NTZ"),
    "utc_us": (pa.timestamp("us", "UTC"), "TIMESTAMP_LTZ", "TIMESTAMP_NTZ"),
    "utc_ns": (pa.timestamp("ns", "UTC"), "TIMESTAMP_LTZ", "NUMBER(38, 0)"),
    "time_us": (pa.time64("us"), "TIME", "NUMBER(38, 0)"),
    "time_ns": (pa.time64("ns"), "TIME", "NUMBER(38, 0)"),
}
INTEGERS = {"naive_ms": 97_445_600, "naive_us": 97_445_600_000, "naive_ns": 97_445_600_000_000}


def parquet(values: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(values), sink, **options)
    return sink.getvalue()


def every_kind(moment: datetime = MOMENT) -> bytes:
    return parquet(
        {
            name: pa.array([moment.time() if name.startswith("time") else moment], type_)
            for name, (type_, *_) in COLUMNS.items()
        }
    )


@pytest.fixture
def put(sql: Sql, connection: Any) -> Put:
    sql("CREATE STAGE s")

    def run(name: str, data: bytes) -> None:
        connection.cursor().execute(f"PUT file://{name} @s OVERWRITE = TRUE", file_stream=io.BytesIO(data))

    return run


@pytest.fixture
def formats(sql: Sql) -> None:
    sql("CREATE FILE FORMAT logical TYPE = PARQUET USE_LOGICAL_TYPE = TRUE")
    sql("CREATE FILE FORMAT physical TYPE = PARQUET")
    sql("CREATE FILE FORMAT vectorized TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE")


@pytest.mark.parametrize(("name", "at"), [("logical", 1), ("physical", 2), ("vectorized", 1)])
def test_the_inferred_types_are_those_of_the_documented_table(
    sql: Sql, put: Put, formats: None, name: str, at: int
) -> None:
    put("a.parquet", every_kind())
    found = sql(f"SELECT COLUMN_NAME, TYPE FROM TABLE(INFER_SCHEMA(LOCATION => '@s', FILE_FORMAT => '{name}'))")
    assert dict(found) == {column: types[at] for column, types in COLUMNS.items()}


def test_logical_types_load_every_unit_as_the_same_moment(sql: Sql, put: Put, formats: None) -> None:
    put("a.parquet", every_kind())
    moments = [name for name in COLUMNS if "time" not in name]
    sql(f"CREATE TABLE t ({', '.join(f'{name} TIMESTAMP_NTZ' for name in moments)}, time_us TIME, time_ns TIME)")
    sql(f"COPY INTO t FROM @s FILE_FORMAT = (FORMAT_NAME = logical) {MATCH}")
    assert sql("SELECT * FROM t") == [(*[MOMENT] * len(moments), MOMENT.time(), MOMENT.time())]


def test_times_without_a_converted_type_are_integers_by_default(sql: Sql, put: Put, formats: None) -> None:
    put("a.parquet", every_kind())
    sql(f"CREATE TABLE t ({', '.join(f'{name} NUMBER' for name in INTEGERS)}, utc_us TIMESTAMP_NTZ)")
    sql(f"COPY INTO t FROM @s FILE_FORMAT = (TYPE = PARQUET) {MATCH}")
    assert sql("SELECT * FROM t") == [(*INTEGERS.values(), MOMENT)]
    assert sql("SELECT $1:naive_us, $1:time_us FROM @s (FILE_FORMAT => physical)") == [
        ("97445600000", str(11_045_600_000)),
    ]


def test_an_integer_is_loaded_as_seconds_since_1970(sql: Sql, put: Put) -> None:
    put("a.parquet", every_kind(datetime(1970, 1, 1, 0, 1)))
    sql("CREATE TABLE t (naive_ms TIMESTAMP_NTZ, naive_us TIMESTAMP_NTZ)")
    sql(f"COPY INTO t FROM @s FILE_FORMAT = (TYPE = PARQUET) {MATCH}")
    assert sql("SELECT * FROM t") == [(datetime(1970, 1, 1, 16, 40), datetime(1971, 11, 26, 10, 40))]
    put("b.parquet", parquet({"naive_ms": [60], "naive_us": [None]}))
    sql(f"COPY INTO t FROM @s/b FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) {MATCH}")
    assert sql("SELECT * FROM t WHERE naive_us IS NULL") == [(datetime(1970, 1, 1, 0, 1), None)]


@pytest.mark.parametrize("on_error", ["", "ON_ERROR = CONTINUE"])
def test_seconds_beyond_the_calendar_are_refused(sql: Sql, put: Put, on_error: str) -> None:
    put("a.parquet", every_kind(datetime(2024, 1, 2)))
    sql("CREATE TABLE t (naive_us TIMESTAMP_NTZ)")
    with pytest.raises(ProgrammingError, match=r"naive_us .* set USE_LOGICAL_TYPE = TRUE") as raised:
        sql(f"COPY INTO t FROM @s FILE_FORMAT = (TYPE = PARQUET) {MATCH} {on_error}")
    assert raised.value.sqlstate == "0A000"


def test_int96_has_no_zone_unless_the_scanner_is_vectorized(sql: Sql, put: Put, formats: None) -> None:
    content = parquet({"x": pa.array([MOMENT], pa.timestamp("us"))}, use_deprecated_int96_timestamps=True)
    put("a.parquet", content)
    for name, type_ in (("logical", "TIMESTAMP_NTZ"), ("physical", "TIMESTAMP_NTZ"), ("vectorized", "TIMESTAMP_LTZ")):
        found = sql(f"SELECT TYPE FROM TABLE(INFER_SCHEMA(LOCATION => '@s', FILE_FORMAT => '{name}'))")
        assert found == [(type_,)]
    sql("CREATE TABLE t (x TIMESTAMP_NTZ)")
    sql(f"COPY INTO t FROM @s FILE_FORMAT = (TYPE = PARQUET) {MATCH}")
    assert sql("SELECT x FROM t") == [(MOMENT,)]


def test_a_moment_in_utc_loads_into_every_timestamp_type(sql: Sql, put: Put) -> None:
    put("a.parquet", parquet({name: pa.array([MOMENT], pa.timestamp("us", "UTC")) for name in "abc"}))
    sql("CREATE TABLE t (a TIMESTAMP_NTZ, b TIMESTAMP_LTZ, c TIMESTAMP_TZ)")
    sql(f"COPY INTO t FROM @s FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) {MATCH}")
    aware = MOMENT.replace(tzinfo=UTC)
    assert sql("SELECT * FROM t") == [(MOMENT, aware, aware)]


def test_a_time_of_day_keeps_its_value(sql: Sql, put: Put) -> None:
    put("a.parquet", parquet({"x": pa.array([time(1, 2, 3)], pa.time64("ns"))}))
    sql("CREATE TABLE t (x TIME)")
    sql(f"COPY INTO t FROM @s FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) {MATCH}")
    assert sql("SELECT x FROM t") == [(time(1, 2, 3),)]
