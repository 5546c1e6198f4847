"""Views of INFORMATION_SCHEMA, of this database and another, and the schemas in which names are looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]
_HANDLER = "LANGUAGE PYTHON RUNTIME_VERSION = '3.11' PACKAGES = ('snowflake-snowpark-python') HANDLER = 'h'"


@pytest.mark.parametrize("schema_of", ["INFORMATION_SCHEMA", "SNOWSAGE.INFORMATION_SCHEMA"])
def test_objects_of_a_database(sql: Sql, schema: str, schema_of: str) -> None:
    sql("CREATE SEQUENCE sq START = 5 INCREMENT = 2 COMMENT = 'c'")
    sql("CREATE STAGE st")
    sql(f"CREATE FUNCTION f(x INT) RETURNS FLOAT {_HANDLER} AS 'def h(x): return 1'")
    sql(f"CREATE PROCEDURE p(y VARCHAR) RETURNS INT {_HANDLER} AS 'def h(s, y): return 1'")
    sql("CREATE TABLE t (a INT)")
    sql("CREATE VIEW v COMMENT = 'seen' AS SELECT a FROM t")
    where = f"WHERE {{}}_SCHEMA = '{schema}' ORDER BY 1"
    assert sql(
        f"SELECT function_name, argument_signature, data_type, function_language, function_definition, is_external "
        f"FROM {schema_of}.FUNCTIONS {where.format('FUNCTION')}"
    ) == [("F", "(X NUMBER(38,0))", "FLOAT", "PYTHON", "def h(x): return 1", "NO")]
    assert sql(
        f"SELECT p.procedure_name, argument_signature FROM {schema_of}.PROCEDURES p {where.format('PROCEDURE')}"
    ) == [("P", "(Y VARCHAR)")]
    assert sql(f"SELECT stages.stage_name, stage_type FROM {schema_of}.STAGES {where.format('STAGE')}") == [
        ("ST", "Internal Named")
    ]
    assert sql(
        f"SELECT sequence_name, start_value, next_value, increment, ordered, comment "
        f"FROM {schema_of}.SEQUENCES {where.format('SEQUENCE')}"
    ) == [("SQ", "5", "5", "2", "NO", "c")]
    assert sql(f"SELECT table_name, table_type, comment FROM {schema_of}.TABLES {where.format('TABLE')}") == [
        ("T", "BASE TABLE", None),
        ("V", "VIEW", "seen"),
    ]


def test_a_sequence_may_end_beyond_64_bits(sql: Sql, schema: str) -> None:
    sql("CREATE SEQUENCE last START = 9223372036854775807")
    assert sql("SELECT last.NEXTVAL") == [(2**63 - 1,)]
    query = "SELECT next_value FROM information_schema.sequences WHERE sequence_name = 'LAST' AND sequence_schema = ?"
    assert sql(query, [schema]) == [(str(2**63),)]


def test_objects_of_another_database_are_not_listed(connect: Callable[..., Any]) -> None:
    cursor = connect().cursor()
    cursor.execute("CREATE DATABASE listed")
    try:
        cursor.execute("CREATE SEQUENCE sq")
        for view, count in (("LISTED.INFORMATION_SCHEMA.SEQUENCES", 1), ("SNOWSAGE.INFORMATION_SCHEMA.SEQUENCES", 0)):
            found = cursor.execute(f"SELECT COUNT(*) FROM {view} WHERE SEQUENCE_CATALOG = 'LISTED'").fetchall()
            assert found == [(count,)]
        with pytest.raises(ProgrammingError, match="Database 'MISSING' does not exist"):
            cursor.execute("SELECT * FROM missing.INFORMATION_SCHEMA.STAGES")
    finally:
        cursor.execute("DROP DATABASE listed")


def test_queries_look_names_up_in_public_after_the_current_schema(connect: Callable[..., Any]) -> None:
    cursor = connect().cursor()
    cursor.execute("CREATE DATABASE looked")
    try:
        cursor.execute("CREATE TABLE t AS SELECT 1 AS a")
        cursor.execute("CREATE VIEW v AS SELECT a + 1 AS b FROM t")
        cursor.execute(f"CREATE FUNCTION f(x INT) RETURNS INT {_HANDLER} AS 'def h(x): return x * 10'")
        cursor.execute(f"CREATE PROCEDURE p() RETURNS INT {_HANDLER} AS 'def h(s): return 7'")
        cursor.execute("CREATE SCHEMA other")
        assert cursor.execute("SELECT t.a, v.b FROM t JOIN v ON v.b = t.a + 1").fetchall() == [(1, 2)]
        assert cursor.execute("SELECT f(a) FROM t").fetchall() == [(10,)]
        assert cursor.execute("CALL p()").fetchall() == [(7,)]
        assert cursor.execute("WITH t AS (SELECT 9 AS a) SELECT a FROM t").fetchall() == [(9,)]
        # DML writes tables of the current schema only.
        with pytest.raises(ProgrammingError, match="'T' does not exist"):
            cursor.execute("INSERT INTO t VALUES (2)")
        cursor.execute("CREATE TABLE t AS SELECT a + 4 AS a FROM t")
        assert cursor.execute("SELECT a FROM t").fetchall() == [(5,)]
    finally:
        cursor.execute("DROP DATABASE looked")
