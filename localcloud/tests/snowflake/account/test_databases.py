"""Databases and schemas that are replaced or dropped, by this session or another, and those with names of DuckDB's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

_numbers = itertools.count(1)


@pytest.fixture
def database(connect: Callable[..., Any]) -> Any:
    """A new database with a table, a procedure and a session that uses it."""
    name = f"OWN{next(_numbers)}"
    cursor = connect().cursor()
    cursor.execute(f"CREATE DATABASE {name}")
    cursor.execute(f"CREATE TABLE {name}.PUBLIC.X AS SELECT 1 AS a")
    cursor.execute(
        f"CREATE PROCEDURE {name}.PUBLIC.P() RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' "
        "PACKAGES = ('snowflake-snowpark-python') HANDLER = 'h' AS 'def h(s): return 1'"
    )
    yield name
    cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def _fails(cursor: Any, sql: str) -> int:
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute(sql)
    assert caught.value.errno is not None
    return int(caught.value.errno)


def test_a_replaced_database_is_empty_for_every_session(connect: Callable[..., Any], database: str) -> None:
    one, other = (
        connect(database=database, schema="PUBLIC").cursor(),
        connect(database=database, schema="PUBLIC").cursor(),
    )
    other.execute("CREATE TEMPORARY TABLE mine AS SELECT 7 AS b")
    one.execute(f"CREATE OR REPLACE DATABASE {database}")
    for cursor in (one, other):
        assert _fails(cursor, "SELECT * FROM x") == 2003
        assert _fails(cursor, f"CALL {database}.PUBLIC.P()") == 2141
        assert cursor.execute("SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()").fetchall() == [(database, "PUBLIC")]
    other.execute("CREATE TABLE x AS SELECT 2 AS a")
    assert one.execute("SELECT a FROM x").fetchall() == [(2,)]


@pytest.mark.parametrize("drop", ["DROP DATABASE {0}", "DROP SCHEMA {0}.PUBLIC"])
def test_procedures_are_dropped_with_their_schema(connect: Callable[..., Any], database: str, drop: str) -> None:
    cursor = connect().cursor()
    cursor.execute(drop.format(database))
    cursor.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {database}.PUBLIC")
    assert _fails(cursor, f"CALL {database}.PUBLIC.P()") == 2141


def test_a_session_goes_on_when_another_has_dropped_its_database(connect: Callable[..., Any], database: str) -> None:
    connection = connect(database=database, schema="PUBLIC")
    cursor = connection.cursor()
    connect().cursor().execute(f"DROP DATABASE {database}")
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    assert _fails(cursor, "SELECT * FROM x") == 90_105
    assert cursor.execute("SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()").fetchall() == [(None, None)]
    cursor.execute("USE DATABASE snowsage")
    assert cursor.execute("SELECT CURRENT_DATABASE()").fetchall() == [("SNOWSAGE",)]
    again = connect(database="SNOWSAGE")
    again.cursor().execute(f"CREATE DATABASE {database}")
    connect().cursor().execute(f"DROP DATABASE {database}")
    again.close()


def test_public_follows_a_current_schema_that_is_dropped(connect: Callable[..., Any], database: str) -> None:
    connection = connect(database=database, schema="PUBLIC")
    cursor = connection.cursor()
    for written in ("dropped", '"a""b"'):
        cursor.execute(f"CREATE SCHEMA {written}")
        cursor.execute(f"DROP SCHEMA IF EXISTS {written}")
        assert cursor.execute("SELECT CURRENT_SCHEMA()").fetchall() == [("PUBLIC",)]
        assert connection.schema == "PUBLIC"
    cursor.execute("CREATE TEMPORARY STAGE s")


def test_schemas_may_have_the_names_of_databases(connect: Callable[..., Any], database: str) -> None:
    cursor = connect(database=database, schema="PUBLIC").cursor()
    for schema in ("temp", "system", "memory", database):
        cursor.execute(f"CREATE SCHEMA {schema}")
        cursor.execute(f"CREATE TABLE {schema}.y (a INT)")
        cursor.execute(f"INSERT INTO {schema}.y SELECT 1")
        cursor.execute(f"UPDATE {schema}.y SET a = a + 1")
        cursor.execute(f"MERGE INTO {schema}.y USING (SELECT 2 AS a) s ON y.a = s.a WHEN MATCHED THEN UPDATE SET a = 3")
        assert cursor.execute(f"SELECT a FROM {schema}.y").fetchall() == [(3,)]
        assert cursor.execute(f"DESCRIBE TABLE {schema}.y").fetchall()[0][0] == "A"
        cursor.execute(
            f"CREATE OR REPLACE VIEW PUBLIC.seen AS SELECT y.a, z.a AS b FROM {schema}.y JOIN {schema}.y AS z ON TRUE"
        )
        cursor.execute(f"CREATE OR REPLACE VIEW PUBLIC.all_of AS SELECT * FROM {database}.{schema}.y")
        assert cursor.execute("SELECT a, b FROM PUBLIC.seen").fetchall() == [(3, 3)]
        assert connect().cursor().execute(f"SELECT * FROM {database}.PUBLIC.all_of").fetchall() == [(3,)]
        cursor.execute(f"DROP TABLE {schema}.y")
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        cursor.execute("USE SCHEMA PUBLIC")
        cursor.execute(f"DROP SCHEMA {schema}")


@pytest.mark.parametrize("name", ["TEMP", "system", "Memory", "MAIN", '"temp"'])
def test_a_database_with_a_name_of_duckdbs_own_is_refused_in_one_sentence(
    connect: Callable[..., Any], name: str
) -> None:
    cursor = connect().cursor()
    for create in ("CREATE DATABASE", "CREATE OR REPLACE DATABASE", "CREATE DATABASE IF NOT EXISTS"):
        with pytest.raises(ProgrammingError, match=r"DuckDB reserves .*; choose another name"):
            cursor.execute(f"{create} {name}")
    assert _fails(cursor, f"DROP DATABASE {name}") == 2003
    assert _fails(cursor, "CREATE SCHEMA SNOWSAGE.main") == 2


def test_if_not_exists_after_the_name(cursor: Any) -> None:
    """As Snowpark writes it when it appends."""
    for name in ("x", '"x t"'):
        cursor.execute(f"CREATE TABLE {name} IF NOT EXISTS (a INT)")
        cursor.execute(f"INSERT INTO {name} VALUES (1)")
        cursor.execute(f"create  table {name}  if not exists(a INT)")
        assert cursor.execute(f"SELECT a FROM {name}").fetchall() == [(1,)]
    cursor.execute("CREATE TEMPORARY TABLE t IF NOT EXISTS AS SELECT 'IF NOT EXISTS' AS a")
    assert cursor.execute("SELECT a FROM t").fetchall() == [("IF NOT EXISTS",)]
