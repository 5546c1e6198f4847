"""The names of columns without an alias, and columns by their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("projection", "name"),
    [
        ('count( distinct "c c")', 'COUNT( DISTINCT "C C")'),
        ("\"c c\" || 'v'", "\"C C\" || 'V'"),
        ("case  when x = 1 then 'a' end", "CASE  WHEN X = 1 THEN 'A' END"),
        ("x :: string", "X :: STRING"),
        ("cast (x as string(23))", "CAST (X AS STRING(23))"),
        ("sum(x) over (  )", "SUM(X) OVER (  )"),
        ("-x", "-X"),
    ],
)
def test_a_column_without_an_alias_is_named_by_its_text_in_upper_case(cursor: Any, projection: str, name: str) -> None:
    query = f"SELECT {projection} FROM (SELECT 1 AS x, 'a' AS \"c c\")" + (" GROUP BY x" if "OVER" in name else "")
    assert [column.name for column in cursor.describe(query)] == [name]
    assert [column.name for column in cursor.execute(query).description] == [name]


def test_names_may_repeat(cursor: Any) -> None:
    query = 'SELECT x AS a, y AS a, y AS "a" FROM (SELECT 1 AS x, 2 AS y)'
    assert [column.name for column in cursor.describe(query)][:2] == ["A", "A"]
    assert [column.name for column in cursor.execute(query).description][:2] == ["A", "A"]
    for kind in ("TABLE", "VIEW"):
        with pytest.raises(ProgrammingError, match="duplicate column name 'A'"):
            cursor.execute(f"CREATE {kind} twice AS SELECT 1 AS a, 2 AS a")


def test_a_bound_value_keeps_its_placeholder_in_the_name(cursor: Any) -> None:
    assert [column.name for column in cursor.execute("SELECT ?, ? + 1", (1, 2)).description] == ["?", "? + 1"]
    assert cursor.fetchall() == [(1, 3)]


def test_a_view_and_an_outer_query_read_columns_by_these_names(sql: Sql) -> None:
    sql("CREATE VIEW v AS SELECT count( *) FROM VALUES (1), (2)")
    assert sql('SELECT "COUNT( *)" FROM v') == [(2,)]


def test_a_column_is_read_by_its_number(sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT 3 AS \"a b\", 'x' AS c")
    assert sql("SELECT $2, $1 + 1 FROM t ORDER BY $1") == [("x", 4)]
    assert sql('SELECT "$1" FROM (SELECT 5 AS x, 6) WHERE "$1" > 1') == [(5,)]
    assert sql("SELECT u.$2, $1 FROM (SELECT * FROM t UNION ALL SELECT * FROM t) u LIMIT 1") == [("x", 3)]
    assert sql("SELECT c FROM t, (SELECT $1 AS z FROM VALUES (3)) WHERE $1 = z") == [("x",)]
    with pytest.raises(ProgrammingError, match=r"000904 .*\n.*\ninvalid identifier '\$3'"):
        sql("SELECT $3 FROM t")


def test_an_untyped_null_is_cast_to_a_number(sql: Sql) -> None:
    assert sql("SELECT a::INT FROM (SELECT NULL AS a)") == [(None,)]


def test_a_join_without_a_condition_joins_all_rows(sql: Sql) -> None:
    one, none = "(SELECT 1 AS a) AS l", "(SELECT 2 AS b WHERE FALSE) AS r"
    assert sql(f"SELECT * FROM ({one} INNER JOIN (SELECT 2 AS b) AS r)") == [(1, 2)]
    assert sql(f"SELECT * FROM ({one} LEFT OUTER JOIN {none})") == [(1, None)]
    assert sql(f"SELECT * FROM {one} LEFT JOIN {none}") == [(1, None)]
    assert sql(f"SELECT * FROM {one} JOIN (SELECT 2 AS b) AS r") == [(1, 2)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT * FROM l JOIN r USING (k, j)", ["K", "J", "A", "B"]),
        ("SELECT * FROM l JOIN r USING (j)", ["J", "A", "K", "K", "B"]),
        ("SELECT * FROM l NATURAL JOIN r", ["K", "J", "A", "B"]),
        ("SELECT 0 AS z, *, 1 AS o FROM l FULL JOIN r USING (k, j)", ["Z", "K", "J", "A", "B", "O"]),
        ("SELECT * EXCLUDE (k, b) FROM l JOIN r USING (k, j)", ["J", "A"]),
        ("SELECT * RENAME (b AS c) FROM l JOIN r USING (k, j)", ["K", "J", "A", "C"]),
        ("SELECT * FROM ((SELECT a, k FROM l) AS x INNER JOIN (SELECT b, k FROM r) AS y USING (k))", ["K", "A", "B"]),
        ("WITH w AS (SELECT * FROM r) SELECT * FROM l NATURAL RIGHT JOIN w", ["K", "J", "A", "B"]),
        ("SELECT x.*, y.b FROM l AS x JOIN r AS y USING (k, j)", ["A", "K", "J", "B"]),
    ],
)
def test_a_star_has_the_columns_of_using_first(cursor: Any, sql: Sql, query: str, names: list[str]) -> None:
    sql("CREATE TABLE l (a INT, k INT, j INT)")
    sql("CREATE TABLE r (k INT, b INT, j INT)")
    assert [column.name for column in cursor.describe(query)] == names
    assert [column[0] for column in cursor.execute(query).description] == names


def test_columns_of_using_have_the_value_of_the_side_that_has_a_row(sql: Sql) -> None:
    joined = "(SELECT 1 AS a, 2 AS k) AS l {} JOIN (SELECT 3 AS b, 4 AS k) AS r USING (k) ORDER BY 1"
    assert sql(f"SELECT * FROM {joined.format('LEFT')}") == [(2, 1, None)]
    assert sql(f"SELECT * FROM {joined.format('RIGHT')}") == [(4, None, 3)]
    assert sql(f"SELECT * FROM {joined.format('FULL')}") == [(2, 1, None), (4, None, 3)]
    assert sql("SELECT $1, $2 FROM (SELECT 1 AS a, 2 AS k) AS l JOIN (SELECT 2 AS k) AS r USING (k)") == [(2, 1)]
