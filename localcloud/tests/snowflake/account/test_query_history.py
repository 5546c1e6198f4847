"""QUERY_HISTORY: statements with their session, tag, row counts and outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError
from snowflake.snowpark import Session

Sql = Callable[..., list[tuple[Any, ...]]]
HISTORY = "TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(RESULT_LIMIT => 1000))"


def _row(cursor: Any, query_id: str, columns: str) -> tuple[Any, ...]:
    cursor.execute(f"SELECT {columns} FROM {HISTORY} WHERE query_id = '{query_id}'")
    (row,) = cursor.fetchall()
    return tuple(row)


@pytest.fixture
def own(connect: Callable[..., Any], schema: str) -> Any:
    """A connection whose session has a query tag."""
    return connect(schema=schema, session_parameters={"QUERY_TAG": "from the login"})


def test_a_statement_is_recorded_with_its_session_and_its_rows(own: Any, schema: str) -> None:
    cursor = own.cursor()
    cursor.execute("CREATE TABLE t AS SELECT 1 AS a")
    made = cursor.sfqid
    cursor.execute("INSERT INTO t VALUES (2), (3)")
    inserted = cursor.sfqid
    columns = "query_text, query_type, database_name, schema_name, session_id, user_name, role_name, rows_produced"
    assert _row(cursor, inserted, columns) == (
        *("INSERT INTO t VALUES (2), (3)", "INSERT", "SNOWSAGE", schema),
        *(own.session_id, "SERVICE", "ACCOUNTADMIN", 2),
    )
    assert _row(cursor, made, "query_type") == ("CREATE_TABLE_AS_SELECT",)
    times = "start_time <= end_time, total_elapsed_time >= 0, execution_status, error_code, error_message"
    assert _row(cursor, inserted, times) == (True, True, "SUCCESS", None, None)


def test_a_failure_is_recorded_with_its_code(cursor: Any) -> None:
    with pytest.raises(ProgrammingError) as failed:
        cursor.execute("SELECT * FROM nowhere")
    assert _row(cursor, failed.value.sfqid or "", "execution_status, error_code, rows_produced") == (
        *("FAILED_WITH_ERROR", "002003", None),
    )
    assert "NOWHERE" in _row(cursor, failed.value.sfqid or "", "error_message")[0]


def test_the_history_query_lists_itself_as_running(cursor: Any) -> None:
    cursor.execute(f"SELECT query_id, execution_status, end_time FROM {HISTORY} LIMIT 1")
    assert cursor.fetchall() == [(cursor.sfqid, "RUNNING", None)]


def test_session_tags_and_statement_tags(own: Any) -> None:
    cursor = own.cursor()
    cursor.execute("SELECT 1")
    login = cursor.sfqid
    cursor.execute("SELECT 2", _statement_params={"QUERY_TAG": "only this"})
    single = cursor.sfqid
    cursor.execute("ALTER SESSION SET QUERY_TAG = 'changed'")
    cursor.execute("SELECT 3")
    changed = cursor.sfqid
    cursor.execute("ALTER SESSION UNSET QUERY_TAG")
    cursor.execute("SELECT 4")
    tags = [_row(cursor, query_id, "query_tag")[0] for query_id in (login, single, changed, cursor.sfqid)]
    assert tags == ["from the login", "only this", "changed", ""]


def test_snowpark_sets_tags_for_a_session_and_for_one_query(connect: Callable[..., Any], schema: str) -> None:
    session = Session.builder.configs({"connection": connect(schema=schema)}).create()
    session.query_tag = "scoring"
    session.sql("SELECT 10 AS a").collect()
    session.sql("SELECT 11 AS a").collect(statement_params={"QUERY_TAG": "one"})
    found = session.sql(
        "SELECT query_text, query_tag FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION()) "
        "WHERE query_text LIKE 'SELECT 1_ AS a' ORDER BY start_time"
    ).collect()
    assert [tuple(row) for row in found] == [("SELECT 10 AS a", "scoring"), ("SELECT 11 AS a", "one")]
    session.close()


def test_the_history_by_session_and_by_user(own: Any, sql: Sql) -> None:
    own.cursor().execute("SELECT 'elsewhere'")
    wanted = "WHERE query_text = 'SELECT ''elsewhere'''"
    assert sql(f"SELECT COUNT(*) FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION()) {wanted}") == [(0,)]
    by_session = f"TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION(SESSION_ID => {own.session_id}))"
    assert sql(f"SELECT COUNT(*) FROM {by_session} {wanted}") == [(1,)]
    by_user = "TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER(USER_NAME => '{}'))"
    assert sql(f"SELECT COUNT(*) > 0 FROM {by_user.format('SERVICE')} {wanted}") == [(True,)]
    assert sql(f"SELECT COUNT(*) FROM {by_user.format('MISSING')}") == [(0,)]


def test_the_range_and_the_limit(sql: Sql) -> None:
    history = "TABLE(INFORMATION_SCHEMA.QUERY_HISTORY({}))"
    assert sql(f"SELECT COUNT(*) FROM {history.format('RESULT_LIMIT => 2')}") == [(2,)]
    past = "END_TIME_RANGE_END => DATEADD('hour', -1, CURRENT_TIMESTAMP())"
    assert sql(f"SELECT COUNT(*) FROM {history.format(past)}") == [(0,)]
    recent = "END_TIME_RANGE_START => DATEADD('hour', -1, CURRENT_TIMESTAMP())"
    assert sql(f"SELECT COUNT(*) > 0 FROM {history.format(recent)} WHERE execution_status = 'SUCCESS'") == [(True,)]


@pytest.mark.parametrize("argument", ["RESULT_LIMIT => 0", "QUERY_TAG => 'a'", "5"])
def test_an_invalid_argument_is_rejected(cursor: Any, argument: str) -> None:
    with pytest.raises(ProgrammingError) as failed:
        cursor.execute(f"SELECT * FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY({argument}))")
    assert failed.value.errno == 1044
