"""COMMENT ON, kinds of tables in SHOW TABLES, and errors for missing objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError
from snowflake.snowpark import Session
from snowflake.snowpark.types import IntegerType

Sql = Callable[..., list[tuple[Any, ...]]]


def _shown(cursor: Any, statement: str, *columns: str) -> list[tuple[Any, ...]]:
    cursor.execute(statement)
    names = [column.name for column in cursor.description]
    return [tuple(row[names.index(column)] for column in columns) for row in cursor.fetchall()]


def test_comments_are_shown_until_the_object_is_dropped(cursor: Any, sql: Sql) -> None:
    sql("CREATE TABLE t (a INT) COMMENT = 'first'")
    sql("CREATE VIEW v AS SELECT a FROM t")
    assert _shown(cursor, "SHOW TABLES", "name", "comment") == [("T", "first")]
    sql("COMMENT ON TABLE t IS 'it''s new'")
    sql("COMMENT ON VIEW v IS 'seen'")
    sql("COMMENT ON COLUMN t.a IS 'id'")
    assert _shown(cursor, "SHOW TABLES", "name", "comment") == [("T", "it's new")]
    assert _shown(cursor, "SHOW VIEWS", "name", "comment") == [("V", "seen")]
    assert _shown(cursor, "SHOW COLUMNS IN TABLE t", "comment") == [("id",)]
    sql("DROP TABLE t")
    sql("CREATE TABLE t (a INT)")
    assert _shown(cursor, "SHOW TABLES", "name", "comment") == [("T", "")]


@pytest.mark.parametrize(
    ("statement", "errno"),
    [
        ("COMMENT ON TABLE nothing IS 'x'", 2003),
        ("COMMENT ON VIEW t IS 'x'", 2003),
        ("COMMENT ON COLUMN t.nothing IS 'x'", 2003),
        ("COMMENT ON SCHEMA public IS 'x'", 2),
    ],
)
def test_comments_on_missing_or_unsupported_objects_are_rejected(sql: Sql, statement: str, errno: int) -> None:
    sql("CREATE TABLE t (a INT)")
    with pytest.raises(ProgrammingError) as caught:
        sql(statement)
    assert caught.value.errno == errno
    sql("COMMENT IF EXISTS ON TABLE nothing IS 'x'")


def test_show_tables_lists_the_kinds_of_tables(cursor: Any, sql: Sql, schema: str) -> None:
    sql("CREATE TRANSIENT TABLE held (a INT)")
    sql("CREATE TABLE kept (a INT)")
    sql("CREATE TEMPORARY TABLE passing (a INT)")
    expected = [("HELD", "TRANSIENT"), ("KEPT", "TABLE"), ("PASSING", "TEMPORARY")]
    for statement in ("SHOW TABLES", "SHOW TERSE TABLES", f"SHOW TABLES IN SCHEMA {schema}", "SHOW OBJECTS"):
        assert _shown(cursor, statement, "name", "kind") == expected
    assert _shown(cursor, "SHOW TABLES LIKE 'pass%'", "name") == [("PASSING",)]
    sql("CREATE TEMPORARY TABLE kept (a INT)")
    assert _shown(cursor, "SHOW TABLES LIKE 'kept'", "kind") == [("TEMPORARY",)]
    sql("CREATE OR REPLACE TABLE held (a INT)")
    assert _shown(cursor, "SHOW TABLES LIKE 'held'", "kind") == [("TABLE",)]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT * FROM t AT(OFFSET => -60)", "time travel"),
        ("SELECT * FROM t BEFORE(STATEMENT => 'x')", "time travel"),
        ("UNDROP TABLE t", "UNDROP TABLE"),
        ("EXPLAIN SELECT * FROM t", "EXPLAIN"),
        ("CREATE PIPE p AS COPY INTO t FROM @s", "CREATE PIPE"),
        ("SELECT * FROM t PIVOT(SUM(a) FOR a IN (ANY))", "PIVOT over ANY"),
    ],
)
def test_missing_objects_give_a_single_sentence_error(sql: Sql, statement: str, words: str) -> None:
    sql("CREATE TABLE t (a INT)")
    with pytest.raises(ProgrammingError, match=words) as caught:
        sql(statement)
    assert (caught.value.errno, caught.value.sqlstate) == (2, "0A000")


def test_a_temporary_view_can_be_dropped(sql: Sql, schema: str) -> None:
    sql(f"CREATE SCOPED TEMPORARY VIEW {schema}.v AS SELECT 1 a")
    assert sql("SELECT a FROM v") == [(1,)]
    assert sql("DROP VIEW IF EXISTS v") == [("V successfully dropped.",)]
    with pytest.raises(ProgrammingError, match="does not exist"):
        sql("SELECT a FROM v")


def test_snowpark_creates_scoped_objects(snowpark: Session) -> None:
    assert snowpark._use_scoped_temp_objects
    frame = snowpark.range(3).to_df("x").cache_result()
    double = snowpark.udf.register(lambda x: 2 * x, return_type=IntegerType(), input_types=[IntegerType()])
    assert sorted(row[0] for row in frame.select(double("x")).collect()) == [0, 2, 4]
    assert ("TEMPORARY",) in _shown(snowpark.connection.cursor(), "SHOW TABLES", "kind")


def test_aliased_values_have_numbered_columns(sql: Sql) -> None:
    assert sql("SELECT column1, v.column2 FROM (VALUES (1, 'a'), (2, 'b')) v ORDER BY 1") == [(1, "a"), (2, "b")]
    assert sql("SELECT v.$2, $1 FROM (VALUES (1, 'a')) v") == [("a", 1)]
