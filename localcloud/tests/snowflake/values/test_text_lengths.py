"""CAST to VARCHAR(n) fails for a longer text; TRY_CAST returns NULL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]
_ROWS = "(VALUES ('ABCD', 12345), ('É', 1)) v (s, n)"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'ABCD'::CHAR(2)", "ABCD"),
        ("CAST(s AS VARCHAR(3))", "ABCD"),
        ("n::VARCHAR(4)", "12345"),
        ('PARSE_JSON(\'{"k": "long"}\'):k::STRING(3)', "long"),
        ("UPPER(s::VARCHAR(3))", "ABCD"),
    ],
)
def test_a_cast_of_a_longer_text_fails(cursor: Any, expression: str, value: str) -> None:
    with pytest.raises(ProgrammingError) as failed:
        cursor.execute(f"SELECT {expression} FROM {_ROWS} WHERE n > 1")
    assert (failed.value.errno, failed.value.sqlstate) == (100_078, "22000")
    assert f"String '{value}' is too long and would be truncated" in str(failed.value)


def test_a_cast_of_a_short_text_keeps_it(sql: Sql) -> None:
    query = f"SELECT s::VARCHAR(4) t, n::VARCHAR(5), NULL::VARCHAR(1), MAX(s::CHAR(4)) FROM {_ROWS}"
    assert sql(f"{query} GROUP BY t, n, s::VARCHAR(4) ORDER BY s::VARCHAR(4)") == [
        ("ABCD", "12345", None, "ABCD"),
        ("É", "1", None, "É"),
    ]
    assert sql(f"SELECT s::CHAR(1) FROM {_ROWS} WHERE LENGTH(s) = 1") == [("É",)]


def test_try_cast_returns_null(sql: Sql) -> None:
    assert sql("SELECT TRY_CAST('ABCD' AS CHAR(2)), TRY_CAST('ABCD' AS VARCHAR(10))") == [(None, "ABCD")]


def test_a_table_uses_the_length_of_a_cast(sql: Sql) -> None:
    sql(f"CREATE TABLE t AS SELECT s::VARCHAR(7) s FROM {_ROWS}")
    assert sql("DESC TABLE t")[0][1] == "VARCHAR(7)"
