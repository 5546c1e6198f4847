"""Forms of queries that DuckDB writes otherwise: joins without a condition, ORDER BY ALL, SEQ of one input, window errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT * FROM (SELECT 1 AS a) l INNER JOIN (SELECT 2 AS b) r", [(1, 2)]),
        ("SELECT * FROM ((SELECT 1 AS a) AS l JOIN (SELECT 2 AS b) AS r)", [(1, 2)]),
        ("SELECT a, b FROM VALUES (2, 1), (1, 2), (1, 1) AS t(a, b) ORDER BY ALL", [(1, 1), (1, 2), (2, 1)]),
        ("SELECT a FROM VALUES (1), (NULL) AS t(a) ORDER BY ALL DESC NULLS LAST", [(1,), (None,)]),
        ("SELECT seq, value::INT FROM TABLE(FLATTEN(PARSE_JSON('[7]')))", [(1, 7)]),
        ("SELECT f.seq FROM TABLE(SPLIT_TO_TABLE('a', ' ')) AS f", [(1,)]),
        (
            "SELECT l.t, r.value FROM (SELECT 'a' AS t) AS l JOIN TABLE(SPLIT_TO_TABLE(t, ' ') OVER (PARTITION BY t)) AS r",
            [("a", "a")],
        ),
        (
            "SELECT TIME('10:01:50.000') AS a, TIMESTAMP '2018-10-11 12:13:14' AS b",
            [(time(10, 1, 50), datetime(2018, 10, 11, 12, 13, 14))],
        ),
    ],
)
def test_queries(sql: Sql, query: str, expected: list[Any]) -> None:
    assert sql(query) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            "SELECT SUM(a) OVER (ORDER BY a ROWS BETWEEN CURRENT ROW AND 1 PRECEDING) FROM VALUES (1) AS t(a)",
            "Invalid window frame",
        ),
        (
            "SELECT SUM(a) OVER (ORDER BY a RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW) FROM VALUES (1) AS t(a)",
            "numeric ORDER BY clause only allows numeric window frame boundaries",
        ),
        (
            "SELECT a FROM VALUES (1) AS t(a) WHERE RANK() OVER (ORDER BY a) > 1",
            "outside of SELECT, QUALIFY, and ORDER BY clauses",
        ),
    ],
)
def test_window_errors(sql: Sql, query: str, text: str) -> None:
    with pytest.raises(ProgrammingError, match=text):
        sql(query)
