"""CLONE, LIKE and SWAP WITH: what is copied, and independence of the copy from its source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import IntegrityError, ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def source(sql: Sql) -> None:
    sql("CREATE TABLE b (x INT NOT NULL DEFAULT 5, y VARCHAR(10) COMMENT 'why') COMMENT = 'the source'")
    sql("INSERT INTO b VALUES (1, 'a')")
    sql("CREATE VIEW v AS SELECT x + 1 AS z FROM b")


@pytest.mark.usefixtures("source")
def test_a_cloned_table_copies_rows_and_definition_and_is_independent(sql: Sql) -> None:
    assert sql("CREATE TABLE a CLONE b") == [("Table A successfully created.",)]
    sql("INSERT INTO a (y) VALUES ('b')")
    assert sql("SELECT * FROM a ORDER BY x") == [(1, "a"), (5, "b")]
    assert sql("SELECT * FROM b") == [(1, "a")]
    assert sql("DESCRIBE TABLE a") == sql("DESCRIBE TABLE b")
    with pytest.raises(IntegrityError, match="non-nullable"):
        sql("INSERT INTO a VALUES (NULL, 'c')")


@pytest.mark.usefixtures("source")
def test_create_table_like_copies_no_rows(sql: Sql) -> None:
    assert sql("CREATE TABLE a LIKE b") == [("Table A successfully created.",)]
    assert sql("SELECT * FROM a") == []
    assert sql("DESCRIBE TABLE a") == sql("DESCRIBE TABLE b")
    with pytest.raises(ProgrammingError) as failed:
        sql("CREATE TABLE a LIKE b")
    assert failed.value.errno == 2002
    assert sql("CREATE TABLE IF NOT EXISTS a LIKE b") == [("A already exists, statement succeeded.",)]
    sql("CREATE OR REPLACE TABLE a CLONE b")
    assert sql("SELECT * FROM a") == [(1, "a")]


@pytest.mark.usefixtures("source")
def test_temporary_copies(sql: Sql) -> None:
    assert sql("CREATE TEMPORARY TABLE a CLONE b") == [("Table A successfully created.",)]
    sql("UPDATE a SET y = 'temporary'")
    assert sql("SELECT y FROM a") == [("temporary",)]
    assert sql("SELECT y FROM b") == [("a",)]
    with pytest.raises(ProgrammingError, match="Temp table cannot be cloned to a permanent table"):
        sql("CREATE TABLE c CLONE a")
    sql("CREATE TRANSIENT TABLE c CLONE a")
    sql("DROP TABLE a")
    assert sql("SELECT y FROM c") == [("temporary",)]


@pytest.mark.usefixtures("source")
def test_a_cloned_schema_has_its_own_tables_and_views(sql: Sql, schema: str) -> None:
    assert sql(f"CREATE SCHEMA {schema}_c CLONE {schema}") == [(f"Schema {schema}_C successfully created.",)]
    sql(f"INSERT INTO {schema}_c.b VALUES (7, 'c')")
    assert sql(f"SELECT z FROM {schema}_c.v ORDER BY z") == [(2,), (8,)]
    assert sql(f"SELECT z FROM {schema}.v") == [(2,)]
    assert sql("SELECT CURRENT_SCHEMA()") == [(f"{schema}_C",)]


def test_a_cloned_database(sql: Sql, schema: str) -> None:
    sql("CREATE TRANSIENT DATABASE original")
    sql("CREATE TRANSIENT SCHEMA s")
    sql("CREATE TRANSIENT TABLE t AS SELECT 1 AS a")
    sql("CREATE VIEW v AS SELECT a FROM t")
    assert sql("CREATE DATABASE copied CLONE original") == [("Database COPIED successfully created.",)]
    sql("DROP DATABASE original")
    assert sql("SELECT * FROM copied.s.v") == [(1,)]
    sql("DROP DATABASE copied")
    sql(f"USE SCHEMA snowsage.{schema}")


@pytest.mark.usefixtures("source")
def test_two_tables_swap_their_names(sql: Sql) -> None:
    sql("CREATE TABLE other (only FLOAT)")
    sql("ALTER TABLE b SWAP WITH other")
    assert sql("SELECT * FROM b") == []
    assert sql("SELECT * FROM other") == [(1, "a")]
    assert [row[0] for row in sql("DESCRIBE TABLE b")] == ["ONLY"]
    sql("CREATE STREAM st ON TABLE other")
    with pytest.raises(ProgrammingError, match="SWAP WITH of a table that has streams"):
        sql("ALTER TABLE b SWAP WITH other")


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("statement", "errno", "words"),
    [
        ("CREATE TABLE a CLONE b AT (OFFSET => -60)", 2, "does not support CLONE with AT or BEFORE"),
        ("CREATE TABLE a CLONE nowhere", 2003, "does not exist or not authorized"),
        ("CREATE TABLE a LIKE nowhere", 2003, "does not exist or not authorized"),
        ("CREATE SCHEMA a CLONE nowhere", 2003, "does not exist or not authorized"),
        ("CREATE DATABASE a CLONE nowhere", 2003, "does not exist or not authorized"),
        ("ALTER TABLE b SWAP WITH nowhere", 2003, "does not exist or not authorized"),
        ("UNDROP TABLE b", 2, "does not support the statement UNDROP"),
    ],
)
def test_invalid_clones_and_swaps_are_rejected(sql: Sql, statement: str, errno: int, words: str) -> None:
    with pytest.raises(ProgrammingError, match=words) as failed:
        sql(statement)
    assert failed.value.errno == errno
