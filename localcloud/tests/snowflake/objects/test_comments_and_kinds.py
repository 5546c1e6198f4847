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


def test_a_view_is_created_with_a_comment(cursor: Any, sql: Sql) -> None:
    sql("CREATE VIEW v COMMENT = 'it''s first' AS SELECT 1 a")
    assert _shown(cursor, "SHOW OBJECTS LIKE 'V'", "kind", "comment") == [("VIEW", "it's first")]
    sql("CREATE OR REPLACE VIEW v COPY GRANTS COMMENT = 'second' AS SELECT 2 a")
    assert _shown(cursor, "SHOW VIEWS", "comment") == [("second",)]
    sql("CREATE OR REPLACE VIEW v AS SELECT 3 a")
    assert _shown(cursor, "SHOW VIEWS", "comment") == [("",)]


@pytest.mark.parametrize("kind", ["TABLE", "TEMPORARY TABLE", "TRANSIENT TABLE"])
def test_columns_of_a_table_have_comments(cursor: Any, sql: Sql, kind: str) -> None:
    sql(f"CREATE {kind} t (a INT COMMENT 'it''s a', b VARCHAR NOT NULL, c INT) COMMENT = 'of the table'")
    sql("ALTER TABLE t ALTER COLUMN b COMMENT 'about b'")
    sql("ALTER TABLE t ADD COLUMN d DATE COMMENT 'about d'")
    found = [("A", "it's a"), ("B", "about b"), ("C", None), ("D", "about d")]
    assert _shown(cursor, "DESCRIBE TABLE t", "name", "comment") == found
    assert _shown(cursor, "SHOW TABLES", "name", "comment") == [("T", "of the table")]
    sql("COMMENT ON COLUMN t.b IS 'changed'")
    assert _shown(cursor, "DESCRIBE TABLE t", "comment")[1] == ("changed",)
    with pytest.raises(ProgrammingError, match="'NOTHING' does not exist"):
        sql("ALTER TABLE t ALTER COLUMN nothing COMMENT 'x'")
    sql(f"CREATE OR REPLACE {kind} t (a INT)")
    assert _shown(cursor, "DESCRIBE TABLE t", "name", "comment") == [("A", None)]


def test_a_renamed_object_keeps_its_comments(cursor: Any, sql: Sql) -> None:
    sql("CREATE TRANSIENT TABLE t (a INT COMMENT 'column') COMMENT = 'table'")
    sql("CREATE VIEW v COMMENT = 'view' AS SELECT a FROM t")
    sql("ALTER VIEW v RENAME TO w")
    sql("ALTER TABLE t RENAME TO u")
    assert _shown(cursor, "SHOW TABLES", "name", "kind", "comment") == [("U", "TRANSIENT", "table")]
    assert _shown(cursor, "DESCRIBE TABLE u", "comment") == [("column",)]
    assert _shown(cursor, "SHOW VIEWS", "name", "comment") == [("W", "view")]


def test_views_are_shown_as_they_were_written(cursor: Any, sql: Sql, schema: str) -> None:
    text = "CREATE OR REPLACE VIEW v (x COMMENT 'it''s x', y) COMMENT = 'seen' AS\nSELECT 1 AS a, 'b'::VARCHAR /* b */"
    sql(text)
    assert _shown(cursor, "SHOW VIEWS", "text", "comment") == [(text, "seen")]
    query = f"SELECT view_definition, comment FROM information_schema.views WHERE table_schema = '{schema}'"
    assert sql(query) == [(text, "seen")]
    assert _shown(cursor, "DESCRIBE VIEW v", "name", "comment") == [("X", "it's x"), ("Y", None)]
    comments = f"SELECT comment FROM information_schema.columns WHERE table_schema = '{schema}' ORDER BY column_name"
    assert sql(comments) == [("it's x",), (None,)]
    sql("CREATE OR REPLACE VIEW v AS SELECT 2 AS z")
    assert _shown(cursor, "SHOW VIEWS", "text", "comment") == [("CREATE OR REPLACE VIEW v AS SELECT 2 AS z", "")]


def test_tables_of_other_databases_and_temporary_views_are_described(cursor: Any, sql: Sql, schema: str) -> None:
    sql(f"CREATE DATABASE elsewhere_{schema}")
    sql(f"CREATE TABLE elsewhere_{schema}.public.t (x INT)")
    sql(f"USE SCHEMA snowsage.{schema}")
    assert _shown(cursor, f"DESCRIBE TABLE elsewhere_{schema}.public.t", "name", "type") == [("X", "NUMBER(38,0)")]
    sql("CREATE TEMPORARY VIEW passing AS SELECT 'a' AS y")
    assert _shown(cursor, "DESCRIBE VIEW passing", "name") == [("Y",)]
    with pytest.raises(ProgrammingError, match="Table 'NOTHING' does not exist") as missing:
        sql("DESCRIBE TABLE nothing")
    assert missing.value.errno == 2003
    sql(f"DROP DATABASE elsewhere_{schema}")


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
