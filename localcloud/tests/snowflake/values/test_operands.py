"""Texts and VARIANTs as numbers: arithmetic, comparisons with numbers, numeric functions and aggregates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def table(sql: Sql) -> str:
    sql("CREATE TABLE t (i INT, s VARCHAR, v VARIANT, n NUMBER(12, 4), x FLOAT, d DATE, f BOOLEAN)")
    sql("INSERT INTO t SELECT 2, '6', PARSE_JSON('{\"k\": 2.5}'), 1.2345, 0.5, '2024-01-05', TRUE")
    return "t"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'6' - 2", 4),
        ("'6' * '2'", 12),
        ("'7' / 2", Decimal("3.5")),
        ("1 + '1.5'", Decimal("2.5")),
        ("-'3'", -3),
        ("7 % '4'", 3),
        ("s - 2", 4),
        ("s + s", 12),
        ("s * x", 3.0),
        ("s / 4", 1.5),
        ("i / s", 1 / 3),
        ("n / s", 0.20575),
        ("MOD(s, 4)", 2),
        ("-s", -6),
        ("v:k + 1", 3.5),
        ("v:k / 2", 1.25),
        ("v:k * i", 5.0),
        ("n + 1", Decimal("2.2345")),
        ("n / 4", Decimal("0.308625")),
        ("(i + n) / 2", Decimal("1.61725")),
        ("TRIM(s) - 1", 5),
        ("SPLIT_PART('8.9', '.', 1) + 1", 9),
        ("CASE WHEN i = 2 THEN s END - 1", 5),
        ("COALESCE(s, '0') + 1", 7),
        ("ABS(s)", 6),
        ("ROUND('2.5')", 3),
        ("SQRT('9')", 3.0),
        ("s > 5", True),
        ("5 < s", True),
        ("s = 6", True),
        ("s IN (5, 6)", True),
        ("s NOT BETWEEN -5 AND 5", True),
        ("v:k > 2", True),
        ("d + 1 - d", 1),
        ("MAX(s) - 1", 5),
        ("MIN(s) + MAX(i)", 8),
        ("SUM(s)", 6.0),
        ("AVG(s)", 6.0),
        ("MEDIAN(v:k)", 2.5),
        ("SUM(DISTINCT s)", 6.0),
        ("SUM(IFF(f, 1, 0))", 1),
        ("SUM(f::INT)", 1),
        ("SUM(n)", Decimal("1.2345")),
        ("GREATEST(s, i, 3)", 6.0),
        ("LEAST('10', i + 7, s)", 6.0),
        ("GREATEST(s, '10')", "6"),
        ("GREATEST(i, n)", 2),
        ("LEAST(i, s, NULL)", None),
        ("GREATEST(d, DATE '2024-01-04')", date(2024, 1, 5)),
    ],
)
def test_texts_and_variants_are_numbers_where_a_number_is_needed(
    sql: Sql, table: str, expression: str, expected: Any
) -> None:
    ((value,),) = sql(f"SELECT {expression} FROM {table}")
    assert value == (pytest.approx(expected) if isinstance(expected, float) else expected)


def test_arithmetic_of_texts_in_windows_groups_views_and_dml(sql: Sql, table: str) -> None:
    sql("INSERT INTO t (i, s) VALUES (3, '8')")
    assert sql("SELECT s - LAG(s) OVER (ORDER BY i), SUM(s) OVER (ORDER BY i) FROM t ORDER BY i") == [
        (None, 6.0),
        (2, 14.0),
    ]
    assert sql("SELECT s % 4, COUNT(*) FROM t GROUP BY s % 4 HAVING SUM(s) > 1 ORDER BY s % 4") == [(0, 1), (2, 1)]
    sql("CREATE VIEW w AS SELECT s - 1 AS q, s - 2 AS s FROM t WHERE s - 1 > 5")
    assert sql("SELECT * FROM w") == [(7, 6)]
    sql("UPDATE t SET i = s * 2 WHERE s - 1 = 5")
    assert sql("SELECT a.s - b.s FROM t a JOIN t b ON a.i - 9 = b.i") == [(-2,)]


def test_an_alias_of_a_text_is_a_number_in_the_same_select(sql: Sql, table: str) -> None:
    assert sql("SELECT SUBSTRING(s, 1) AS m, m * 2 FROM t ORDER BY ABS(4 - m), -m") == [("6", 12)]


@pytest.mark.parametrize("call", ["SUM(f)", "SUM(i > 1)", "SUM(TRUE)", "AVG(f)", "SUM(DISTINCT f)", "STDDEV(f OR f)"])
def test_aggregates_of_booleans_are_rejected(sql: Sql, table: str, call: str) -> None:
    with pytest.raises(
        ProgrammingError, match=f"Function {call[:3]}.* does not support BOOLEAN argument type"
    ) as caught:
        sql(f"SELECT {call} FROM {table}")
    assert (caught.value.errno, caught.value.sqlstate) == (1065, "22023")


@pytest.mark.parametrize(
    ("expression", "errno", "text"),
    [
        ("nope - 1", 904, "'NOPE'"),
        ("SUM(nope)", 904, "'NOPE'"),
        ("nope / i", 904, "'NOPE'"),
        ("nope > 1", 904, "'NOPE'"),
        ("'x' - 1", 100_038, "'x'"),
        ("s || 'z' - 1", 100_038, "Numeric value"),
    ],
)
def test_operands_that_are_no_numbers_are_named(sql: Sql, table: str, expression: str, errno: int, text: str) -> None:
    with pytest.raises(ProgrammingError, match=text) as caught:
        sql(f"SELECT {expression} FROM {table}")
    assert caught.value.errno == errno


def test_an_unknown_operand_inside_a_transaction_undoes_only_its_statement(
    connect: Callable[..., Any], schema: str
) -> None:
    cursor = connect(schema=schema).cursor()
    cursor.execute("CREATE TABLE k (i INT)")
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO k VALUES (1)")
    with pytest.raises(ProgrammingError, match="invalid identifier 'NOPE'"):
        cursor.execute("SELECT nope - 1 FROM k")
    cursor.execute("COMMIT")
    assert cursor.execute("SELECT i FROM k").fetchall() == [(1,)]


def test_an_alias_of_the_same_select_is_an_operand(sql: Sql) -> None:
    query = "SELECT TO_VARCHAR(a) AS t, t * 2 AS twice FROM (SELECT 3 AS a UNION ALL SELECT 20) ORDER BY ABS(19 - t)"
    assert [(text, int(twice)) for text, twice in sql(query)] == [("20", 40), ("3", 6)]
    assert sql("SELECT TO_VARCHAR(a) AS t, COUNT(*) FROM (SELECT 3 AS a) GROUP BY t ORDER BY t") == [("3", 1)]
