"""UPDATE, DELETE and MERGE lock their table until the transaction ends; INSERT does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

MERGE = (
    "MERGE INTO t USING (SELECT {value} AS k, {value} AS v) AS s ON t.k = s.k "
    "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)"
)


@pytest.fixture
def other(connect: Callable[..., Any], schema: str, sql: Callable[..., Any]) -> Iterator[Any]:
    """A second session; the table ``t`` exists."""
    sql("CREATE TABLE t (k NUMBER, v NUMBER)")
    found = connect(schema=schema)
    yield found.cursor()
    found.close()


def test_two_transactions_that_merge_the_same_key_leave_it_once(sql: Callable[..., Any], other: Any) -> None:
    """As two processes write a slice: delete what is there, then merge."""
    sql("BEGIN")
    sql("DELETE FROM t WHERE k = 1")
    sql(MERGE.format(value=1))
    started = threading.Event()

    def second() -> None:
        other.execute("BEGIN")
        started.set()
        other.execute("DELETE FROM t WHERE k = 2")
        other.execute(MERGE.format(value=1))
        other.execute("COMMIT")

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(second)
        assert started.wait(60)
        assert sql("SELECT COUNT(*) FROM t") == [(1,)]
        sql("COMMIT")
        waiting.result()
    assert sql("SELECT k, v FROM t") == [(1, 1)]


def test_many_sessions_that_merge_at_once_leave_each_key_once(
    connect: Callable[..., Any], schema: str, sql: Callable[..., Any], other: Any
) -> None:
    def merge(_: int) -> None:
        with connect(schema=schema) as session:
            for value in range(4):
                session.cursor().execute(MERGE.format(value=value))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(merge, range(4)))
    assert sql("SELECT k, COUNT(*) FROM t GROUP BY k ORDER BY k") == [(value, 1) for value in range(4)]


@pytest.mark.parametrize("statement", ["UPDATE t SET v = 1", "DELETE FROM t", MERGE.format(value=5)])
def test_a_statement_waits_no_longer_than_the_lock_timeout(sql: Callable[..., Any], other: Any, statement: str) -> None:
    other.execute("ALTER SESSION SET LOCK_TIMEOUT = 0")
    sql("BEGIN")
    sql("UPDATE t SET v = 2")
    with pytest.raises(ProgrammingError, match="which another transaction has locked") as failed:
        other.execute(statement)
    assert failed.value.errno == 625
    other.execute("INSERT INTO t VALUES (7, 7)")  # takes no lock
    sql("ROLLBACK")
    other.execute(statement)


def test_a_session_that_is_closed_leaves_no_lock(connect: Callable[..., Any], schema: str, other: Any) -> None:
    other.execute("ALTER SESSION SET LOCK_TIMEOUT = 0")
    with connect(schema=schema, autocommit=True) as session:
        session.cursor().execute("BEGIN")
        session.cursor().execute("UPDATE t SET v = 2")
    other.execute("UPDATE t SET v = 3")
