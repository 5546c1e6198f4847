"""Python procedures: handlers with a Snowpark session nested in the caller's session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import DatabaseError, ProgrammingError

from localcloud.tests.snowflake.conftest import results
from localcloud.tests.waiting import wait_for

Sql = Callable[..., list[tuple[Any, ...]]]
HEAD = "LANGUAGE PYTHON RUNTIME_VERSION = '3.11' PACKAGES = ('snowflake-snowpark-python') HANDLER = 'run'"


def define(sql: Sql, head: str, body: str, clauses: str = "") -> None:
    sql(f"CREATE OR REPLACE PROCEDURE {head} {HEAD} {clauses} AS $$\n{body}\n$$")


def test_a_procedure_runs_in_the_callers_session(sql: Sql) -> None:
    sql("CREATE TEMPORARY TABLE mine (n INT)")
    body = (
        "def run(session, n, label):\n"
        "    session.sql('INSERT INTO mine VALUES (?)', params=[n]).collect()\n"
        "    ids = session.sql('SELECT CURRENT_SESSION(), CURRENT_SCHEMA()').collect()[0]\n"
        "    return f'{label}: {session.table(\"mine\").count()} {ids[0]} {ids[1]} {session.get_current_schema()}'"
    )
    define(sql, "fill(n INT, label VARCHAR DEFAULT 'rows') RETURNS VARCHAR", body, "EXECUTE AS CALLER")
    ((session_id, schema),) = sql("SELECT CURRENT_SESSION(), CURRENT_SCHEMA()")
    assert sql("CALL fill(?)", (3,)) == [(f'rows: 1 {session_id} {schema} "{schema}"',)]
    assert sql("CALL fill(label => 'now', n => 1 + 1)") == [(f'now: 2 {session_id} {schema} "{schema}"',)]
    assert sql("SELECT SUM(n) FROM mine") == [(5,)]


def test_a_table_is_returned_as_declared(sql: Sql) -> None:
    body = "def run(session, n):\n    return session.create_dataframe([[n, 'a'], [n + 1, None]], schema=['x', 'y'])"
    define(sql, "rows_of(n INT) RETURNS TABLE (id NUMBER, label VARCHAR)", body)
    define(sql, "any_rows(n INT) RETURNS TABLE ()", body)
    define(sql, "odd(n INT) RETURNS TABLE (id NUMBER)", body)
    assert sql("CALL rows_of(1)") == [(1, "a"), (2, None)]
    assert sql("SELECT id FROM TABLE(RESULT_SCAN(LAST_QUERY_ID())) ORDER BY id") == [(1,), (2,)]
    assert sql("CALL any_rows(1)") == [(1, "a"), (2, None)]
    with pytest.raises(ProgrammingError, match="incompatible with actual return type"):
        sql("CALL odd(1)")


def test_procedures_take_part_in_transactions(sql: Sql) -> None:
    sql("CREATE TABLE kept (n INT)")
    body = (
        "def run(session):\n    session.sql('INSERT INTO kept VALUES (1)').collect()\n"
        "    return {'n': session.table('kept').count()}"
    )
    define(sql, "add() RETURNS VARIANT", body, "EXECUTE AS CALLER")
    sql("BEGIN")
    ((found,),) = sql("CALL add()")
    assert "".join(found.split()) == '{"n":1}'
    sql("ROLLBACK")
    assert sql("SELECT COUNT(*) FROM kept") == [(0,)]


@pytest.mark.slow
def test_owners_and_callers_rights(sql: Sql, schema: str) -> None:
    body = "def run(session):\n    session.sql('USE SCHEMA PUBLIC').collect()\n    return session.get_current_schema()"
    define(sql, "as_caller() RETURNS VARCHAR", body, "EXECUTE AS CALLER")
    define(sql, "as_owner() RETURNS VARCHAR", body)
    define(sql, "where_am_i() RETURNS VARCHAR", "def run(session):\n    return session.get_current_schema()")
    with pytest.raises(ProgrammingError, match="Unsupported statement type 'USE'"):
        sql("CALL as_owner()")
    assert sql("CALL as_caller()") == [('"PUBLIC"',)]
    assert sql("SELECT CURRENT_SCHEMA()") == [("PUBLIC",)]
    assert sql(f"CALL {schema}.where_am_i()") == [(f'"{schema}"',)]
    assert sql("SELECT CURRENT_SCHEMA()") == [("PUBLIC",)]
    sql(f"USE SCHEMA {schema}")


@pytest.mark.slow
def test_procedures_call_procedures_and_fail_with_their_traceback(sql: Sql) -> None:
    define(sql, "inner_one(n INT) RETURNS INT", "def run(session, n):\n    return 10 // n")
    define(sql, "outer_one(n INT) RETURNS INT", "def run(session, n):\n    return session.call('inner_one', n) + 1")
    assert sql("CALL outer_one(5)") == [(3,)]
    with pytest.raises(ProgrammingError, match="ZeroDivisionError") as raised:
        sql("CALL inner_one(0)")
    assert (raised.value.errno, raised.value.sqlstate) == (100_357, "P0000")
    assert 'File "_udf_code.py", line 3, in run' in str(raised.value)
    assert "in function INNER_ONE with handler run" in str(raised.value)
    assert sql("CALL outer_one(2)") == [(6,)]


def test_anonymous_procedures(sql: Sql) -> None:
    text = f"WITH twice AS PROCEDURE (n INT) RETURNS INT {HEAD} AS $$\ndef run(session, n):\n    return 2 * n\n$$ CALL twice(21)"
    assert sql(text) == [(42,)]
    with pytest.raises(ProgrammingError, match="Unknown function TWICE") as missing:
        sql("CALL twice(21)")
    assert (missing.value.errno, missing.value.sqlstate) == (2140, "42601")


def test_show_describe_and_drop(sql: Sql, schema: str) -> None:
    define(sql, "p(a INT, b VARCHAR DEFAULT 'x') RETURNS INT", "def run(session, a, b):\n    return a", "COMMENT = 'c'")
    define(sql, "p() RETURNS TABLE (n INT)", "def run(session):\n    return None")
    shown = sql(f"SHOW PROCEDURES LIKE 'p' IN SCHEMA {schema}")
    assert [(row[1], row[6], row[7], row[8], row[9]) for row in shown] == [
        ("P", 0, 0, "P() RETURN TABLE (N NUMBER(38,0))", "user-defined procedure"),
        ("P", 1, 2, "P(NUMBER, DEFAULT VARCHAR) RETURN NUMBER", "c"),
    ]
    sql("COMMENT ON PROCEDURE p() IS 'told later'")
    assert sql(f"SHOW PROCEDURES LIKE 'p' IN SCHEMA {schema}")[0][9] == "told later"
    described = sql("DESCRIBE PROCEDURE p(INT, VARCHAR)")
    assert [row[0] for row in described[:4]] == ["signature", "returns", "language", "null handling"]
    assert dict(described)["returns"] == "NUMBER(38,0)"
    assert dict(described)["execute as"] == "OWNER"
    assert sql("DROP PROCEDURE p(NUMBER, TEXT)") == [("P successfully dropped.",)]
    with pytest.raises(ProgrammingError) as missing:
        sql("DROP PROCEDURE p(INT, VARCHAR)")
    assert missing.value.errno == 2003
    assert "already dropped" in sql("DROP PROCEDURE IF EXISTS p(INT, VARCHAR)")[0][0]


def test_a_procedure_requires_snowpark(sql: Sql) -> None:
    with pytest.raises(ProgrammingError, match="Cannot create a Python function with the specified packages"):
        sql(
            "CREATE PROCEDURE p() RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' PACKAGES = ('pandas') "
            "HANDLER = 'run' AS 'def run(session): return 1'"
        )
    with pytest.raises(ProgrammingError, match="LANGUAGE SQL"):
        sql("CREATE PROCEDURE p() RETURNS INT LANGUAGE SQL AS $$ BEGIN RETURN 1; END $$")


def test_a_call_is_described_without_running(connection: Any, sql: Sql) -> None:
    define(sql, "total(n INT) RETURNS NUMBER(10,2)", "def run(session, n):\n    raise ValueError", "STRICT")
    define(sql, "listed() RETURNS TABLE (id NUMBER, at TIMESTAMP_NTZ)", "def run(session):\n    raise ValueError")
    columns = connection.cursor().describe("CALL total(1)")
    assert [(column.name, column.precision, column.scale) for column in columns] == [("TOTAL", 10, 2)]
    assert [column.name for column in connection.cursor().describe("CALL listed()")] == ["ID", "AT"]
    assert sql("CALL total(NULL)") == [(None,)]


def test_a_cancelled_call_ends(connect: Callable[..., Any], schema: str) -> None:
    connection = connect(schema=schema)
    cursor = connection.cursor()
    define(
        lambda text: cursor.execute(text).fetchall(),
        "forever() RETURNS INT",
        "def run(session):\n    while True:\n        pass",
    )
    cursor.execute_async("CALL forever()")
    other = connect().cursor()
    cancel = f"SELECT SYSTEM$CANCEL_QUERY('{cursor.sfqid}')"
    wait_for(lambda: other.execute(cancel).fetchone()[0], lambda answer: "terminated" in answer)
    with pytest.raises(DatabaseError, match="SQL execution canceled"):
        results(cursor)
    assert connection.cursor().execute("SELECT 1").fetchone() == (1,)
    connection.close()
