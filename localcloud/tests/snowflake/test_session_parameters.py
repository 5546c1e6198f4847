"""Session parameters: set, show, unset, effects, and errors."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError


@pytest.fixture(autouse=True)
def no_tag(sql: Any) -> None:
    sql("ALTER SESSION UNSET QUERY_TAG")


def shown(sql: Any, name: str) -> tuple[Any, ...]:
    (row,) = sql(f"SHOW PARAMETERS LIKE '{name}' IN SESSION")
    return tuple(row)


def test_a_parameter_is_shown_with_its_default_and_its_level(sql: Any) -> None:
    assert shown(sql, "query_tag") == ("QUERY_TAG", "", "", "", "", "STRING")
    sql("ALTER SESSION SET QUERY_TAG = 'scores', JSON_INDENT = 2, LOCK_TIMEOUT = 10")
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
        ("ALTER SESSION SET TIMEZONE = 'Europe/Berlin'", 2, "does not support TIMEZONE = Europe/Berlin, only"),
        ("ALTER SESSION SET ROWS_PER_RESULTSET = 5", 2, "does not support ROWS_PER_RESULTSET = 5, only 0"),
        ("SHOW PARAMETERS IN ACCOUNT", 2, "does not support SHOW PARAMETERS IN ACCOUNT"),
    ],
)
def test_invalid_parameters_are_rejected(sql: Any, statement: str, code: int, text: str) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(statement)
    assert caught.value.errno == code
    assert text in str(caught.value)


def test_a_rejected_parameter_leaves_the_others_of_the_statement_unset(sql: Any) -> None:
    with pytest.raises(ProgrammingError):
        sql("ALTER SESSION SET QUERY_TAG = 'half', TIMEZONE = 'Asia/Tokyo'")
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
