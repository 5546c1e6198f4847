"""Queries over staged files, INFER_SCHEMA, templates, and the client helpers built on them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from snowflake.connector.errors import ProgrammingError
from snowflake.connector.pandas_tools import write_pandas
from snowflake.snowpark import Session
from snowflake.snowpark import functions as f
from snowflake.snowpark.types import FloatType, IntegerType, StringType, StructField, StructType

Sql = Callable[..., list[tuple[Any, ...]]]
# write_pandas uses a deprecated pandas option.
pandas_warns = pytest.mark.filterwarnings("ignore:is_datetime64tz_dtype is deprecated")


def failing(sql: Sql, text: str) -> ProgrammingError:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value


@pytest.fixture
def staged(sql: Sql, tmp_path: Path) -> str:
    """A stage with a CSV, a JSON and two Parquet files."""
    sql("CREATE STAGE s")
    (tmp_path / "a.csv").write_text(
        "id,at,price,ok\n1,2020-01-01 10:00:00,1.25,true\n2,2021-01-01 00:00:00,10.5,false\n"
    )
    (tmp_path / "a.json").write_text('{"id": 1, "tags": ["x"], "x": 1.5, "s": "a"}\n{"id": 22, "s": "b"}\n')
    sql(f"PUT file://{tmp_path}/a.csv @s/csv")
    sql(f"PUT file://{tmp_path}/a.json @s/json")
    for name in ("CSV", "JSON", "PARQUET"):
        sql(f"CREATE FILE FORMAT f_{name} TYPE = {name}")
    sql("CREATE FILE FORMAT named TYPE = CSV PARSE_HEADER = TRUE")
    sql("CREATE TABLE t (id NUMBER, x FLOAT, s VARCHAR)")
    sql("INSERT INTO t VALUES (1, 1.5, 'a'), (2, NULL, 'b')")
    sql("COPY INTO @s/pq/1 FROM (SELECT * FROM t) FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE")
    sql("COPY INTO @s/pq/2 FROM (SELECT 3 AS id, 'c' AS s, 9 AS more) FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE")
    return "s"


def test_csv(sql: Sql, staged: str) -> None:
    query = "SELECT t.$1, t.$3::FLOAT * 2, METADATA$FILENAME, METADATA$FILE_ROW_NUMBER FROM @s/csv t WHERE $1 <> 'id'"
    assert sql(query) == [("1", 2.5, "csv/a.csv.gz", 2), ("2", 21.0, "csv/a.csv.gz", 3)]
    assert sql("SELECT COUNT(*), MAX($9) FROM @s/csv (FILE_FORMAT => f_csv, PATTERN => '.*a[.]csv[.]gz')") == [
        (3, None)
    ]
    assert sql("SELECT $1 FROM @s/csv (PATTERN => '.*b[.]csv')") == []
    assert sql("SELECT t.id, c.$4 FROM t JOIN @s/csv c ON c.$1 = t.id::VARCHAR ORDER BY 1") == [
        (1, "true"),
        (2, "false"),
    ]
    sql("CREATE TABLE made AS SELECT $1 AS a FROM @s/csv")
    assert sql("SELECT COUNT(*) FROM made") == [(3,)]


def test_json_and_parquet(sql: Sql, staged: str) -> None:
    assert sql("SELECT $1:id::NUMBER, $1:tags[0]::VARCHAR, $1:s FROM @s/json (FILE_FORMAT => 'f_json')") == [
        (1, "x", '"a"'),
        (22, None, '"b"'),
    ]
    parquet = "@s/pq (FILE_FORMAT => f_parquet)"
    assert sql(f"SELECT $1:ID::NUMBER, $1:S::VARCHAR, $1:MORE::NUMBER, $1:nope FROM {parquet} p ORDER BY 1") == [
        *[(1, "a", None, None), (2, "b", None, None), (3, "c", 9, None)]
    ]
    assert sql(f"SELECT $1:S FROM {parquet} WHERE $1:X::FLOAT > 1") == [('"a"',)]
    assert sql(f"SELECT $1 FROM {parquet} ORDER BY $1:ID::NUMBER LIMIT 1") == [('{"ID":1,"S":"a","X":1.5}',)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT * FROM @s/csv", 2),
        ("CREATE VIEW v AS SELECT $1 FROM @s/csv", 2),
        ("SELECT $1 FROM @nowhere", 2003),
        ("SELECT $1 FROM @s (FILE_FORMAT => nowhere)", 2003),
        ("SELECT $1 FROM @s/csv (FILE_FORMAT => f_parquet)", 100152),
    ],
)
def test_unsupported_queries_are_rejected(sql: Sql, staged: str, text: str, code: int) -> None:
    assert failing(sql, text).errno == code


def test_infer_schema(sql: Sql, staged: str) -> None:
    found = sql("SELECT * FROM TABLE(INFER_SCHEMA(LOCATION => '@s/csv', FILE_FORMAT => 'named'))")
    assert found == [
        ("id", "NUMBER(1, 0)", True, "$1::NUMBER(1, 0)", "csv/a.csv.gz", 0),
        ("at", "TIMESTAMP_NTZ", True, "$2::TIMESTAMP_NTZ", "csv/a.csv.gz", 1),
        ("price", "NUMBER(4, 2)", True, "$3::NUMBER(4, 2)", "csv/a.csv.gz", 2),
        ("ok", "BOOLEAN", True, "$4::BOOLEAN", "csv/a.csv.gz", 3),
    ]
    found = sql("SELECT COLUMN_NAME, TYPE FROM TABLE(INFER_SCHEMA(LOCATION => '@s/json', FILE_FORMAT => 'f_json'))")
    assert found == [("id", "NUMBER(2, 0)"), ("tags", "ARRAY"), ("x", "NUMBER(2, 1)"), ("s", "TEXT")]
    found = sql("SELECT * EXCLUDE ORDER_ID FROM TABLE(INFER_SCHEMA(LOCATION => '@s/pq', FILE_FORMAT => 'f_parquet'))")
    assert found[0][:2] == ("ID", "NUMBER(38, 0)")
    assert {row[0]: row[4].count("parquet") for row in found} == {"ID": 2, "X": 1, "S": 2, "MORE": 1}
    one = "LOCATION => '@s/pq/', FILE_FORMAT => 'f_parquet', FILES => '2_0_0_0.snappy.parquet', IGNORE_CASE => TRUE"
    assert sql(f"SELECT EXPRESSION FROM TABLE(INFER_SCHEMA({one}))")[0] == (
        "GET_IGNORE_CASE ($1, 'ID')::NUMBER(38, 0)",
    )
    assert failing(sql, "SELECT * FROM TABLE(INFER_SCHEMA(LOCATION => '@s/pq'))").errno == 938


def test_infer_schema_of_what_pandas_writes(sql: Sql, tmp_path: Path) -> None:
    frame = pd.DataFrame({"took": pd.to_timedelta([1], unit="s"), "kind": pd.Categorical(["a"]), "raw": [b"x"]})
    frame.to_parquet(tmp_path / "a.parquet")
    sql("CREATE STAGE s FILE_FORMAT = (TYPE = PARQUET)")
    sql(f"PUT file://{tmp_path}/a.parquet @s")
    sql("CREATE FILE FORMAT f_parquet TYPE = PARQUET")
    assert sql("SELECT COLUMN_NAME, TYPE FROM TABLE(INFER_SCHEMA(LOCATION => '@s', FILE_FORMAT => 'f_parquet'))") == [
        ("took", "NUMBER(38, 0)"),
        ("kind", "TEXT"),
        ("raw", "BINARY"),
    ]


def test_a_table_from_a_template(sql: Sql, staged: str) -> None:
    sql(
        "CREATE TABLE made USING TEMPLATE (SELECT ARRAY_AGG(OBJECT_CONSTRUCT(*)) WITHIN GROUP (ORDER BY ORDER_ID) "
        "FROM TABLE(INFER_SCHEMA(LOCATION => '@s/csv', FILE_FORMAT => 'named')))"
    )
    assert [row[:2] for row in sql("DESC TABLE made")] == [
        *[("id", "NUMBER(1,0)"), ("at", "TIMESTAMP_NTZ(9)"), ("price", "NUMBER(4,2)"), ("ok", "BOOLEAN")]
    ]
    sql("COPY INTO made FROM @s/csv FILE_FORMAT = named MATCH_BY_COLUMN_NAME = CASE_SENSITIVE")
    assert sql('SELECT SUM("id") FROM made') == [(3,)]


@pandas_warns
@pytest.mark.parametrize(
    "options",
    [{}, {"overwrite": True}, {"chunk_size": 2}, {"chunk_size": 1, "bulk_upload_chunks": True}, {"table_type": "temp"}],
)
def test_write_pandas_creates_the_table(sql: Sql, connection: Any, schema: str, options: dict[str, Any]) -> None:
    frame = pd.DataFrame(
        {"id": [1, 2, 3], "a b": ["x", None, "z"], "d": pd.to_datetime(["2020-01-01", None, "2020-01-03"])}
    )
    for _ in range(2):
        done, _, count, _ = write_pandas(connection, frame, "made", auto_create_table=True, **options)
        assert (done, count) == (True, 3)
    times = 1 if options.get("overwrite") else 2
    expected = [(1, "x"), (2, None), (3, "z")]
    assert sql('SELECT "id", "a b" FROM "made" ORDER BY 1') == [row for row in expected for _ in range(times)]
    assert sql('SELECT COUNT("d") FROM "made"') == [(2 * times,)]


@pandas_warns
def test_write_pandas_into_an_existing_table(sql: Sql, connection: Any, schema: str) -> None:
    sql("CREATE TABLE there (id NUMBER, name VARCHAR)")
    frame = pd.DataFrame({"ID": range(5), "NAME": list("abcde")})
    assert write_pandas(connection, frame, "THERE", chunk_size=2)[:3] == (True, 3, 5)
    assert write_pandas(connection, frame, "THERE", overwrite=True)[:3] == (True, 1, 5)
    assert sql("SELECT COUNT(*), MAX(name) FROM there") == [(5, "e")]
    assert sql("SHOW STAGES IN SCHEMA") == [] or all(
        row[1].startswith("SNOWPARK_TEMP") for row in sql("SHOW STAGES IN SCHEMA")
    )


@pytest.fixture
def session(connect: Any, schema: str, staged: str) -> Iterator[Session]:
    session = Session.builder.configs({"connection": connect(schema=schema)}).create()
    yield session
    session.close()


def test_snowpark_files(session: Session, tmp_path: Path) -> None:
    (put,) = session.file.put(f"{tmp_path}/a.csv", "@s/put")
    assert (put.target, put.status) == ("a.csv.gz", "UPLOADED")
    session.file.put_stream(io.BytesIO(b"hello"), "@s/put/x.txt", auto_compress=False)
    with session.file.get_stream("@s/put/x.txt") as stream:
        assert stream.read() == b"hello"
    found = session.file.get("@s/put", str(tmp_path / "got"))
    assert sorted(item.file for item in found) == ["put/a.csv.gz", "put/x.txt"]
    assert (tmp_path / "got" / "x.txt").read_bytes() == b"hello"


def test_snowpark_reads_and_writes(session: Session) -> None:
    shape = [("A", IntegerType()), ("B", StringType()), ("C", FloatType())]
    schema = StructType([StructField(name, type_) for name, type_ in shape])
    csv = (
        session.read.schema(schema)
        .option("skip_header", 1)
        .option("error_on_column_count_mismatch", False)
        .csv("@s/csv")
    )
    assert [tuple(row) for row in csv.select("A", "C").collect()] == [(1, 1.25), (2, 10.5)]
    table = session.table("t")
    assert table.write.copy_into_location("@s/w/", file_format_type="parquet", header=True, overwrite=True)[0][0] == 2
    again = session.read.parquet("@s/w/")
    assert [tuple(row) for row in again.sort("ID").collect()] == [(1, 1.5, "a"), (2, None, "b")]
    again.copy_into_table("copied")
    assert session.table("copied").count() == 2
    assert table.write.csv("@s/w2/")[0][0] == 2
    json = session.read.json("@s/json").select(f.col("$1")["s"].cast("string").alias("s"))
    assert [row["S"] for row in json.collect()] == ["a", "b"]


def test_snowpark_requests_the_description_first(session: Session, tmp_path: Path) -> None:
    assert session.sql("SELECT $1, METADATA$FILENAME AS f FROM @s/csv").schema.names == ["$1", "F"]
    assert session.sql("LIST @s/csv").select('"name"').collect()[0][0] == "s/csv/a.csv.gz"
    assert session.sql(f"PUT file://{tmp_path}/a.csv @s/more").collect()[0]["status"] == "UPLOADED"
    copied = session.sql("COPY INTO t FROM @s/pq FILE_FORMAT = f_parquet MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE")
    assert [row["rows_loaded"] for row in copied.collect()] == [2, 1]
