"""Integrations, stages, unloads and loads against a local S3 server."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector.errors import IntegrityError, ProgrammingError

from localcloud.tests.snowflake.conftest import BUCKET

Sql = Callable[..., list[tuple[Any, ...]]]
UNLOAD = "FILE_FORMAT = (TYPE = PARQUET COMPRESSION = SNAPPY) HEADER = TRUE"
MATCH = "FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
NOTHING = [("Copy executed with 0 files processed.",)]


def failing(sql: Sql, text: str) -> ProgrammingError:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value


def keys(s3: Any, schema: str) -> list[str]:
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{schema.lower()}/").get("Contents", [])
    return [item["Key"].removeprefix(f"{schema.lower()}/") for item in found]


def read(s3: Any, schema: str, name: str) -> pa.Table:
    body = s3.get_object(Bucket=BUCKET, Key=f"{schema.lower()}/{name}")["Body"].read()
    return pq.read_table(io.BytesIO(body))


def put(s3: Any, schema: str, name: str, table: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    s3.put_object(Bucket=BUCKET, Key=f"{schema.lower()}/{name}", Body=sink.getvalue())


@pytest.fixture
def numbers(sql: Sql, stage: str) -> None:
    sql("CREATE TABLE numbers (id NUMBER, x FLOAT, price NUMBER(12, 2), small NUMBER(5, 0), s VARCHAR, v VARIANT)")
    sql(
        "INSERT INTO numbers SELECT 1, 0.1, 1.25, 7, 'a', PARSE_JSON('{\"k\": 1}') UNION ALL SELECT 2, NULL, NULL, NULL, NULL, NULL"
    )


def test_integrations(sql: Sql) -> None:
    create = (
        "CREATE OR REPLACE STORAGE INTEGRATION other TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE "
        "STORAGE_AWS_ROLE_ARN = 'arn:r' STORAGE_ALLOWED_LOCATIONS = ('s3://a/', 's3://b/') STORAGE_BLOCKED_LOCATIONS = ('s3://a/no/')"
    )
    assert sql(create) == [("Integration OTHER successfully created.",)]
    first = {row[0]: row[2] for row in sql("DESC INTEGRATION other")}
    assert first["STORAGE_ALLOWED_LOCATIONS"] == "s3://a/,s3://b/"
    assert first["STORAGE_AWS_IAM_USER_ARN"].startswith("arn:aws:iam::")
    sql(create)
    second = {row[0]: row[2] for row in sql("DESCRIBE STORAGE INTEGRATION other")}
    assert second["STORAGE_AWS_EXTERNAL_ID"] != first["STORAGE_AWS_EXTERNAL_ID"]
    assert sql("DROP INTEGRATION other") == [("OTHER successfully dropped.",)]
    assert failing(sql, "DESC INTEGRATION other").errno == 2003
    assert failing(sql, "DESC API INTEGRATION lake").errno == 2003


def test_a_stage_outside_the_allowed_locations_is_rejected(sql: Sql, stage: str) -> None:
    error = failing(sql, "CREATE STAGE bad URL = 's3://elsewhere/' STORAGE_INTEGRATION = lake")
    assert "is not allowed by integration LAKE" in error.raw_msg
    assert failing(sql, "CREATE STAGE st URL = 's3://lake/x/' STORAGE_INTEGRATION = lake").errno == 2002
    assert sql("CREATE STAGE IF NOT EXISTS st URL = 's3://lake/x/' STORAGE_INTEGRATION = lake") == [
        ("ST already exists, statement succeeded.",)
    ]
    assert failing(sql, "LIST @nowhere").errno == 2003


def test_unload_names_types_and_counts(sql: Sql, s3: Any, schema: str, numbers: None) -> None:
    ((rows, _, size),) = sql(f"COPY INTO @st/run/ FROM (SELECT * FROM numbers ORDER BY id) {UNLOAD}")
    assert rows == 2
    assert keys(s3, schema) == ["run/data_0_0_0.snappy.parquet"]
    table = read(s3, schema, "run/data_0_0_0.snappy.parquet")
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("ID", "int64"),
        ("X", "double"),
        ("PRICE", "decimal128(12, 2)"),
        ("SMALL", "int64"),
        ("S", "string"),
        ("V", "string"),
    ]
    assert table.to_pylist()[0] == {
        "ID": 1,
        "X": 0.1,
        "PRICE": Decimal("1.25"),
        "SMALL": 7,
        "S": "a",
        "V": '{"k":1}',
    } | {"V": table.to_pylist()[0]["V"]}
    listed = sql("LIST @st/run/")
    assert listed[0][0] == f"s3://lake/{schema.lower()}/run/data_0_0_0.snappy.parquet"
    assert listed[0][1] == size


def test_a_second_unload_requires_overwrite(sql: Sql, numbers: None) -> None:
    copy = f"COPY INTO @st/run/ FROM numbers {UNLOAD}"
    sql(copy)
    error = failing(sql, copy)
    assert (error.errno, error.sqlstate) == (1030, "22000")
    assert "Files already existing at the unload destination" in error.raw_msg
    assert "Use overwrite option to force unloading." in error.raw_msg
    assert sql(f"{copy} OVERWRITE = TRUE")[0][0] == 2


def test_unload_options(sql: Sql, s3: Any, schema: str, numbers: None) -> None:
    plain = "FILE_FORMAT = (TYPE = PARQUET COMPRESSION = NONE)"
    sql(f"COPY INTO @st/one.parquet FROM numbers {plain} SINGLE = TRUE")
    sql(f"COPY INTO @st/prefix FROM (SELECT id FROM numbers) {plain}")
    assert keys(s3, schema) == ["one.parquet", "prefix_0_0_0.parquet"]
    assert read(s3, schema, "prefix_0_0_0.parquet").column_names == ["_COL_0"]
    sql("CREATE TABLE many AS SELECT SEQ8() AS n, UUID_STRING() AS t FROM TABLE(GENERATOR(ROWCOUNT => 20000))")
    rows = sql(f"COPY INTO @st/many/ FROM many {UNLOAD} MAX_FILE_SIZE = 100000 DETAILED_OUTPUT = TRUE")
    assert len(rows) > 3
    assert sum(row[2] for row in rows) == 20_000
    assert [row[0] for row in rows][:2] == ["data_0_0_0.snappy.parquet", "data_0_0_1.snappy.parquet"]
    assert max(row[1] for row in rows) < 400_000
    sql(f"COPY INTO @st/ids/ FROM numbers {UNLOAD} INCLUDE_QUERY_ID = TRUE")
    assert len(keys(s3, schema)[0]) > 0


def test_an_empty_query_unloads_no_files(sql: Sql, s3: Any, schema: str, numbers: None) -> None:
    assert sql(f"COPY INTO @st/none/ FROM (SELECT * FROM numbers WHERE FALSE) {UNLOAD}") == [(0, 0, 0)]
    assert keys(s3, schema) == []


def test_zoned_timestamps_cannot_be_unloaded(sql: Sql, stage: str) -> None:
    error = failing(sql, f"COPY INTO @st/ts/ FROM (SELECT CURRENT_TIMESTAMP() AS at) {UNLOAD}")
    assert "TIMESTAMP_TZ and LTZ types are not supported for unloading to Parquet" in error.raw_msg


def test_a_query_that_fails_leaves_nothing(sql: Sql, s3: Any, schema: str, numbers: None) -> None:
    assert failing(sql, f"COPY INTO @st/run/ FROM (SELECT 1 / (id - 2) FROM numbers) {UNLOAD}").errno == 100051
    assert keys(s3, schema) == []


def test_load_and_its_history(sql: Sql, s3: Any, schema: str, numbers: None) -> None:
    sql(f"COPY INTO @st/run/ FROM numbers {UNLOAD}")
    sql("CREATE TABLE target (x FLOAT, id NUMBER, missing VARCHAR, price NUMBER(12, 2))")
    row = sql(f"COPY INTO target FROM @st/run/ {MATCH}")[0]
    assert row[:4] == ("st/run/data_0_0_0.snappy.parquet", "LOADED", 2, 2)
    assert sql("SELECT * FROM target ORDER BY id") == [(0.1, 1, None, Decimal("1.25")), (None, 2, None, None)]
    assert sql(f"COPY INTO target FROM @st/run/ {MATCH}") == NOTHING
    sql("CREATE TABLE IF NOT EXISTS target (x FLOAT)")
    assert sql(f"COPY INTO target FROM @st/run/ {MATCH}") == NOTHING
    sql(f"COPY INTO target FROM @st/run/ {MATCH} FORCE = TRUE")
    assert sql("SELECT COUNT(*) FROM target") == [(4,)]
    put(s3, schema, "run/data_0_0_0.snappy.parquet", pa.table({"ID": [5]}))
    assert sql(f"COPY INTO target FROM @st/run/ {MATCH}")[0][2] == 1
    sql("TRUNCATE TABLE target")
    assert sql(f"COPY INTO target FROM @st/run/ {MATCH}")[0][2] == 1
    sql("CREATE OR REPLACE TABLE target (id NUMBER)")
    assert sql(f"COPY INTO target FROM @st/run/ {MATCH} PURGE = TRUE")[0][2] == 1
    assert keys(s3, schema) == []


def test_history_rolls_back_with_the_rows(sql: Sql, numbers: None) -> None:
    sql(f"COPY INTO @st/run/ FROM numbers {UNLOAD}")
    sql("CREATE TABLE target (id NUMBER)")
    sql("BEGIN")
    sql(f"COPY INTO target FROM @st/run/ {MATCH}")
    sql("ROLLBACK")
    assert sql("SELECT COUNT(*) FROM target") == [(0,)]
    assert sql(f"COPY INTO target FROM @st/run/ {MATCH}")[0][3] == 2


def test_a_load_is_atomic_over_all_files(sql: Sql, s3: Any, schema: str, stage: str) -> None:
    put(s3, schema, "in/a.parquet", pa.table({"ID": [1]}))
    put(s3, schema, "in/b.parquet", pa.table({"ID": ["not a number"]}))
    sql("CREATE TABLE target (id NUMBER NOT NULL)")
    assert failing(sql, f"COPY INTO target FROM @st/in/ {MATCH}").errno == 100038
    assert sql("SELECT COUNT(*) FROM target") == [(0,)]
    assert sql(f"COPY INTO target FROM @st/in/ {MATCH} FILES = ('a.parquet')")[0][2] == 1
    put(s3, schema, "null/a.parquet", pa.table({"ID": pa.array([None], pa.int64())}))
    with pytest.raises(IntegrityError):
        sql(f"COPY INTO target FROM @st/null/ {MATCH}")


def test_files_and_columns_can_be_selected(sql: Sql, s3: Any, schema: str, stage: str) -> None:
    put(s3, schema, "in/a.parquet", pa.table({"id": [1]}))
    put(s3, schema, "in/b.parquet", pa.table({"id": [2]}))
    put(s3, schema, "in/notes.txt", pa.table({"id": [3]}))
    sql("CREATE TABLE target (id NUMBER)")
    sql(f"COPY INTO target FROM @st/in/ {MATCH} PATTERN = '.*b[.]parquet'")
    assert sql("SELECT * FROM target") == [(2,)]
    exact = "FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_SENSITIVE"
    assert sql(f"COPY INTO target FROM @st/in/a {exact}")[0][:4] == ("st/in/a.parquet", "LOADED", 1, 1)
    assert sql("SELECT * FROM target WHERE id IS NULL") == [(None,)]
    sql("CREATE TABLE raw_rows (v VARIANT)")
    sql("COPY INTO raw_rows FROM @st/in/a FILE_FORMAT = (TYPE = PARQUET)")
    assert sql("SELECT v:id::NUMBER FROM raw_rows") == [(1,)]


def test_loading_nothing_and_missing_objects(sql: Sql, stage: str) -> None:
    sql("CREATE TABLE target (id NUMBER)")
    assert sql(f"COPY INTO target FROM @st/nowhere/ {MATCH}") == NOTHING
    assert failing(sql, f"COPY INTO target FROM @no_stage/ {MATCH}").errno == 2003
    assert failing(sql, f"COPY INTO no_table FROM @st/ {MATCH}").errno == 2003
    assert failing(sql, f"COPY INTO target FROM @st/ {MATCH} FILES = ('x.parquet')").errno == 91016
    sql(
        "CREATE OR REPLACE STORAGE INTEGRATION gone TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE "
        "STORAGE_AWS_ROLE_ARN = 'arn:r' STORAGE_ALLOWED_LOCATIONS = ('*')"
    )
    sql("CREATE STAGE no_bucket URL = 's3://no-such-bucket/' STORAGE_INTEGRATION = gone")
    error = failing(sql, f"COPY INTO target FROM @no_bucket/ {MATCH}")
    assert "NoSuchBucket" in error.raw_msg


def test_list_and_remove(sql: Sql, s3: Any, schema: str, stage: str) -> None:
    for name in ("a.parquet", "b.parquet"):
        put(s3, schema, f"in/{name}", pa.table({"id": [1]}))
    assert len(sql("LS @st PATTERN = '.*a[.]parquet'")) == 1
    assert sql("REMOVE @st/in/a") == [("st/in/a.parquet", "removed")]
    assert [row[0].rpartition("/")[2] for row in sql("LIST @st")] == ["b.parquet"]


@pytest.mark.parametrize(
    "text",
    [
        "COPY INTO @st/x/ FROM numbers FILE_FORMAT = (TYPE = PARQUET) HEADERS = TRUE",
        "COPY INTO @st/x/ FROM numbers FILE_FORMAT = (TYPE = PARQUET COMPRESSION = ZSTD)",
        "COPY INTO @st/x/ FROM numbers FILE_FORMAT = (TYPE = PARQUET) MAX_FILE_SIZE = 0",
        "COPY INTO numbers FROM @st FILE_FORMAT = (TYPE = PARQUET) ON_ERROR = SKIP_FILES",
        "COPY INTO numbers FROM @st FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = SOMETIMES",
        "COPY INTO numbers FROM @st FILE_FORMAT = (TYPE = XML)",
    ],
)
def test_invalid_options_are_rejected(sql: Sql, numbers: None, text: str) -> None:
    assert failing(sql, text).errno in (1003, 1008, 1420, 2)
