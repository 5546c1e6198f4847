"""COPY INTO a table from CSV, JSON and Parquet: values, error positions, options, history."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]
Put = Callable[[str, str | bytes], None]
NOTHING = [("Copy executed with 0 files processed.",)]
QUOTED = "FILE_FORMAT = (TYPE = CSV FIELD_OPTIONALLY_ENCLOSED_BY = '\"')"
BAD = "x1,abc,2020-01-01\n2,abcd,2020-01-01\n3,a,2020-01-03\n,a,\n5,a,2020-13-01\n6,a\n7,a,2020-01-01,9\n"


def failing(sql: Sql, text: str) -> ProgrammingError:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value


@pytest.fixture
def put(sql: Sql, connection: Any) -> Put:
    sql("CREATE STAGE s")

    def run(name: str, data: str | bytes) -> None:
        content = data.encode() if isinstance(data, str) else data
        folder, _, file = name.rpartition("/")
        connection.cursor().execute(
            f"PUT file://{file} @s/{folder} AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE",
            file_stream=io.BytesIO(content),
        )

    return run


@pytest.fixture
def table(sql: Sql) -> None:
    sql("CREATE TABLE t (id NUMBER NOT NULL, s VARCHAR(3), d DATE)")


def test_values_of_every_type(sql: Sql, put: Put) -> None:
    put("a.csv", '1.5,2.25,yes,2020-01-02,10:11:12,2020-01-02T03:04:05.5,48656C,"{""k"": [1]}",text\n,,,,,,,,\n')
    sql(
        "CREATE TABLE v (f FLOAT, n NUMBER(5,2), b BOOLEAN, d DATE, t TIME, ts TIMESTAMP_NTZ, x BINARY, v VARIANT, s VARCHAR)"
    )
    sql(f"COPY INTO v FROM @s {QUOTED}")
    assert sql("SELECT f, n, b, d, t, ts, x, v:k[0]::NUMBER, s FROM v ORDER BY f NULLS LAST") == [
        (
            *(1.5, Decimal("2.25"), True, date(2020, 1, 2), time(10, 11, 12), datetime(2020, 1, 2, 3, 4, 5, 500_000)),
            *(bytearray(b"Hel"), 1, "text"),
        ),
        (None,) * 9,
    ]


def test_explicit_date_and_time_formats(sql: Sql, put: Put) -> None:
    put("a.csv", "31/12/2020|20200102 0304|YWI=\n")
    sql("CREATE TABLE v (d DATE, ts TIMESTAMP_NTZ, x BINARY)")
    sql(
        "COPY INTO v FROM @s FILE_FORMAT = (TYPE = CSV FIELD_DELIMITER = '|' DATE_FORMAT = 'DD/MM/YYYY' "
        "TIMESTAMP_FORMAT = 'YYYYMMDD HH24MI' BINARY_FORMAT = BASE64)"
    )
    assert sql("SELECT * FROM v") == [(date(2020, 12, 31), datetime(2020, 1, 2, 3, 4), bytearray(b"ab"))]


@pytest.mark.parametrize(
    ("content", "options", "rows"),
    [
        ("a\\,b,c\n", "", [("a,b", "c")]),
        ("\\N,\\t\n\\\\,\\054\n", "", [(None, "\t"), ("\\", ",")]),
        ("a\\,b\n", "ESCAPE_UNENCLOSED_FIELD = NONE", [("a\\", "b")]),
        ("'a''b','x\ny'\n", "FIELD_OPTIONALLY_ENCLOSED_BY = ''''", [("a'b", "x\ny")]),
        ('"a\\"b",c\n', "FIELD_OPTIONALLY_ENCLOSED_BY = '\"' ESCAPE = '\\\\'", [('a"b', "c")]),
        ('"",\n', "FIELD_OPTIONALLY_ENCLOSED_BY = '\"'", [("", None)]),
        ('"",\n', "FIELD_OPTIONALLY_ENCLOSED_BY = '\"' EMPTY_FIELD_AS_NULL = FALSE", [("", "")]),
        ('"a",b\n', "", [('"a"', "b")]),
        ("h,h\r\nh,h\r\na,b\r\n", "SKIP_HEADER = 2", [("a", "b")]),
        ("a||b||\n", "FIELD_DELIMITER = '||' ERROR_ON_COLUMN_COUNT_MISMATCH = FALSE", [("a", "b")]),
        ("a\n", "ERROR_ON_COLUMN_COUNT_MISMATCH = FALSE", [("a", None)]),
        (" a , NULL \n", "TRIM_SPACE = TRUE NULL_IF = ('NULL')", [("a", None)]),
        ("a\x01b\n", "FIELD_DELIMITER = '0x01'", [("a", "b")]),
        ("\ufeffa,b", "", [("a", "b")]),
    ],
)
def test_csv_as_snowflake_reads_it(sql: Sql, put: Put, content: str, options: str, rows: list[tuple[Any, ...]]) -> None:
    put("a.csv", content)
    sql("CREATE TABLE v (a VARCHAR, b VARCHAR)")
    sql(f"COPY INTO v FROM @s FILE_FORMAT = (TYPE = CSV {options})")
    assert sql("SELECT * FROM v") == rows


def test_compressed_files(sql: Sql, put: Put) -> None:
    put("named.gz", gzip.compress(b"1\n"))
    put("unnamed", gzip.compress(b"2\n"))
    sql("CREATE TABLE v (a NUMBER)")
    sql("COPY INTO v FROM @s")
    assert sql("SELECT * FROM v ORDER BY a") == [(1,), (2,)]
    put("broken.gz", b"\x1f\x8bno")
    assert failing(sql, "COPY INTO v FROM @s/broken.gz").errno == 100159


def test_an_error_names_its_position(sql: Sql, put: Put, table: None) -> None:
    put("bad.csv", "1,a,2020-01-01\n2,b,2020-01-01\n3,c,never\n")
    error = failing(sql, "COPY INTO t FROM @s")
    assert (error.errno, error.sqlstate) == (100040, "22007")
    assert error.raw_msg.splitlines()[:3] == [
        "Date 'never' is not recognized",
        "  File 's/bad.csv', line 3, character 5",
        '  Row 3, column "T"["D":3]',
    ]
    assert sql("SELECT COUNT(*) FROM t") == [(0,)]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ("1,a,2020-01-01\nx,a,2020-01-01\n", 100038, 2),
        ("1,a,2020-01-01\n1,a\n", 100080, 2),
        ("1,a,2020-01-01,z\n", 100080, 1),
        ("1,abcd,2020-01-01\n", 100074, 1),
        ("1,\xff,2020-01-01\n".encode("latin-1"), 100144, 1),
        ('1,"a\nb",2020-01-01\n2,a,x\n', 100040, 3),
    ],
)
def test_codes_and_lines(sql: Sql, put: Put, table: None, content: str | bytes, code: int, line: int) -> None:
    put("bad.csv", content)
    error = failing(sql, f"COPY INTO t FROM @s {QUOTED}")
    assert error.errno == code
    assert f"line {line}," in error.raw_msg


def test_on_error(sql: Sql, put: Put, table: None) -> None:
    put("bad.csv", BAD)
    put("good.csv", "1,a,2020-01-01\n")
    first = ("Numeric value 'x1' is not recognized", 1, 1, '"T"["ID":1]')
    good = (*("s/good.csv", "LOADED", 1, 1), *(1, 0, None, None, None, None))
    assert sql("COPY INTO t FROM @s ON_ERROR = SKIP_FILE") == [("s/bad.csv", "LOAD_FAILED", 7, 0, 1, 6, *first), good]
    assert sql("COPY INTO t FROM @s ON_ERROR = 'SKIP_FILE_50%'")[0][1:6] == ("LOAD_FAILED", 7, 0, 4, 6)
    assert sql("COPY INTO t FROM @s ON_ERROR = SKIP_FILE_7")[0][1:6] == ("PARTIALLY_LOADED", 7, 1, 7, 6)
    assert sql("COPY INTO t FROM @s ON_ERROR = CONTINUE") == NOTHING
    assert sql("COPY INTO t FROM @s ON_ERROR = CONTINUE FORCE = TRUE")[0][1:4] == ("PARTIALLY_LOADED", 7, 1)
    assert sql("SELECT id, COUNT(*) FROM t GROUP BY id ORDER BY id") == [(1, 2), (3, 2)]
    failed = sql("COPY INTO t FROM @s ON_ERROR = SKIP_FILE FORCE = TRUE RETURN_FAILED_ONLY = TRUE")
    assert [row[0] for row in failed] == ["s/bad.csv"]


def test_continuing_after_errors_keeps_the_transaction_open(sql: Sql, put: Put, table: None) -> None:
    put("bad.csv", BAD)
    put("broken.json", '{"id":')
    sql("BEGIN")
    sql("COPY INTO t FROM @s/bad ON_ERROR = CONTINUE")
    copy = "COPY INTO t FROM @s/broken FILE_FORMAT = (TYPE = JSON) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = SKIP_FILE"
    assert sql(copy)[0][1] == "LOAD_FAILED"
    assert sql("SELECT COUNT(*) FROM t") == [(1,)]
    sql("ROLLBACK")
    assert sql("SELECT COUNT(*) FROM t") == [(0,)]


def test_validation_mode_loads_nothing(sql: Sql, put: Put, table: None) -> None:
    put("bad.csv", BAD)
    rows = sql("COPY INTO t FROM @s VALIDATION_MODE = RETURN_ERRORS")
    assert [(row[2], row[6]) for row in rows] == [
        *((1, 100038), (2, 100074), (4, 100072), (5, 100040), (6, 100080), (7, 100080)),
    ]
    assert rows[0][11] == "x1,abc,2020-01-01"
    assert failing(sql, "COPY INTO t FROM @s VALIDATION_MODE = RETURN_2_ROWS").errno == 100038
    put("good.csv", "1,a,2020-01-01\n2,b,2020-01-01\n")
    assert sql("COPY INTO t FROM @s/good VALIDATION_MODE = RETURN_1_ROWS") == [(1, "a", date(2020, 1, 1))]
    assert sql("SELECT COUNT(*) FROM t") == [(0,)]


def test_truncation_columns_and_sizes(sql: Sql, put: Put, table: None) -> None:
    put("a/1.csv", "abcdef,1\n")
    put("a/2.csv", "b,2\n")
    assert failing(sql, "COPY INTO t (s, id) FROM @s/a").errno == 100074
    assert len(sql("COPY INTO t (s, id) FROM @s/a TRUNCATECOLUMNS = TRUE SIZE_LIMIT = 5")) == 1
    assert len(sql("COPY INTO t (s, id) FROM @s/a ENFORCE_LENGTH = FALSE PURGE = TRUE")) == 1
    assert sql("SELECT * FROM t ORDER BY id") == [(1, "abc", None), (2, "b", None)]
    assert [row[0] for row in sql("LS @s/a")] == ["s/a/1.csv"]
    assert failing(sql, "COPY INTO t (nope) FROM @s/a").errno == 904


def test_transformations(sql: Sql, put: Put, table: None) -> None:
    put("a.csv", "x,1,y\nx,2,y\n")
    copy = "COPY INTO t (id, s) FROM (SELECT a.$2::NUMBER + 10, UPPER($1) || METADATA$FILE_ROW_NUMBER FROM @s/a a)"
    assert sql(copy)[0][:4] == ("s/a.csv", "LOADED", 2, 2)
    assert sql(copy) == NOTHING
    assert sql("SELECT id, s FROM t ORDER BY id") == [(11, "X1"), (12, "X2")]
    assert failing(sql, "COPY INTO t (id, s) FROM (SELECT $1 FROM @s)").errno == 2020
    assert failing(sql, "COPY INTO t FROM (SELECT 1, 2, 3 FROM t)").errno == 1003


def test_json(sql: Sql, put: Put, table: None) -> None:
    put("j/a.json", '[{"ID": 1, "s": "a", "d": "2020-01-01"}, {"id": 2, "s": null}]')
    sql("CREATE TABLE raw_rows (v VARIANT)")
    array = "FILE_FORMAT = (TYPE = JSON STRIP_OUTER_ARRAY = TRUE)"
    assert sql("COPY INTO raw_rows FROM @s/j FILE_FORMAT = (TYPE = JSON)")[0][2] == 1
    assert sql(f"COPY INTO raw_rows FROM @s/j {array} FORCE = TRUE")[0][2] == 2
    sql(f"COPY INTO t FROM @s/j {array} MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE")
    assert sql("SELECT * FROM t ORDER BY id") == [(1, "a", date(2020, 1, 1)), (2, None, None)]
    assert "one and only one column" in failing(sql, "COPY INTO t FROM @s/j FILE_FORMAT = (TYPE = JSON)").raw_msg
    put("k/a.json", '{"id": 1} {"id": ')
    error = failing(sql, "COPY INTO t FROM @s/k FILE_FORMAT = (TYPE = JSON) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE")
    assert error.errno == 100069


def test_json_strings_are_loaded_without_quotes(sql: Sql, put: Put, table: None) -> None:
    put("a.json", '{"id": 1, "s": "a", "in": {"d": "2020-01-01"}}\n{"id": 2}\n')
    sql("COPY INTO t FROM (SELECT $1:id, $1:s, $1:in.d FROM @s) FILE_FORMAT = (TYPE = JSON)")
    assert sql("SELECT * FROM t ORDER BY id") == [(1, "a", date(2020, 1, 1)), (2, None, None)]


def test_parquet_transformation_and_errors(sql: Sql, put: Put, table: None) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"Id": [1, 2], "s": ["a", "b"], "when": [date(2020, 1, 1), None]}), sink)
    put("a.parquet", sink.getvalue())
    sql('COPY INTO t FROM (SELECT $1:Id, $1:s, $1:"when"::DATE FROM @s) FILE_FORMAT = (TYPE = PARQUET)')
    assert sql("SELECT * FROM t ORDER BY id") == [(1, "a", date(2020, 1, 1)), (2, "b", None)]
    put("b.parquet", b"nothing of the kind")
    match = "FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
    assert failing(sql, f"COPY INTO t FROM @s/b {match}").errno == 100152
    assert [row[1] for row in sql(f"COPY INTO t FROM @s {match} ON_ERROR = SKIP_FILE FORCE = TRUE")] == [
        *("LOADED", "LOAD_FAILED"),
    ]


def test_csv_by_column_name(sql: Sql, put: Put, table: None) -> None:
    put("a.csv", "D,ID,more\n2020-01-01,1,x\n")
    sql("CREATE FILE FORMAT named TYPE = CSV PARSE_HEADER = TRUE")
    sql("COPY INTO t FROM @s FILE_FORMAT = named MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE")
    assert sql("SELECT * FROM t") == [(1, None, date(2020, 1, 1))]
    assert failing(sql, "COPY INTO t FROM @s MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE").errno == 1008


def test_histories(sql: Sql, put: Put, table: None) -> None:
    put("bad.csv", BAD)
    sql("COPY INTO t FROM @s ON_ERROR = SKIP_FILE")
    sql("COPY INTO t FROM @s ON_ERROR = CONTINUE")
    wanted = "TABLE_NAME => 't', START_TIME => DATEADD(hours, -1, CURRENT_TIMESTAMP())"
    rows = sql(
        "SELECT FILE_NAME, STATUS, ROW_COUNT, ROW_PARSED, ERROR_COUNT, FIRST_ERROR_LINE_NUMBER, TABLE_NAME "
        f"FROM TABLE(INFORMATION_SCHEMA.COPY_HISTORY({wanted})) ORDER BY LAST_LOAD_TIME"
    )
    assert rows == [
        ("s/bad.csv", "Load failed", 0, 7, 6, 1, "T"),
        ("s/bad.csv", "Partially loaded", 1, 7, 6, 1, "T"),
    ]
    newest = sql(
        "SELECT STATUS, ROW_COUNT FROM INFORMATION_SCHEMA.LOAD_HISTORY WHERE TABLE_NAME = 'T' AND SCHEMA_NAME = CURRENT_SCHEMA()"
    )
    assert newest == [("PARTIALLY LOADED", 1)]
    later = "TABLE_NAME => 't', START_TIME => DATEADD(hours, 1, CURRENT_TIMESTAMP())"
    assert sql(f"SELECT * FROM TABLE(INFORMATION_SCHEMA.COPY_HISTORY({later}))") == []
    assert failing(sql, "SELECT * FROM TABLE(INFORMATION_SCHEMA.COPY_HISTORY(TABLE_NAME => 't'))").errno == 938


def test_a_changed_file_is_loaded_again(sql: Sql, put: Put, table: None) -> None:
    put("a.csv", "1,a,\n")
    sql("COPY INTO t FROM @s")
    assert sql("COPY INTO t FROM @s") == NOTHING
    put("a.csv", "2,b,\n")
    assert sql("COPY INTO t FROM @s")[0][1] == "LOADED"
    assert sql("SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_a_url_requires_an_integration_that_allows_it(sql: Sql, stage: str, table: None) -> None:
    sql("INSERT INTO t VALUES (1, 'a', NULL)")
    assert sql(f"COPY INTO '{stage}out/' FROM t STORAGE_INTEGRATION = lake")[0][0] == 1
    assert sql(f"COPY INTO t FROM '{stage}out/' STORAGE_INTEGRATION = lake")[0][0] == f"{stage}out/data_0_0_0.csv.gz"
    assert failing(sql, "COPY INTO t FROM 's3://elsewhere/' STORAGE_INTEGRATION = lake").errno == 3088
    assert failing(sql, f"COPY INTO t FROM '{stage}'").errno == 2029


@pytest.mark.parametrize(
    "options",
    [
        "FILE_FORMAT = (TYPE = CSV MULTI_LINE = FALSE)",
        "FILE_FORMAT = (TYPE = CSV RECORD_DELIMITER = ';')",
        "FILE_FORMAT = (TYPE = CSV REPLACE_INVALID_CHARACTERS = TRUE)",
        "FILE_FORMAT = (TYPE = JSON STRIP_NULL_VALUES = TRUE) MATCH_BY_COLUMN_NAME = CASE_SENSITIVE",
        "INCLUDE_METADATA = (id = METADATA$FILENAME)",
        "FILE_FORMAT = (TYPE = CSV DATE_FORMAT = 'Q')",
    ],
)
def test_unsupported_options_are_rejected(sql: Sql, put: Put, table: None, options: str) -> None:
    put("a.csv", "1,a,2020-01-01\n")
    error = failing(sql, f"COPY INTO t FROM @s {options}")
    assert (error.errno, error.sqlstate) == (2, "0A000")
    assert "The local Snowflake does not support" in error.raw_msg


def test_binary_of_parquet(sql: Sql, put: Put) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [b"ab"]}), sink)
    put("a.parquet", sink.getvalue())
    sql("CREATE TABLE texts (x VARCHAR)")
    sql("CREATE TABLE bytes (x BINARY)")
    match = "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
    sql(f"COPY INTO texts FROM @s FILE_FORMAT = (TYPE = PARQUET) {match}")
    sql(f"COPY INTO bytes FROM @s FILE_FORMAT = (TYPE = PARQUET BINARY_AS_TEXT = FALSE) {match}")
    assert sql("SELECT t.x, b.x FROM texts t, bytes b") == [("ab", bytearray(b"ab"))]
