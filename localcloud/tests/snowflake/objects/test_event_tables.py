"""Event tables: create, show, activate, and log records of handlers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]

COLUMNS = [
    *["TIMESTAMP", "START_TIMESTAMP", "OBSERVED_TIMESTAMP", "TRACE", "RESOURCE", "RESOURCE_ATTRIBUTES", "SCOPE"],
    *["SCOPE_ATTRIBUTES", "RECORD_TYPE", "RECORD", "RECORD_ATTRIBUTES", "VALUE", "EXEMPLARS"],
]
FUNCTION = """CREATE OR REPLACE FUNCTION noisy(x INT) RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f' AS $$
import logging
log = logging.getLogger("noise")
def f(x):
    log.debug("small %s", x)
    log.info("fine %s", x)
    log.error("bad %s", x)
    if x > 1:
        raise ValueError("too much")
    return x
$$"""


@pytest.fixture
def events(sql: Sql) -> Iterator[None]:
    sql("CREATE EVENT TABLE happened COMMENT = 'logs'")
    sql("ALTER ACCOUNT SET EVENT_TABLE = happened")
    sql(FUNCTION)
    yield
    sql("ALTER ACCOUNT UNSET EVENT_TABLE")
    sql("ALTER SESSION UNSET LOG_LEVEL")


def logged(sql: Sql) -> list[tuple[Any, ...]]:
    return sql("SELECT record:severity_text::VARCHAR, value::VARCHAR FROM happened ORDER BY timestamp, 2 DESC")


def test_create_show_describe_and_drop(sql: Sql) -> None:
    sql("CREATE EVENT TABLE happened COMMENT = 'logs'")
    with pytest.raises(ProgrammingError, match="already exists"):
        sql("CREATE EVENT TABLE happened")
    sql("CREATE EVENT TABLE IF NOT EXISTS happened")
    assert [(row[1], row[5]) for row in sql("SHOW EVENT TABLES LIKE 'HAPP%'")] == [("HAPPENED", "logs")]
    assert [row[0] for row in sql("DESC EVENT TABLE happened")] == COLUMNS
    sql("DROP TABLE happened")
    assert sql("SHOW EVENT TABLES LIKE 'HAPP%'") == []
    with pytest.raises(ProgrammingError, match="does not exist"):
        sql("ALTER ACCOUNT SET EVENT_TABLE = happened")


def test_records_at_or_above_the_sessions_level_are_stored(sql: Sql, events: None) -> None:
    sql("SELECT noisy(1)")
    assert logged(sql) == []
    sql("ALTER SESSION SET LOG_LEVEL = INFO")
    sql("SELECT noisy(1)")
    assert logged(sql) == [("INFO", "fine 1"), ("ERROR", "bad 1")]
    (row,) = sql("SELECT scope, resource_attributes, record_attributes, record_type FROM happened LIMIT 1")
    assert json.loads(row[0]) == {"name": "noise"}
    assert json.loads(row[1])["snow.executable.name"] == "NOISY"
    assert json.loads(row[2])["code.function"] == "f"
    assert row[3] == "LOG"


def test_records_of_failed_and_rolled_back_statements_are_kept(sql: Sql, events: None) -> None:
    sql("ALTER SESSION SET LOG_LEVEL = ERROR")
    with pytest.raises(ProgrammingError, match="too much"):
        sql("SELECT noisy(2)")
    sql("CREATE TABLE sink (x INT)")
    sql("BEGIN")
    sql("INSERT INTO sink SELECT noisy(0)")
    sql("ROLLBACK")
    assert (sql("SELECT * FROM sink"), logged(sql)) == ([], [("ERROR", "bad 2"), ("ERROR", "bad 0")])


def test_a_procedures_records_exclude_those_of_its_session(sql: Sql, events: None) -> None:
    sql("ALTER SESSION SET LOG_LEVEL = DEBUG")
    sql("""CREATE OR REPLACE PROCEDURE work() RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f'
PACKAGES = ('snowflake-snowpark-python') AS $$
import logging
def f(session):
    logging.getLogger("steps").warning("%d rows", session.sql("SELECT 1").count())
    return 1
$$""")
    assert sql("CALL work()") == [(1,)]
    assert logged(sql) == [("WARN", "1 rows")]
