"""Quotients and averages of NUMBER have Snowflake's scale, in the connector and through tables and views."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]
_ROWS = "(VALUES (1, 2.50, 3.5::FLOAT), (2, 7.25, 1), (-1, 1.00, 1)) v (a, b, c)"


def _one(cursor: Any, query: str) -> tuple[Any, int | None]:
    """The value of a single-cell query, and its scale, which is ``None`` for a float."""
    (described,) = cursor.describe(query)
    ((value,),) = cursor.execute(query).fetchall()
    assert cursor.description[0].scale == described.scale
    assert described.type_code == (1 if described.scale is None else 0)
    return value, described.scale


@pytest.mark.parametrize(
    ("expression", "value", "scale"),
    [
        ("1 / 3", "0.333333", 6),
        ("-2 / 3", "-0.666667", 6),
        ("1 / 2000000", "0.000001", 6),
        ("-1 / 2000000", "-0.000001", 6),
        ("10.1 / 1.1", "9.1818182", 7),
        ("1::NUMBER(20, 8) / 3", "0.333333333333", 12),
        ("1::NUMBER(20, 14) / 3", "0.33333333333333", 14),
        ("1 / 3::NUMBER(20, 14)", "0.333333", 6),
        ("900719925474099300 / 0.01", "90071992547409930000.000000", 6),
        ("DIV0(1, 0)", "0", 6),
        ("1 / 3 / 7", "0.047619000000", 12),
    ],
)
def test_quotients_of_numbers_are_exact(cursor: Any, expression: str, value: str, scale: int) -> None:
    assert _one(cursor, f"SELECT {expression}") == (Decimal(value), scale)


@pytest.mark.parametrize("expression", ["1 / 4::FLOAT", "1::FLOAT / 4", "AVG(0.25::FLOAT)"])
def test_floats_stay_floats(cursor: Any, expression: str) -> None:
    assert _one(cursor, f"SELECT {expression}") == (0.25, None)


@pytest.mark.parametrize("expression", ["1 / 0", "1.5 / 0", "1::FLOAT / 0", "a / (a - a)", "SUM(a) / SUM(a - a)"])
def test_division_by_zero_fails(cursor: Any, expression: str) -> None:
    with pytest.raises(ProgrammingError) as failed:
        cursor.execute(f"SELECT {expression} FROM {_ROWS}")
    assert (failed.value.errno, failed.value.sqlstate) == (100_051, "22012")


def test_quotients_of_null_are_null_and_zero_guards_work(sql: Sql) -> None:
    assert sql(f"SELECT 1 / NULL, NULL / 1, IFF(a = 1, 0, 6 / (a - 1)) FROM {_ROWS} ORDER BY a") == [
        (None, None, Decimal(-3)),
        (None, None, Decimal(0)),
        (None, None, Decimal(6)),
    ]


def test_averages(cursor: Any) -> None:
    assert _one(cursor, f"SELECT AVG(a) FROM {_ROWS}") == (Decimal("0.666667"), 6)
    assert _one(cursor, f"SELECT AVG(b) FROM {_ROWS}") == (Decimal("3.58333333"), 8)
    assert _one(cursor, f"SELECT AVG(DISTINCT c) FROM {_ROWS}") == (2.25, None)
    assert _one(cursor, f"SELECT AVG(a) FROM {_ROWS} WHERE a > 9") == (None, 6)


def test_averages_over_windows_and_groups(sql: Sql) -> None:
    moving = "AVG(a) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
    assert sql(f"SELECT a, {moving} FROM {_ROWS} ORDER BY a") == [
        (-1, Decimal(-1)),
        (1, Decimal(0)),
        (2, Decimal("1.5")),
    ]
    assert sql(
        f"SELECT a / 2 r, AVG(b) / 2 q, q / 2 FROM {_ROWS} GROUP BY r HAVING AVG(b) / 2 > 1 ORDER BY AVG(b) / 2 DESC"
    ) == [
        (Decimal(1), Decimal("3.625"), Decimal("1.8125")),
        (Decimal("0.5"), Decimal("1.25"), Decimal("0.625")),
    ]
    assert sql(f"SELECT a FROM {_ROWS} QUALIFY ROW_NUMBER() OVER (ORDER BY b / a) = 2") == [(1,)]


def test_types_are_kept_in_tables_and_views(sql: Sql, cursor: Any) -> None:
    sql(f"CREATE TABLE t AS SELECT a / b q, AVG(a) OVER () m, c / 2 f FROM {_ROWS}")
    assert [row[1] for row in sql("DESC TABLE t")] == ["NUMBER(38,6)", "NUMBER(38,6)", "FLOAT"]
    sql("CREATE VIEW w AS SELECT AVG(q) x FROM t")
    assert _one(cursor, "SELECT x FROM w") == (Decimal("-0.108046000000"), 12)


def test_a_float_becomes_a_whole_number_rounded_half_away_from_zero(sql: Sql) -> None:
    sql("CREATE TABLE floats (x FLOAT)")
    sql("INSERT INTO floats VALUES (-2.5), (0.5), (1.5), (2.5), (NULL)")
    for text in ("x::INTEGER", "x::NUMBER(5, 0)", "CAST(x AS BIGINT)", "TO_NUMBER(x)", "x::NUMBER"):
        assert sql(f"SELECT {text} FROM floats ORDER BY x") == [(-3,), (1,), (2,), (3,), (None,)]
    assert sql("SELECT 2.5::FLOAT::INT, '2.5'::INT, 2.5::INT, TRUE::INT") == [(3, 3, 3, 1)]


def test_a_number_of_width_zero_holds_whole_numbers(sql: Sql) -> None:
    sql("CREATE TABLE widths (n NUMERIC(0, 0))")
    sql("INSERT INTO widths VALUES (12)")
    assert sql("SELECT n, 3::NUMBER(0, 0) FROM widths") == [(12, 3)]


def test_quotients_of_floats_are_floats(sql: Sql) -> None:
    sql("CREATE TABLE quotients (a NUMBER(10, 2), b NUMBER)")
    sql("INSERT INTO quotients VALUES (1.00, 3), (2.50, 0), (NULL, 1)")
    assert sql("SELECT SUM(a)::FLOAT / NULLIF(COUNT(b)::FLOAT, 0), 7::FLOAT / 2::FLOAT FROM quotients") == [
        (3.5 / 3, 3.5)
    ]
    assert sql("SELECT a::FLOAT / NULLIF(b::FLOAT, 0) AS q FROM quotients ORDER BY q NULLS LAST") == [
        (1 / 3,),
        (None,),
        (None,),
    ]
    with pytest.raises(ProgrammingError, match="Division by zero"):
        sql("SELECT a::FLOAT / b::FLOAT FROM quotients")
