"""Session parameters: set, show, unset, effects, and errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import DatabaseError, ProgrammingError

from localcloud.tests.snowflake.conftest import public_pem


@pytest.fixture(autouse=True)
def no_tag(sql: Any) -> None:
    sql("ALTER SESSION UNSET QUERY_TAG")


def shown(sql: Any, name: str) -> tuple[Any, ...]:
    (row,) = sql(f"SHOW PARAMETERS LIKE '{name}' IN SESSION")
    return tuple(row)


def test_a_parameter_is_shown_with_its_default_and_its_level(sql: Any) -> None:
    assert shown(sql, "query_tag") == ("QUERY_TAG", "", "", "", "", "STRING")
    sql("ALTER SESSION SET QUERY_TAG = 'scores', JSON_INDENT = 0, LOCK_TIMEOUT = 10")
    assert shown(sql, "QUERY_TAG")[1:4] == ("scores", "", "SESSION")
    assert shown(sql, "LOCK_TIMEOUT")[1:4] == ("10", "43200", "SESSION")
    sql(
        "ALTER SESSION SET CLIENT_TIMESTAMP_TYPE_MAPPING = TIMESTAMP_NTZ, PYTHON_CONNECTOR_QUERY_RESULT_FORMAT = ARROW_FORCE"
    )
    assert shown(sql, "CLIENT_TIMESTAMP_TYPE_MAPPING")[1] == "TIMESTAMP_NTZ"
    sql("ALTER SESSION UNSET QUERY_TAG, LOCK_TIMEOUT, CLIENT_TIMESTAMP_TYPE_MAPPING")
    assert shown(sql, "QUERY_TAG")[1:4] == ("", "", "")
    assert len(sql("SHOW PARAMETERS LIKE 'timestamp_%'")) > 5


@pytest.mark.parametrize(
    ("statement", "code", "text"),
    [
        ("ALTER SESSION SET NO_SUCH_THING = 1", 1420, "invalid parameter 'NO_SUCH_THING'"),
        ("ALTER SESSION UNSET NO_SUCH_THING", 1420, "invalid parameter 'NO_SUCH_THING'"),
        ("ALTER SESSION SET TIMEZONE = 'Europe/Bielefeld'", 1423, "invalid value [Europe/Bielefeld] for parameter"),
        ("ALTER ACCOUNT SET TIMEZONE = 'europe/berlin'", 1423, "invalid value [europe/berlin] for parameter"),
        ("ALTER ACCOUNT SET NO_SUCH_THING = 1", 1420, "invalid parameter 'NO_SUCH_THING'"),
        ("ALTER SESSION SET ROWS_PER_RESULTSET = 5", 2, "does not support ROWS_PER_RESULTSET = 5, only 0"),
        ("SHOW PARAMETERS IN WAREHOUSE", 2, "does not support SHOW PARAMETERS IN WAREHOUSE"),
    ],
)
def test_invalid_parameters_are_rejected(sql: Any, statement: str, code: int, text: str) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(statement)
    assert caught.value.errno == code
    assert text in str(caught.value)


def test_a_rejected_parameter_leaves_the_others_of_the_statement_unset(sql: Any) -> None:
    with pytest.raises(ProgrammingError):
        sql("ALTER SESSION SET QUERY_TAG = 'half', ROWS_PER_RESULTSET = 5")
    assert shown(sql, "QUERY_TAG")[1] == ""


def test_a_statement_ends_at_its_time_limit(sql: Any) -> None:
    sql("ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 1")
    began = time.monotonic()
    with pytest.raises(ProgrammingError, match=r"timeout of 1 second\(s\) and was canceled") as caught:
        sql("SELECT SUM(SQRT(a.v * b.v)) FROM (SELECT SEQ4() v FROM TABLE(GENERATOR(ROWCOUNT => 1000000))) a, "
            "(SELECT SEQ4() v FROM TABLE(GENERATOR(ROWCOUNT => 1000000))) b")  # fmt: skip
    assert (caught.value.errno, caught.value.sqlstate) == (630, "57014")
    assert time.monotonic() - began >= 1
    sql("ALTER SESSION UNSET STATEMENT_TIMEOUT_IN_SECONDS")
    assert sql("SELECT 1") == [(1,)]


@pytest.mark.parametrize("name", ["QUERY_RESULT_FORMAT", "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT"])
def test_results_as_json(sql: Any, name: str) -> None:
    sql(f"ALTER SESSION SET {name} = 'JSON'")
    assert sql("SELECT 1, 'a', NULL, 1.5") == [(1, "a", None, Decimal("1.5"))]
    sql(f"ALTER SESSION UNSET {name}")
    assert sql("SELECT 2") == [(2,)]


def test_the_account_and_the_user_give_the_defaults_of_a_session(sql: Any, connect: Any, private_key: Any) -> None:
    sql("CREATE USER IF NOT EXISTS elsewhere TIMEZONE = 'Asia/Tokyo' LOCK_TIMEOUT = 5")
    sql(f"ALTER USER elsewhere SET RSA_PUBLIC_KEY = '{public_pem(private_key)}'")
    sql("ALTER ACCOUNT SET LOCK_TIMEOUT = 7, QUERY_TAG = 'everyone', TIMEZONE = 'Europe/Berlin'")
    try:
        session = connect(user="ELSEWHERE", session_parameters={"QUERY_TAG": "mine"})
        rows = session.cursor().execute("SHOW PARAMETERS IN SESSION").fetchall()
        found = {row[0]: (row[1], row[3]) for row in rows}
        assert (found["TIMEZONE"], found["LOCK_TIMEOUT"]) == (("Asia/Tokyo", "USER"), ("5", "USER"))
        assert found["QUERY_TAG"] == ("mine", "SESSION")
        session.cursor().execute("ALTER SESSION UNSET QUERY_TAG")
        (row,) = session.cursor().execute("SHOW PARAMETERS LIKE 'QUERY_TAG'").fetchall()
        assert row[1:4] == ("everyone", "", "ACCOUNT")
        assert dict(row[:2] for row in sql("SHOW PARAMETERS IN ACCOUNT"))["TIMEZONE"] == "Europe/Berlin"
        assert shown(sql, "TIMEZONE")[1] == "Europe/Berlin"
    finally:
        sql("ALTER ACCOUNT UNSET LOCK_TIMEOUT, QUERY_TAG, TIMEZONE")
    assert shown(sql, "TIMEZONE")[1] == "Etc/UTC"


def test_a_default_that_is_not_supported_is_refused_until_the_session_sets_another(
    sql: Any, connect: Any, private_key: Any
) -> None:
    sql("CREATE USER IF NOT EXISTS folding QUOTED_IDENTIFIERS_IGNORE_CASE = TRUE")
    sql(f"ALTER USER folding SET RSA_PUBLIC_KEY = '{public_pem(private_key)}'")
    cursor = connect(user="FOLDING").cursor()
    with pytest.raises(ProgrammingError, match="does not support QUOTED_IDENTIFIERS_IGNORE_CASE = true"):
        cursor.execute("SELECT 1")
    cursor.execute("ALTER SESSION SET QUOTED_IDENTIFIERS_IGNORE_CASE = FALSE")
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_a_login_with_an_unknown_time_zone_is_refused(connect: Any) -> None:
    with pytest.raises(DatabaseError, match="invalid value"):
        connect(session_parameters={"TIMEZONE": "Nowhere/Land"})


def test_default_unsets_a_parameter(sql: Any) -> None:
    sql("ALTER SESSION SET LOCK_TIMEOUT = 10, DATE_OUTPUT_FORMAT = 'DD.MM.YYYY'")
    sql("ALTER SESSION SET LOCK_TIMEOUT = DEFAULT, DATE_OUTPUT_FORMAT = default")
    assert shown(sql, "LOCK_TIMEOUT")[1:4] == ("43200", "43200", "")
    assert shown(sql, "DATE_OUTPUT_FORMAT")[1:4] == ("YYYY-MM-DD", "YYYY-MM-DD", "")


def test_search_path_orders_the_schemas_of_unqualified_names(connect: Callable[..., Any], schema: str) -> None:
    cursor = connect(schema="PUBLIC").cursor()
    cursor.execute(f"CREATE OR REPLACE TABLE {schema}.searched AS SELECT 'listed' AS at")
    cursor.execute(f"CREATE OR REPLACE TABLE {schema}.only_there AS SELECT 'listed' AS at")
    cursor.execute("CREATE OR REPLACE TABLE PUBLIC.searched AS SELECT 'public' AS at")
    try:
        with pytest.raises(ProgrammingError):
            cursor.execute("SELECT * FROM only_there")
        cursor.execute(f"ALTER SESSION SET SEARCH_PATH = '$current, $public, {schema}'")
        assert cursor.execute("SELECT * FROM only_there").fetchall() == [("listed",)]
        assert cursor.execute("SELECT * FROM searched").fetchall() == [("public",)]
        cursor.execute(f"ALTER SESSION SET SEARCH_PATH = 'SNOWSAGE.{schema}, $public'")
        assert cursor.execute("SELECT * FROM searched").fetchall() == [("listed",)]
        assert cursor.execute("WITH searched AS (SELECT 1 AS x) SELECT * FROM searched").fetchall() == [(1,)]
        (row,) = cursor.execute("SHOW PARAMETERS LIKE 'SEARCH_PATH'").fetchall()
        assert row[1:4] == (f"SNOWSAGE.{schema}, $public", "$current, $public", "SESSION")
        with pytest.raises(ProgrammingError, match="SEARCH_PATH"):
            cursor.execute("ALTER SESSION SET SEARCH_PATH = 'a b'")
        cursor.execute("ALTER SESSION UNSET SEARCH_PATH")
        assert cursor.execute("SELECT * FROM searched").fetchall() == [("public",)]
    finally:
        cursor.execute("DROP TABLE PUBLIC.searched")
