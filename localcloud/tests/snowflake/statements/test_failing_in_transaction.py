"""A statement that fails inside a transaction is rolled back alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def table(sql: Sql) -> str:
    sql("CREATE TABLE t (a INT)")
    return "t"


def _fail(sql: Sql, statement: str = "INSERT INTO t VALUES ('one')", errno: int = 100_038) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(statement)
    assert caught.value.errno == errno


def _rows(sql: Sql) -> list[int]:
    return [row[0] for row in sql("SELECT a FROM t ORDER BY a")]


def test_the_writes_before_and_after_a_failure_are_committed(sql: Sql, table: str) -> None:
    sql("INSERT INTO t VALUES (0)")
    sql("BEGIN")
    sql("INSERT INTO t VALUES (?)", (1,))
    sql("UPDATE t SET a = a + 10")
    _fail(sql)
    assert _rows(sql) == [10, 11]
    _fail(sql, "SELECT 1 / 0", 100_051)
    sql("INSERT INTO t SELECT a * 10 FROM t WHERE a = 11")
    _fail(sql)
    sql("COMMIT")
    assert _rows(sql) == [10, 11, 110]


def test_computed_defaults_of_a_table_of_the_same_name_have_no_effect(sql: Sql, schema: str, table: str) -> None:
    sql(f"CREATE SCHEMA {schema}_other")
    sql("CREATE SEQUENCE s")
    sql("CREATE TABLE t (a INT DEFAULT s.NEXTVAL)")
    sql(f"USE SCHEMA {schema}")
    sql("BEGIN")
    sql("INSERT INTO t VALUES (1)")
    _fail(sql)
    sql("COMMIT")
    assert _rows(sql) == [1]


def test_a_rollback_after_a_failure_undoes_everything(sql: Sql, table: str) -> None:
    sql("INSERT INTO t VALUES (0)")
    sql("BEGIN")
    sql("DELETE FROM t")
    _fail(sql)
    assert _rows(sql) == []
    sql("ROLLBACK")
    assert _rows(sql) == [0]


def test_array_bindings_and_the_order_of_writes_are_kept(cursor: Any, sql: Sql, schema: str, table: str) -> None:
    sql("BEGIN")
    cursor.executemany("INSERT INTO t VALUES (?)", [[1], [2]])
    sql("USE SCHEMA PUBLIC")
    sql(f"MERGE INTO {schema}.t USING (SELECT 2 b) ON a = b WHEN MATCHED THEN UPDATE SET a = 20")
    _fail(sql, "SELECT 1 / 0", 100_051)
    assert sql("SELECT CURRENT_SCHEMA()") == [("PUBLIC",)]
    sql(f"USE SCHEMA {schema}")
    sql("COMMIT")
    assert _rows(sql) == [1, 20]


def test_a_failure_without_autocommit_keeps_the_transaction_open(
    connect: Callable[..., Any], sql: Sql, schema: str
) -> None:
    sql("CREATE TABLE t (a INT)")
    other = connect(schema=schema, autocommit=False)
    cursor = other.cursor()
    cursor.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(ProgrammingError):
        cursor.execute("INSERT INTO t VALUES ('one')")
    assert _rows(sql) == []
    other.commit()
    assert _rows(sql) == [1]


def test_a_stream_returns_each_change_of_the_transaction_once(sql: Sql, table: str) -> None:
    sql("CREATE STREAM s ON TABLE t")
    sql("BEGIN")
    sql("INSERT INTO t VALUES (1)")
    _fail(sql)
    sql("INSERT INTO t VALUES (2)")
    sql("COMMIT")
    assert sql("SELECT a, METADATA$ACTION FROM s ORDER BY a") == [(1, "INSERT"), (2, "INSERT")]


def test_nondeterministic_statements_are_not_replayed(sql: Sql, table: str) -> None:
    sql("BEGIN")
    sql("INSERT INTO t SELECT UNIFORM(1, 1000000, RANDOM())")
    _fail(sql)
    for statement in ("INSERT INTO t VALUES (2)", "SELECT * FROM t", "COMMIT"):
        _fail(sql, statement, 90_232)
    assert _rows(sql) == []
    sql("INSERT INTO t VALUES (3)")
    assert _rows(sql) == [3]


def test_a_write_that_reads_is_not_replayed_after_a_write_of_another_session(
    connect: Callable[..., Any], sql: Sql, schema: str, table: str
) -> None:
    sql("CREATE TABLE source (a INT)")
    other = connect(schema=schema).cursor()
    sql("BEGIN")
    sql("INSERT INTO t VALUES (1)")
    other.execute("INSERT INTO source VALUES (2)")
    _fail(sql)
    assert _rows(sql) == [1]
    sql("INSERT INTO t SELECT a FROM source")
    other.execute("INSERT INTO source VALUES (3)")
    _fail(sql)
    _fail(sql, "COMMIT", 90_232)
    assert _rows(sql) == []
