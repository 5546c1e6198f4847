"""Functions in Python: handlers in processes of their own, called from SQL."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


def define(sql: Sql, head: str, body: str, *, handler: str = "f", clauses: str = "") -> None:
    sql(
        f"CREATE OR REPLACE FUNCTION {head} LANGUAGE PYTHON RUNTIME_VERSION = '3.11' {clauses} "
        f"HANDLER = '{handler}' AS $$\n{body}\n$$"
    )


def test_a_function_runs_in_another_process_and_keeps_it(sql: Sql) -> None:
    define(sql, "where_am_i() RETURNS INT", "import os\ncalls = 0\ndef f():\n    return os.getpid()")
    first, second = sql("SELECT where_am_i()"), sql("SELECT where_am_i()")
    assert first == second
    assert first[0][0] != os.getpid()


def test_rows_of_a_table(sql: Sql) -> None:
    define(sql, "add_one(x INT) RETURNS INT", "def f(x):\n    return None if x is None else x + 1")
    sql("CREATE TABLE t AS SELECT * FROM VALUES (1), (2), (NULL) v(x)")
    assert sql("SELECT x, add_one(x) FROM t ORDER BY x NULLS LAST") == [(1, 2), (2, 3), (None, None)]
    assert sql("SELECT SUM(add_one(add_one(x))) FROM t") == [(7,)]
