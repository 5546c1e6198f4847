"""SHOW of variables, transactions and regions, and of kinds that an account here never has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Sql = Callable[..., list[tuple[Any, ...]]]


def test_variables(sql: Sql) -> None:
    sql("SET first_x = 5")
    sql("SET second_y = 'abc'")
    assert [row[3:6] for row in sql("SHOW VARIABLES LIKE 'first%'")] == [("FIRST_X", "5", "fixed")]
    assert [row[3:6] for row in sql("SHOW VARIABLES LIKE '%_y'")] == [("SECOND_Y", "abc", "text")]


def test_the_open_transaction_is_listed(sql: Sql) -> None:
    assert sql("SELECT CURRENT_TRANSACTION()") == [(None,)]
    sql("BEGIN")
    ((number, session),) = sql("SELECT CURRENT_TRANSACTION(), CURRENT_SESSION()")
    assert (int(number), int(session), "running") in [(row[0], row[2], row[5]) for row in sql("SHOW TRANSACTIONS")]
    sql("ROLLBACK")
    assert int(number) not in [row[0] for row in sql("SHOW TRANSACTIONS")]


def test_the_client_is_named(sql: Sql) -> None:
    ((client,),) = sql("SELECT CURRENT_CLIENT()")
    assert client.startswith("PythonConnector ")


def test_regions(sql: Sql) -> None:
    assert [row[1] for row in sql("SHOW REGIONS LIKE 'aws%'")] == ["AWS_US_EAST_1"]


@pytest.mark.parametrize("kind", ["PIPES", "EXTERNAL TABLES", "SHARES", "NETWORK POLICIES"])
def test_an_account_has_none_of_these(sql: Sql, kind: str) -> None:
    assert sql(f"SHOW {kind} LIMIT 10") == []
