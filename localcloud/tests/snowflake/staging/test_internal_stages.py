"""Internal stages through the official connector: PUT, GET, LIST, REMOVE, and stage objects."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


def failing(sql: Sql, text: str) -> ProgrammingError:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text("1,x\n2,y\n")
    (tmp_path / "b.csv").write_text("3,z\n")
    return tmp_path


def names(rows: list[tuple[Any, ...]]) -> list[str]:
    return [row[0] for row in rows]


def test_put_compresses_files_and_list_shows_them(sql: Sql, files: Path) -> None:
    sql("CREATE STAGE files")
    rows = sql(f"PUT file://{files}/*.csv @files/in PARALLEL = 2")
    assert [(row[0], row[1], row[4], row[5], row[6]) for row in rows] == [
        ("a.csv", "a.csv.gz", "NONE", "GZIP", "UPLOADED"),
        ("b.csv", "b.csv.gz", "NONE", "GZIP", "UPLOADED"),
    ]
    listed = sql("LIST @files")
    assert names(listed) == ["files/in/a.csv.gz", "files/in/b.csv.gz"]
    assert [row[1] for row in listed] == [row[3] for row in rows]
    assert len(listed[0][2]) == 32
    assert names(sql("LS @files/in/b")) == ["files/in/b.csv.gz"]


def test_get_returns_the_same_bytes(sql: Sql, files: Path) -> None:
    sql("CREATE STAGE files")
    sql(f"PUT 'file://{files}/a.csv' @files/deep/er")
    target = files / "target"
    target.mkdir()
    assert sql(f"GET @files/deep file://{target}/") == [("deep/er/a.csv.gz", sql("LS @files")[0][1], "DOWNLOADED", "")]
    assert gzip.decompress((target / "a.csv.gz").read_bytes()) == b"1,x\n2,y\n"
    sql(f"PUT file://{files}/b.csv @files/deep AUTO_COMPRESS = FALSE")
    sql(f"GET @files file://{target} PATTERN = '.*b[.]csv'")
    assert (target / "b.csv").read_bytes() == b"3,z\n"


def test_user_and_table_stages(sql: Sql, files: Path, schema: str) -> None:
    sql("CREATE TABLE t (id NUMBER, s VARCHAR)")
    sql(f"PUT file://{files}/a.csv @%t")
    sql(f"PUT file://{files}/b.csv @~/{schema}/ AUTO_COMPRESS = FALSE")
    assert names(sql("LIST @%t")) == ["a.csv.gz"]
    assert names(sql(f"LIST @~/{schema}")) == [f"{schema}/b.csv"]
    assert sql("COPY INTO t FROM @%t")[0][:4] == ("a.csv.gz", "LOADED", 2, 2)
    assert sql("COPY INTO t FROM @%t") == [("Copy executed with 0 files processed.",)]
    assert sql(f"SELECT $1, $2 FROM @~/{schema}/b.csv") == [("3", "z")]
    assert sql(f"REMOVE @~/{schema}") == [(f"{schema}/b.csv", "removed")]
    assert failing(sql, "LIST @%no_table").errno == 2003


def test_a_recreated_table_has_an_empty_stage(sql: Sql, files: Path) -> None:
    sql("CREATE TABLE t (id NUMBER)")
    sql(f"PUT file://{files}/a.csv @%t")
    sql("ALTER TABLE t RENAME TO u")
    assert names(sql("LIST @%u")) == ["a.csv.gz"]
    sql("CREATE OR REPLACE TABLE u (id NUMBER)")
    assert sql("LIST @%u") == []


def test_put_of_a_stream_and_compressions(sql: Sql, connection: Any, files: Path) -> None:
    sql("CREATE STAGE files")
    cursor = connection.cursor()
    cursor.execute("PUT file://c.csv @files AUTO_COMPRESS = FALSE", file_stream=io.BytesIO(b"5,e\n"))
    assert sql("SELECT $2 FROM @files/c.csv") == [("e",)]
    (files / "d.csv.gz").write_bytes(gzip.compress(b"6,f\n"))
    assert sql(f"PUT file://{files}/d.csv.gz @files")[0][4:7] == ("GZIP", "GZIP", "UPLOADED")
    assert sql("SELECT $2 FROM @files/d") == [("f",)]


def test_remove_with_a_pattern(sql: Sql, files: Path) -> None:
    sql("CREATE STAGE files")
    sql(f"PUT file://{files}/*.csv @files")
    assert sql("RM @files PATTERN='.*a.csv.gz'") == [("files/a.csv.gz", "removed")]
    assert names(sql("LIST @files")) == ["files/b.csv.gz"]


def test_temporary_stages_hide_permanent_ones_and_end_with_the_session(
    sql: Sql, connect: Callable[..., Any], schema: str, files: Path
) -> None:
    sql("CREATE STAGE files")
    sql(f"PUT file://{files}/a.csv @files")
    other = connect(schema=schema)
    run = other.cursor().execute
    run("CREATE TEMPORARY STAGE files")
    assert run("LIST @files").fetchall() == []
    assert [row[10] for row in run(f"SHOW STAGES LIKE 'files' IN SCHEMA {schema}").fetchall()] == ["INTERNAL TEMPORARY"]
    assert len(sql("LIST @files")) == 1
    run("DROP STAGE files")
    assert len(run("LIST @files").fetchall()) == 1
    run("CREATE TEMP STAGE gone")
    other.close()
    assert failing(sql, "LIST @gone").errno == 2003


def test_a_new_stage_of_the_same_name_is_empty(sql: Sql, files: Path) -> None:
    sql("CREATE STAGE files")
    sql(f"PUT file://{files}/a.csv @files")
    assert sql("CREATE STAGE IF NOT EXISTS files") == [("FILES already exists, statement succeeded.",)]
    assert len(sql("LIST @files")) == 1
    assert failing(sql, "CREATE STAGE files").errno == 2002
    sql("CREATE OR REPLACE STAGE files")
    assert sql("LIST @files") == []


def test_alter_rename_and_describe(sql: Sql, files: Path) -> None:
    sql("CREATE STAGE files DIRECTORY = (ENABLE = TRUE) ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE') COMMENT = 'x'")
    sql(f"PUT file://{files}/a.csv @files")
    sql("ALTER STAGE files SET FILE_FORMAT = (TYPE = CSV FIELD_DELIMITER = '|') COMMENT = 'y'")
    sql("ALTER STAGE files RENAME TO moved")
    assert names(sql("LIST @moved")) == ["moved/a.csv.gz"]
    assert sql("SELECT $1 FROM @moved") == [("1,x",), ("2,y",)]
    described = {(row[0], row[1]): row[3] for row in sql("DESC STAGE moved")}
    assert described["STAGE_FILE_FORMAT", "FIELD_DELIMITER"] == "|"
    assert described["DIRECTORY", "ENABLE"] == "true"
    shown = sql("SHOW STAGES LIKE 'MOVED'")[0]
    assert (shown[8], shown[10], shown[-1]) == ("y", "INTERNAL NO CSE", "Y")
    assert sql("ALTER STAGE IF EXISTS nowhere SET COMMENT = 'z'") == [("Statement executed successfully.",)]
    assert failing(sql, "ALTER STAGE nowhere SET COMMENT = 'z'").errno == 2003
    assert failing(sql, "ALTER STAGE moved SET URL = 's3://lake/x/'").errno == 1420


def test_file_formats(sql: Sql) -> None:
    sql("CREATE FILE FORMAT plain TYPE = CSV FIELD_DELIMITER = '\\t' NULL_IF = ('NULL', '') COMMENT = 'tabs'")
    assert failing(sql, "CREATE FILE FORMAT plain TYPE = JSON").errno == 2002
    properties = {row[0]: row[2:] for row in sql("DESCRIBE FILE FORMAT plain")}
    assert properties["TYPE"] == ("CSV", "CSV")
    assert properties["FIELD_DELIMITER"] == ("\\t", ",")
    assert properties["NULL_IF"] == ("[NULL, ]", "[\\\\N]")
    sql("ALTER FILE FORMAT plain SET SKIP_HEADER = 1")
    assert {row[0]: row[2] for row in sql("DESC FILE FORMAT plain")}["SKIP_HEADER"] == "1"
    ((_, name, _, _, kind, _, comment, options, _),) = sql("SHOW FILE FORMATS LIKE 'pl%'")
    assert (name, kind, comment) == ("PLAIN", "CSV", "tabs")
    assert '"SKIP_HEADER":1' in options
    assert sql("DROP FILE FORMAT plain") == [("PLAIN successfully dropped.",)]
    assert failing(sql, "DROP FILE FORMAT plain").errno == 2003
    assert failing(sql, "DESC FILE FORMAT plain").errno == 2003


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CREATE FILE FORMAT f TYPE = CSV STRIP_OUTER_ARRAY = TRUE", 1420),
        ("CREATE FILE FORMAT f TYPE = JSON FIELD_DELIMITER = ','", 1420),
        ("CREATE FILE FORMAT f TYPE = CSV COMPRESSION = SNAPPY", 1008),
        ("CREATE FILE FORMAT f TYPE = CSV ESCAPE = 'ab'", 1008),
        ("CREATE FILE FORMAT f TYPE = CSV PARSE_HEADER = TRUE SKIP_HEADER = 1", 1008),
        ("CREATE FILE FORMAT f TYPE = AVRO", 2),
        ("CREATE FILE FORMAT f TYPE = CSV ENCODING = 'UTF16'", 2),
        ("CREATE STAGE s STORAGE_INTEGRATION = i", 2029),
        ("CREATE STAGE s ENCRYPTION = (TYPE = 'AWS_SSE_S3')", 1008),
        ("PUT file:///tmp/x nowhere", 1003),
        ("PUT file:///tmp/x @~ PARALLEL = 100", 1008),
        ("PUT file:///tmp/x @~/../y", 2),
        ("PUT file:///tmp/x @nowhere", 2003),
        ("GET @~ file:///tmp/ OVERWRITE = TRUE", 1420),
    ],
)
def test_invalid_statements_are_rejected(sql: Sql, text: str, code: int) -> None:
    assert failing(sql, text).errno == code


def test_put_into_an_external_stage_is_rejected(sql: Sql, stage: str, files: Path) -> None:
    assert "external stages" in failing(sql, f"PUT file://{files}/a.csv @st").raw_msg


def test_stages_are_dropped_with_their_schema(sql: Sql, schema: str, files: Path) -> None:
    sql("CREATE STAGE files")
    sql("CREATE FILE FORMAT f TYPE = CSV")
    sql(f"PUT file://{files}/a.csv @files")
    sql(f"DROP SCHEMA {schema}")
    sql(f"CREATE SCHEMA {schema}")
    assert failing(sql, f"LIST @{schema}.files").errno == 2003
    assert failing(sql, f"DESC FILE FORMAT {schema}.f").errno == 2003
