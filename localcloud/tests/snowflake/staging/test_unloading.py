"""COPY INTO a stage as CSV and JSON, and with PARTITION BY."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]
Content = Callable[[str], list[str]]


def failing(sql: Sql, text: str) -> ProgrammingError:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value


@pytest.fixture
def content(sql: Sql, tmp_path: Path) -> Content:
    """The text content of all files under a path of the stage."""

    def read(path: str) -> list[str]:
        folder = tmp_path / path.replace("/", "_")
        folder.mkdir()
        sql(f"GET @s/{path} file://{folder}")
        found = [file.read_bytes() for file in sorted(folder.iterdir())]
        return [(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode() for data in found]

    return read


@pytest.fixture
def rows(sql: Sql) -> None:
    sql("CREATE STAGE s")
    sql("CREATE TABLE t (id NUMBER, x FLOAT, n NUMBER(5,2), s VARCHAR, d DATE, ts TIMESTAMP_NTZ, b BOOLEAN, v VARIANT)")
    sql(
        "INSERT INTO t SELECT 1, 1, 1.5, 'a,b', '2020-01-02', '2020-01-02 03:04:05.678', TRUE, PARSE_JSON('{\"k\":1}') "
        "UNION ALL SELECT 2, 0.25, NULL, '', NULL, NULL, FALSE, NULL"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("", '1,1,1.50,a\\,b,2020-01-02,2020-01-02 03:04:05.678,true,{"k":1}\n2,0.25,\\N,"",\\N,\\N,false,\\N\n'),
        (
            "FIELD_OPTIONALLY_ENCLOSED_BY = '\"' NULL_IF = ('')",
            '1,1,1.50,"a,b","2020-01-02","2020-01-02 03:04:05.678",true,"{""k"":1}"\n2,0.25,,"",,,false,\n',
        ),
        (
            "FIELD_DELIMITER = '||' RECORD_DELIMITER = ';\\n' NULL_IF = ('-', 'x') EMPTY_FIELD_AS_NULL = FALSE "
            "DATE_FORMAT = 'DD.MM.YY' TIMESTAMP_FORMAT = 'HH24:MI'",
            '1||1||1.50||a,b||02.01.20||03:04||true||{"k":1};\n2||0.25||-||||-||-||false||-;\n',
        ),
    ],
)
def test_csv(sql: Sql, rows: None, content: Content, options: str, text: str) -> None:
    copy = f"COPY INTO @s/out/ FROM (SELECT * FROM t ORDER BY id) FILE_FORMAT = (TYPE = CSV {options})"
    ((count, raw, size),) = sql(copy)
    assert (count, raw) == (2, len(text))
    assert content("out/") == [text]
    assert sql("LIST @s") == [("s/out/data_0_0_0.csv.gz", size, *sql("LIST @s")[0][2:])]


def test_header_and_a_single_plain_file(sql: Sql, rows: None, content: Content) -> None:
    plain = (
        "FILE_FORMAT = (TYPE = CSV COMPRESSION = NONE FIELD_OPTIONALLY_ENCLOSED_BY = '\"') HEADER = TRUE SINGLE = TRUE"
    )
    sql(f"COPY INTO @s/one.txt FROM (SELECT id, s FROM t ORDER BY id) {plain}")
    assert content("one.txt") == ['"ID","S"\n1,"a,b"\n2,""\n']
    sql("COPY INTO @s/two/part FROM t FILE_FORMAT = (TYPE = CSV FILE_EXTENSION = 'tsv' COMPRESSION = NONE)")
    assert sql("LIST @s/two")[0][0] == "s/two/part_0_0_0.tsv"
    assert failing(sql, "COPY INTO @s/two/part FROM t").errno == 1030


@pytest.mark.parametrize("compression", ["GZIP", "BZ2", "ZSTD", "DEFLATE", "NONE"])
def test_unloaded_files_can_be_loaded(sql: Sql, rows: None, compression: str) -> None:
    form = f"FILE_FORMAT = (TYPE = CSV COMPRESSION = {compression} FIELD_OPTIONALLY_ENCLOSED_BY = '\"')"
    sql(f"COPY INTO @s/x/ FROM t {form}")
    sql("CREATE TABLE again AS SELECT * FROM t WHERE FALSE")
    sql(f"COPY INTO again FROM @s/x/ {form.replace(compression, 'AUTO')}")
    assert sql("SELECT * FROM again ORDER BY id") == sql("SELECT * FROM t ORDER BY id")


def test_json(sql: Sql, rows: None, content: Content) -> None:
    sql(
        "COPY INTO @s/j/ FROM (SELECT OBJECT_CONSTRUCT('id', id, 's', s) FROM t ORDER BY id) FILE_FORMAT = (TYPE = JSON)"
    )
    assert content("j/") == ['{"id":1,"s":"a,b"}\n{"id":2,"s":""}\n']
    assert sql("LIST @s/j")[0][0] == "s/j/data_0_0_0.json.gz"
    error = failing(sql, "COPY INTO @s/j/ FROM (SELECT id FROM t) FILE_FORMAT = (TYPE = JSON)")
    assert "one and only one column of type variant" in error.raw_msg


def test_partition_by_an_expression(sql: Sql, rows: None) -> None:
    copy = "COPY INTO @s/p FROM t PARTITION BY ('d=' || TO_VARCHAR(d)) FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE"
    found = sql(f"{copy} DETAILED_OUTPUT = TRUE")
    assert sorted((row[0].partition("/")[0], row[2]) for row in found) == [("_NULL_", 1), ("d=2020-01-02", 1)]
    assert all(row[0].endswith(".snappy.parquet") and "/data_" in row[0] for row in found)
    assert sql(f"{copy}")[0][0] == 2
    assert len(sql("LIST @s/p/")) == 4
    for option in ("OVERWRITE = TRUE", "SINGLE = TRUE", "INCLUDE_QUERY_ID = FALSE"):
        assert failing(sql, f"{copy} {option}").errno == 1008


def test_validation_returns_the_rows(sql: Sql, rows: None) -> None:
    assert sql("COPY INTO @s/v/ FROM (SELECT id FROM t ORDER BY id) VALIDATION_MODE = RETURN_ROWS") == [(1,), (2,)]
    assert sql("LIST @s") == []
