"""Names in double quotes keep their case: another spelling is another name, for every kind of object and for columns."""

from __future__ import annotations

from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError


@pytest.fixture
def cursor(connection: Any, schema: str) -> Any:
    """A schema with a table in capitals and one whose columns are written in lower case."""
    cursor = connection.cursor()
    for sql in (
        "CREATE TABLE flights (id INT, a INT)",
        "INSERT INTO flights VALUES (1, 2), (3, 4)",
        'CREATE TABLE frame ("id" INT, "val" INT, "Name" VARCHAR)',
        "INSERT INTO frame VALUES (1, 10, 'x'), (2, 20, 'y')",
    ):
        cursor.execute(sql)
    return cursor


def _error(cursor: Any, sql: str) -> tuple[int | None, str]:
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute(sql)
    return caught.value.errno, str(caught.value.msg)


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT * FROM "flights"',
        'SELECT * FROM "Flights" f JOIN flights ON TRUE',
        "SELECT * FROM IDENTIFIER('\"flights\"')",
        'INSERT INTO "flights" VALUES (1, 2)',
        'UPDATE "flights" SET a = 1',
        'DELETE FROM "flights"',
        'TRUNCATE TABLE "flights"',
        'MERGE INTO flights USING "flights" s ON s.id = flights.id WHEN MATCHED THEN DELETE',
        'DROP TABLE "flights"',
        'DESCRIBE TABLE "flights"',
        'ALTER TABLE "flights" ADD COLUMN x INT',
        'ALTER TABLE flights SWAP WITH "frame"',
        'CREATE TABLE copied CLONE "flights"',
        'CREATE TABLE copied LIKE "flights"',
        'CREATE VIEW seen AS SELECT * FROM "flights"',
        'CREATE STREAM followed ON TABLE "flights"',
        'COPY INTO "flights" FROM @~/none',
        'DROP SCHEMA "public"',
        'SELECT * FROM "snowsage".PUBLIC.t',
        'SELECT * FROM "information_schema".TABLES',
    ],
)
def test_an_object_in_another_spelling_does_not_exist(cursor: Any, sql: str) -> None:
    assert _error(cursor, sql)[0] == 2003


def test_a_drop_of_another_spelling_drops_nothing(cursor: Any) -> None:
    cursor.execute('DROP TABLE IF EXISTS "flights"')
    assert cursor.execute("SELECT COUNT(*) FROM flights").fetchone() == (2,)


@pytest.mark.parametrize(
    ("create", "call", "other"),
    [
        ('CREATE SEQUENCE "s"', 'SELECT "s".NEXTVAL', "SELECT s.NEXTVAL"),
        ('CREATE STAGE "s"', 'LIST @"s"', "LIST @s"),
        (
            'CREATE OR REPLACE TEMPORARY VIEW "cased_v" AS SELECT 1 AS x',
            'SELECT * FROM "cased_v"',
            "SELECT * FROM cased_v",
        ),
        ('CREATE TEMPORARY TABLE "t" AS SELECT 1 AS x', 'SELECT * FROM "t"', "SELECT * FROM t"),
        ('CREATE STREAM "st" ON TABLE frame', 'SELECT * FROM "st"', "SELECT * FROM st"),
        ('CREATE TASK "tk" AS SELECT 1', 'DESCRIBE TASK "tk"', "DESCRIBE TASK tk"),
        (
            "CREATE FUNCTION \"f\"(x INT) RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'h' "
            "AS 'def h(x): return x'",
            'SELECT "f"(1)',
            "SELECT f(1)",
        ),
        ('CREATE SCHEMA IF NOT EXISTS "cased"', 'USE SCHEMA "cased"', "USE SCHEMA cased"),
    ],
)
def test_every_kind_of_object_keeps_its_case(cursor: Any, create: str, call: str, other: str) -> None:
    cursor.execute(create)
    assert _error(cursor, other)[0] in (2003, 904, 2140, 2043)
    cursor.execute(call)


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT id FROM (SELECT 1 AS "Id")',
        'SELECT "id" FROM flights',
        "SELECT id FROM frame",
        "SELECT frame.name FROM frame",
        "SELECT * EXCLUDE name FROM frame",
        'SELECT f.id FROM flights AS "f"',
        'SELECT val FROM frame WHERE "id" = 1',
        "SELECT 1 FROM frame WHERE val + 1 > 2",
        'SELECT "val" FROM frame GROUP BY val',
        'WITH a AS (SELECT 1 AS "Id"), b AS (SELECT 2 AS id) SELECT a.id FROM a, b',
        'SELECT frame."id" FROM frame JOIN frame AS f USING (id)',
        "INSERT INTO frame (id) VALUES (1)",
        'INSERT INTO flights ("id") SELECT 1',
        "UPDATE frame SET val = 1",
        'UPDATE frame SET "val" = 1 WHERE id = 1',
        'UPDATE frame SET "val" = s.val FROM (SELECT 1 AS "val") s',
        "DELETE FROM frame WHERE id = 1",
        'MERGE INTO frame USING (SELECT 1 AS "id") s ON frame."id" = s.id WHEN MATCHED THEN DELETE',
        'MERGE INTO frame USING flights s ON frame."id" = s.id WHEN MATCHED THEN UPDATE SET val = 1',
        'MERGE INTO frame USING flights s ON frame."id" = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)',
        "ALTER TABLE frame DROP COLUMN val",
        "ALTER TABLE frame RENAME COLUMN val TO x",
        'ALTER TABLE flights ALTER COLUMN "a" DROP NOT NULL',
        "CREATE VIEW v AS SELECT name FROM frame",
        "CREATE TABLE made AS SELECT id FROM frame",
        "COPY INTO frame (name) FROM @~/none",
        'SELECT "value" FROM TABLE(FLATTEN(INPUT => ARRAY_CONSTRUCT(1)))',
    ],
)
def test_a_column_in_another_spelling_is_an_invalid_identifier(cursor: Any, sql: str) -> None:
    assert _error(cursor, sql)[0] == 904


def test_the_error_shows_the_name_as_it_is_written(cursor: Any) -> None:
    assert "invalid identifier '\"id\"'" in _error(cursor, 'SELECT "id" FROM flights')[1]
    assert "invalid identifier 'ID'" in _error(cursor, "SELECT id FROM frame")[1]


@pytest.mark.parametrize(
    ("sql", "names", "rows"),
    [
        ('SELECT "Id", ID FROM (SELECT 1 AS "Id", 2 AS id)', ["Id", "ID"], [(1, 2)]),
        ('SELECT "id" AS id, "val" AS "VAL" FROM frame ORDER BY id', ["ID", "VAL"], [(1, 10), (2, 20)]),
        ('SELECT id AS "id" FROM flights ORDER BY "id" DESC', ["id"], [(3,), (1,)]),
        ('SELECT id AS "id" FROM flights UNION SELECT "id" FROM frame ORDER BY "id"', ["id"], [(1,), (2,), (3,)]),
        ('SELECT MAX("val") AS "VAL" FROM frame GROUP BY "Name" HAVING val > 10', ["VAL"], [(20,)]),
        ('SELECT a + 1 AS "a" FROM flights WHERE "a" > 3', ["a"], [(5,)]),
        ('SELECT * EXCLUDE "Name" FROM frame WHERE "id" = 1', ["id", "val"], [(1, 10)]),
        ('SELECT f.id, g."id" FROM flights f JOIN frame g ON f.id = g."id"', ["ID", "id"], [(1, 1)]),
        ('SELECT OBJECT_CONSTRUCT(*):id::INT AS ID FROM frame WHERE "id" = 2', ["ID"], [(2,)]),
        ('WITH x AS (SELECT "id" AS id FROM frame) SELECT id AS "id" FROM x WHERE id = 2', ["id"], [(2,)]),
        ('SELECT ROW_NUMBER() OVER (ORDER BY "val") AS "VAL" FROM frame QUALIFY val = 2', ["VAL"], [(2,)]),
    ],
)
def test_each_spelling_is_a_name_of_its_own(
    cursor: Any, sql: str, names: list[str], rows: list[tuple[Any, ...]]
) -> None:
    cursor.execute(sql)
    assert [column.name for column in cursor.description] == names
    assert cursor.fetchall() == rows
    assert [column.name for column in cursor.describe(sql)] == names


def test_changes_take_columns_in_both_spellings(cursor: Any) -> None:
    merge = (
        'MERGE INTO flights USING (SELECT "id" AS id, "val" FROM frame) s ON flights.id = s.id '
        'WHEN MATCHED THEN UPDATE SET a = s."val" WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, s."val")'
    )
    cursor.execute(merge)
    assert cursor.execute("SELECT * FROM flights ORDER BY id").fetchall() == [(1, 10), (2, 20), (3, 4)]
    cursor.execute('UPDATE frame SET "val" = flights.a + 1 FROM flights WHERE flights.id = frame."id"')
    cursor.execute('DELETE FROM frame WHERE "id" IN (SELECT id FROM flights WHERE id = 2)')
    assert cursor.execute('SELECT "id", "val" FROM frame').fetchall() == [(1, 11)]
    cursor.execute('INSERT INTO flights (a, id) SELECT "val", "id" AS ID FROM frame')
    assert cursor.execute("SELECT COUNT(*) FROM flights WHERE id = 1").fetchone() == (2,)


def test_views_and_new_tables_have_their_columns_as_written(cursor: Any) -> None:
    cursor.execute('CREATE VIEW v AS SELECT "id" AS id, "val" * 2 AS val, "Name" FROM frame')
    cursor.execute(
        'CREATE TABLE made AS SELECT v.*, "val" + 1 AS "big" FROM v JOIN (SELECT "val" FROM frame) ON val = "val" * 2'
    )
    for name, columns in (("v", ["ID", "VAL", "Name"]), ("made", ["ID", "VAL", "Name", "big"])):
        assert [column.name for column in cursor.describe(f"SELECT * FROM {name}")] == columns
    assert cursor.execute('SELECT val, "big" FROM made ORDER BY id').fetchall() == [(20, 11), (40, 21)]
    cursor.execute("CREATE STREAM changes ON TABLE frame")
    cursor.execute("INSERT INTO frame VALUES (3, 30, 'z')")
    assert cursor.execute('SELECT "id" AS id, METADATA$ACTION AS "action" FROM changes').fetchall() == [(3, "INSERT")]


@pytest.mark.parametrize(
    "sql",
    [
        'CREATE TABLE "Flights" (x INT)',
        'CREATE VIEW "Flights" AS SELECT 1 AS x',
        "CREATE DYNAMIC TABLE \"Flights\" TARGET_LAG = '1 minute' WAREHOUSE = compute_wh AS SELECT 1 AS x",
        'ALTER TABLE frame RENAME TO "flights"',
        'CREATE SCHEMA "public"',
        'CREATE DATABASE "snowsage"',
        'CREATE TABLE two ("a" INT, A INT)',
        'CREATE TABLE two AS SELECT "id", 1 AS ID FROM frame',
        'CREATE VIEW two AS SELECT "id", 1 AS ID FROM frame',
        "ALTER TABLE frame ADD COLUMN id INT",
        'ALTER TABLE frame RENAME COLUMN "val" TO ID',
    ],
)
def test_two_stored_names_that_differ_only_in_case_are_refused(cursor: Any, sql: str) -> None:
    errno, text = _error(cursor, sql)
    assert (errno, "two names that differ only in case" in text) == (2, True)


def test_names_in_capitals_only_are_not_looked_up(cursor: Any) -> None:
    """Statements without two spellings of one name run as DuckDB takes them."""
    assert cursor.execute('SELECT "id" FROM frame WHERE "val" = 10 ORDER BY "id"').fetchall() == [(1,)]
    assert cursor.execute('SELECT "ID", Id, id AS x FROM FLIGHTS WHERE iD = 1').fetchall() == [(1, 1, 1)]
