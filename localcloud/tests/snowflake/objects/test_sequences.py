"""Sequences: their values in statements and in column defaults, and the columns that count."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


def _fails(sql: Sql, statement: str) -> tuple[int | None, str]:
    with pytest.raises(ProgrammingError) as caught:
        sql(statement)
    return caught.value.errno, str(caught.value)


def test_values_begin_at_start_and_advance_by_increment(sql: Sql) -> None:
    sql("CREATE SEQUENCE s START WITH = 5 INCREMENT BY = -10")
    assert [sql("SELECT s.NEXTVAL")[0][0] for _ in range(3)] == [5, -5, -15]
    sql("CREATE OR REPLACE SEQUENCE s WITH START 3")
    assert sql("SELECT s.NEXTVAL") == [(3,)]
    sql("CREATE OR REPLACE SEQUENCE s")
    assert sql("SELECT s.NEXTVAL") == [(1,)]


def test_every_reference_in_a_row_is_a_value_of_its_own(sql: Sql, schema: str) -> None:
    sql("CREATE SEQUENCE s")
    assert sql(f"SELECT s.nextval, s.nextval, {schema}.s.nextval, SNOWSAGE.{schema}.s.nextval") == [(1, 2, 3, 4)]
    rows = sql("SELECT s.nextval AS a, s.nextval AS b FROM TABLE(GENERATOR(ROWCOUNT => 5000))")
    values = {value for row in rows for value in row}
    assert len(values) == 10_000
    assert (min(values), max(values)) == (5, 10_004)


def test_the_column_is_named_nextval(cursor: Any) -> None:
    cursor.execute("CREATE SEQUENCE s")
    cursor.execute("SELECT s.nextval, s.nextval AS id")
    assert [column.name for column in cursor.description] == ["NEXTVAL", "ID"]


def test_values_in_insert_update_and_merge(sql: Sql) -> None:
    sql("CREATE SEQUENCE s")
    sql("CREATE TABLE t (id INT, v INT)")
    sql("INSERT INTO t VALUES (s.nextval, 10), (s.nextval, 20)")
    sql("INSERT INTO t SELECT s.nextval, v + 100 FROM t")
    assert sql("SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,), (4,)]
    sql("UPDATE t SET id = s.nextval WHERE v < 100")
    assert sql("SELECT id FROM t ORDER BY id") == [(3,), (4,), (5,), (6,)]
    merged = "MERGE INTO t USING (SELECT 10 AS v UNION ALL SELECT 30) n ON t.v = n.v WHEN MATCHED THEN UPDATE SET "
    sql(f"{merged} id = s.nextval WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.nextval, n.v)")
    values = [value for (value,) in sql("SELECT id FROM t WHERE v IN (10, 30)")]
    assert len(set(values)) == 2
    assert min(values) > 6
    sql("CREATE TABLE u AS SELECT s.nextval AS id, v FROM t")
    assert sql("SELECT COUNT(DISTINCT id) FROM u") == [(5,)]


def test_defaults_of_columns(sql: Sql, schema: str) -> None:
    sql("CREATE SEQUENCE s START 7")
    sql("CREATE TABLE t (id INT DEFAULT s.nextval, v INT)")
    sql("INSERT INTO t (v) VALUES (1), (2)")
    sql("INSERT INTO t VALUES (DEFAULT, 3), (100, 4)")
    sql("MERGE INTO t USING (SELECT 5 AS v) n ON t.v = n.v WHEN NOT MATCHED THEN INSERT (v) VALUES (n.v)")
    assert sql("SELECT id, v FROM t ORDER BY v")[:4] == [(7, 1), (8, 2), (9, 3), (100, 4)]
    assert sql("DESCRIBE TABLE t")[0][4] == f"SNOWSAGE.{schema}.S.NEXTVAL"
    sql("DROP SEQUENCE s")
    errno, text = _fails(sql, "INSERT INTO t (v) VALUES (6)")
    assert errno == 2003
    assert f"Sequence 'SNOWSAGE.{schema}.S' does not exist or not authorized." in text


def test_getnextval_returns_one_value_per_row(sql: Sql) -> None:
    sql("CREATE SEQUENCE s")
    sql("CREATE TABLE t (v INT)")
    sql("INSERT INTO t VALUES (10), (20), (30)")
    rows = sql("SELECT n.nextval, n.nextval + 100, v FROM t, TABLE(GETNEXTVAL(s)) n WHERE v > 10 ORDER BY v")
    assert [second - first for first, second, _ in rows] == [100, 100]
    assert len({first for first, _, _ in rows}) == 2
    assert len({row[1] for row in sql("SELECT * FROM t a JOIN TABLE(GETNEXTVAL(s))")}) == 3
    assert len(sql("SELECT * FROM TABLE(GETNEXTVAL(s))")) == 1
    (both,) = sql("SELECT a.nextval, b.nextval FROM t, TABLE(GETNEXTVAL(s)) a, TABLE(GETNEXTVAL(s)) b WHERE v = 10")
    assert len(set(both)) == 2
    flattened = sql(
        "SELECT n.nextval, f.value::INT FROM (SELECT 1 AS one), TABLE(GETNEXTVAL(s)) n, "
        "LATERAL FLATTEN(INPUT => ARRAY_CONSTRUCT(1, 2)) f ORDER BY 2"
    )
    assert [value for _, value in flattened] == [1, 2]
    assert len({value for value, _ in flattened}) == 1
    assert "put the join into a subquery" in _fails(sql, "SELECT 1 FROM t a, t b, TABLE(GETNEXTVAL(s))")[1]


def test_a_column_named_nextval_is_not_a_sequence(sql: Sql) -> None:
    sql("CREATE SEQUENCE x")
    assert sql("SELECT x.nextval, x.nextval + 1, nextval FROM (SELECT 41 AS nextval) x") == [(41, 42, 41)]


def test_a_view_takes_a_value_each_time_it_is_read(sql: Sql) -> None:
    sql("CREATE SEQUENCE s")
    sql("CREATE VIEW v AS SELECT s.nextval AS n")
    assert [sql("SELECT n FROM v"), sql("SELECT n FROM v")] == [[(1,)], [(2,)]]


def test_values_are_not_rolled_back_and_differ_between_sessions(
    connect: Callable[..., Any], sql: Sql, schema: str
) -> None:
    sql("CREATE SEQUENCE s")
    sql("CREATE TABLE t (id INT DEFAULT s.nextval, v INT)")
    connections = [connect(schema=schema) for _ in range(3)]

    def take(connection: Any) -> list[int]:
        cursor = connection.cursor()
        return [cursor.execute("SELECT s.nextval").fetchone()[0] for _ in range(20)]

    with ThreadPoolExecutor(3) as threads:
        taken = [value for values in threads.map(take, connections) for value in values]
    assert sorted(taken) == list(range(1, 61))
    cursor = connections[0].cursor()
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO t (v) VALUES (1)")
    cursor.execute("ROLLBACK")
    assert sql("SELECT s.nextval") == [(62,)]
    for connection in connections:
        connection.close()


def test_alter_sequence(sql: Sql, schema: str) -> None:
    sql("CREATE SEQUENCE s INCREMENT 2")
    assert sql("SELECT s.nextval") == [(1,)]
    sql("ALTER SEQUENCE s SET INCREMENT BY 10 COMMENT = 'tens'")
    # The next value is fixed already; the new interval counts from it.
    assert [sql("SELECT s.nextval")[0][0] for _ in range(2)] == [3, 13]
    sql("ALTER SEQUENCE s INCREMENT = 1")
    sql("ALTER SEQUENCE s SET ORDER")
    (row,) = sql(f"SHOW SEQUENCES IN SCHEMA {schema}")
    assert (row[0], row[3], row[4], row[7], row[9]) == ("S", 23, 1, "tens", "Y")
    sql("ALTER SEQUENCE s UNSET COMMENT")
    (row,) = sql("DESCRIBE SEQUENCE s")
    assert (row[:5], row[7]) == (("S", "SNOWSAGE", schema, 23, 1), "")
    assert sql("ALTER SEQUENCE IF EXISTS nowhere SET NOORDER") == [("Statement executed successfully.",)]


def test_a_clone_counts_independently(sql: Sql) -> None:
    sql("CREATE SEQUENCE s START 4 INCREMENT 2")
    sql("SELECT s.nextval")
    sql("CREATE SEQUENCE c CLONE s")
    assert sql("SELECT c.nextval, c.nextval, s.nextval") == [(6, 8, 6)]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("CREATE SEQUENCE s INCREMENT 0", 1008),
        ("CREATE SEQUENCE s START 1 START 2", 1427),
        ("CREATE SEQUENCE s ORDER NOORDER", 1427),
        ("CREATE SEQUENCE s START 9223372036854775808", 1008),
        ("CREATE SEQUENCE s START", 1003),
        ("CREATE SEQUENCE s CACHE 5", 1003),
        ("CREATE TEMPORARY SEQUENCE s", 1003),
        ("ALTER SEQUENCE t SET START 1", 1003),
        ("ALTER SEQUENCE t SET", 1003),
        ("SELECT nowhere.nextval", 904),
        ("SELECT * FROM TABLE(GETNEXTVAL(nowhere))", 2003),
        ("SELECT * FROM TABLE(GETNEXTVAL(1))", 1044),
        ("CREATE TABLE x (a INT IDENTITY(1, 0))", 1008),
    ],
)
def test_invalid_statements_are_rejected(sql: Sql, statement: str, code: int) -> None:
    sql("CREATE SEQUENCE t")
    assert _fails(sql, statement)[0] == code


def test_values_are_limited_to_64_bits(sql: Sql) -> None:
    sql("CREATE SEQUENCE s START 9223372036854775807")
    assert sql("SELECT s.nextval") == [(9_223_372_036_854_775_807,)]
    assert _fails(sql, "SELECT s.nextval")[0] == 100_038
    assert sql("DESCRIBE SEQUENCE s")[0][3] is None


def test_autoincrement_and_identity_columns(sql: Sql) -> None:
    sql(
        "CREATE TABLE t (a INT AUTOINCREMENT, b NUMBER IDENTITY(10, 5) NOT NULL, "
        "c INT AUTOINCREMENT START -1 INCREMENT -2 ORDER, d VARCHAR)"
    )
    sql("INSERT INTO t (d) VALUES ('x'), ('y')")
    sql("INSERT INTO t (a, d) VALUES (100, 'z')")
    sql("INSERT INTO t VALUES (DEFAULT, DEFAULT, DEFAULT, 'w')")
    assert sql("SELECT * FROM t ORDER BY b") == [
        *[(1, 10, -1, "x"), (2, 15, -3, "y"), (100, 20, -5, "z"), (3, 25, -7, "w")]
    ]
    assert [row[4] for row in sql("DESCRIBE TABLE t")] == [
        "IDENTITY START 1 INCREMENT 1 NOORDER",
        "IDENTITY START 10 INCREMENT 5 NOORDER",
        "IDENTITY START -1 INCREMENT -2 ORDER",
        None,
    ]


def test_an_identity_column_can_only_be_added_to_an_empty_table(sql: Sql) -> None:
    sql("CREATE TABLE t (v INT)")
    sql("ALTER TABLE t ADD COLUMN id INT AUTOINCREMENT")
    sql("INSERT INTO t (v) VALUES (5), (6)")
    assert sql("SELECT v, id FROM t ORDER BY id") == [(5, 1), (6, 2)]
    assert "non-empty table" in _fails(sql, "ALTER TABLE t ADD COLUMN other INT IDENTITY")[1]


def test_a_replaced_table_counts_from_the_start(sql: Sql) -> None:
    for _ in range(2):
        sql("CREATE OR REPLACE TABLE t (id INT AUTOINCREMENT, v INT)")
        sql("INSERT INTO t (v) VALUES (1)")
        assert sql("SELECT id FROM t") == [(1,)]
    sql("CREATE TEMPORARY TABLE u (id INT IDENTITY, v INT)")
    sql("INSERT INTO u (v) VALUES (1), (2)")
    assert sql("SELECT id FROM u ORDER BY id") == [(1,), (2,)]
