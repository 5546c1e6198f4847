"""Tables, queries, binds, transactions, MERGE, and errors of statements."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import DatabaseError, IntegrityError, ProgrammingError

from localcloud.tests.snowflake.conftest import results
from localcloud.tests.waiting import wait_for

Sql = Callable[..., list[tuple[Any, ...]]]


def failing(sql: Sql, text: str) -> tuple[int, str, str]:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value.errno, caught.value.sqlstate, caught.value.raw_msg


@pytest.fixture
def people(sql: Sql) -> None:
    sql("CREATE TABLE people (id NUMBER PRIMARY KEY, score FLOAT, name VARCHAR(20) DEFAULT 'x', born TIMESTAMP_NTZ)")
    sql(
        "INSERT INTO people (id, score, born) VALUES (1, 1.5, '2024-01-01'), (2, NULL, '1969-12-31 23:59:59.5'), (3, 2, NULL)"
    )


def test_status_messages_of_ddl(sql: Sql, schema: str) -> None:
    assert sql("CREATE DATABASE IF NOT EXISTS snowsage") == [("SNOWSAGE already exists, statement succeeded.",)]
    assert sql(f"CREATE SCHEMA IF NOT EXISTS {schema}") == [(f"{schema} already exists, statement succeeded.",)]
    assert sql("CREATE TRANSIENT TABLE a (x INT) COMMENT = 'c'") == [("Table A successfully created.",)]
    assert sql("CREATE TABLE IF NOT EXISTS a (y INT)") == [("A already exists, statement succeeded.",)]
    assert sql("CREATE OR REPLACE VIEW v COMMENT = 'c' AS SELECT x FROM a") == [("View V successfully created.",)]
    assert sql("DROP VIEW v") == [("V successfully dropped.",)]
    assert sql("DROP TABLE IF EXISTS nowhere") == [("Drop statement executed successfully (NOWHERE already dropped).",)]
    assert failing(sql, "CREATE TABLE a (x INT)")[:2] == (2002, "42710")


def test_a_new_database_has_public_and_is_current(sql: Sql) -> None:
    sql("CREATE DATABASE other")
    assert sql("SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()") == [("OTHER", "PUBLIC")]
    sql("USE DATABASE snowsage")
    sql("DROP DATABASE other")
    assert failing(sql, "USE DATABASE other")[:2] == (2043, "02000")


def test_types_and_nulls_are_returned(cursor: Any, people: None) -> None:
    rows = cursor.execute("SELECT * FROM people ORDER BY id").fetchall()
    assert rows == [
        (1, 1.5, "x", datetime(2024, 1, 1)),
        (2, None, "x", datetime(1969, 12, 31, 23, 59, 59, 500000)),
        (3, 2.0, "x", None),
    ]
    assert [(column.name, column.type_code) for column in cursor.description] == [
        ("ID", 0),
        ("SCORE", 1),
        ("NAME", 2),
        ("BORN", 8),
    ]


def test_sums_of_integers_are_integers_and_columns_are_named_by_their_text(cursor: Any, people: None) -> None:
    row = cursor.execute("SELECT SUM(id), COUNT(*), AVG(score), 1.25::NUMBER(10, 2) FROM people").fetchone()
    assert row == (6, 3, 1.75, Decimal("1.25"))
    assert isinstance(row[0], int)
    assert [column.name for column in cursor.description][:3] == ["SUM(ID)", "COUNT(*)", "AVG(SCORE)"]


def test_primary_keys_are_not_enforced_but_not_null_is(sql: Sql, people: None) -> None:
    sql("INSERT INTO people (id) VALUES (1)")
    assert sql("SELECT COUNT(*) FROM people WHERE id = 1") == [(2,)]
    with pytest.raises(IntegrityError) as caught:
        sql("INSERT INTO people (id) VALUES (NULL)")
    assert (caught.value.errno, caught.value.sqlstate) == (100072, "22000")


def test_binds_of_every_type(sql: Sql) -> None:
    values = (
        7,
        1.25,
        "o'x",
        True,
        None,
        date(2024, 2, 29),
        datetime(2024, 1, 1, 10, 0, 0, 5),
        b"\x01\xff",
        Decimal("1.50"),
    )
    assert sql("SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?", values)[0][:8] == values[:8]
    aware = datetime(2024, 1, 1, tzinfo=UTC)
    assert sql("SELECT ?::TIMESTAMP_TZ", (("TIMESTAMP_TZ", aware),)) == [(aware,)]
    assert sql("SELECT a FROM (SELECT 1 AS a UNION ALL SELECT 2) WHERE a = ? OR a = -?", (2, -5)) == [(2,)]


def test_insert_with_binds_select_and_many_rows(connection: Any, sql: Sql, people: None) -> None:
    sql("INSERT INTO people (id, name) SELECT id + ?, ? FROM people", (10, "copy"))
    assert sql("SELECT COUNT(*) FROM people WHERE name = 'copy'") == [(3,)]
    cursor = connection.cursor()
    cursor.executemany(
        "INSERT INTO people (id, score, born) VALUES (?, ?, ?)",
        [(100 + n, n / 2, datetime(2024, 1, 1)) for n in range(1000)],
    )
    assert cursor.rowcount == 1000
    assert sql("SELECT SUM(score) FROM people WHERE id >= 100") == [(249750.0,)]


def test_row_counts(cursor: Any, people: None) -> None:
    assert cursor.execute("UPDATE people SET score = 9 WHERE id > 1").rowcount == 2
    assert cursor.execute("DELETE FROM people WHERE id = 1").rowcount == 1
    assert cursor.execute("INSERT OVERWRITE INTO people (id) SELECT 5").rowcount == 1


def test_transactions(connect: Any, schema: str, sql: Sql, people: None) -> None:
    sql("BEGIN")
    sql("DELETE FROM people")
    other = connect(schema=schema).cursor()
    assert other.execute("SELECT COUNT(*) FROM people").fetchone() == (3,)
    sql("ROLLBACK")
    assert sql("SELECT COUNT(*) FROM people") == [(3,)]
    sql("START TRANSACTION")
    sql("DELETE FROM people WHERE id = 1")
    sql("CREATE TABLE commits_first (a INT)")
    sql("ROLLBACK")
    assert sql("SELECT COUNT(*) FROM people") == [(2,)]


def test_autocommit_off(connect: Any, schema: str, sql: Sql, people: None) -> None:
    connection = connect(schema=schema, autocommit=False)
    connection.cursor().execute("DELETE FROM people")
    assert sql("SELECT COUNT(*) FROM people") == [(3,)]
    connection.commit()
    assert sql("SELECT COUNT(*) FROM people") == [(0,)]


def test_merge(cursor: Any, sql: Sql, people: None) -> None:
    cursor.execute(
        "MERGE INTO people AS t USING (SELECT 2 AS id, 9.5 AS score UNION ALL SELECT ?, 7) AS s ON t.id = s.id "
        "WHEN MATCHED AND s.score > ? THEN UPDATE SET t.score = s.score, name = 'new' "
        "WHEN NOT MATCHED THEN INSERT (id, score) VALUES (s.id, s.score)",
        (7, 1),
    )
    assert cursor.fetchall() == [(1, 1)]
    assert [column.name for column in cursor.description] == ["number of rows inserted", "number of rows updated"]
    assert cursor.rowcount == 2
    assert sql("SELECT id, score, name FROM people WHERE id IN (2, 7) ORDER BY id") == [(2, 9.5, "new"), (7, 7.0, "x")]


@pytest.mark.parametrize("before", ["", "INSERT INTO merged (id, score) VALUES (50, 5)"], ids=["empty", "no match"])
def test_merge_that_only_inserts(sql: Sql, people: None, before: str) -> None:
    sql("CREATE TABLE merged (id NUMBER NOT NULL, score FLOAT, name VARCHAR DEFAULT 'x')")
    if before:
        sql(before)
    merge = (
        "MERGE INTO merged AS t USING (SELECT p.id, p.score FROM people AS p UNION ALL SELECT 60, 1) AS s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET score = s.score WHEN NOT MATCHED AND s.id <> 2 THEN INSERT (id, score) "
        "VALUES (s.id, s.score + 1)"
    )
    [(rows,)] = sql("SELECT COUNT(*) FROM people WHERE id <> 2")
    assert sql(merge) == [(rows + 1, 0)]
    assert sql("SELECT * FROM merged WHERE id = 60") == [(60, 2.0, "x")]
    assert sql("SELECT COUNT(*) FROM merged WHERE id < 50") == [(rows,)]
    assert sql(merge) == [(0, rows + 1)]
    with pytest.raises(IntegrityError):
        sql(
            "MERGE INTO merged USING (SELECT NULL AS id) AS s ON merged.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1, '')"
        )


def test_merge_of_constants_that_the_target_lacks_and_then_has(sql: Sql) -> None:
    sql("CREATE TABLE versions (id NUMBER, version NUMBER, known TIMESTAMP_NTZ, score FLOAT)")
    merge = (
        "MERGE INTO versions AS t USING (SELECT {}::NUMBER AS version, '2026-01-0{}'::TIMESTAMP_NTZ AS known, id, id * {} AS score "
        "FROM (SELECT 1 AS id UNION ALL SELECT 2)) AS s ON t.id = s.id AND (t.version = s.version AND s.known = t.known) "
        "WHEN MATCHED THEN UPDATE SET score = s.score WHEN NOT MATCHED THEN INSERT (id, version, known, score) "
        "VALUES (s.id, s.version, s.known, s.score)"
    )
    assert sql(merge.format(1, 1, 10)) == [(2, 0)]
    assert sql(merge.format(2, 1, 20)) == [(2, 0)]
    assert sql(merge.format(2, 2, 30)) == [(2, 0)]
    assert sql(merge.format(2, 1, 40)) == [(0, 2)]
    assert sql("SELECT version, DAY(known), SUM(score) FROM versions GROUP BY ALL ORDER BY ALL") == [
        (1, 1, 30.0),
        (2, 1, 120.0),
        (2, 2, 90.0),
    ]


def test_merge_with_two_source_rows_for_one_target_row_changes_nothing(sql: Sql, people: None) -> None:
    before = sql("SELECT HASH_AGG(*) FROM people")
    source = "(SELECT 2 AS id, 1 AS score UNION ALL SELECT 2, 2 UNION ALL SELECT 50, 5)"
    assert failing(
        sql,
        f"MERGE INTO people USING {source} AS s ON people.id = s.id WHEN MATCHED THEN UPDATE SET score = s.score "
        "WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
    ) == (100090, "42P18", "Duplicate row detected during DML action")
    assert sql("SELECT HASH_AGG(*) FROM people") == before
    assert sql(
        f"MERGE INTO people USING {source} AS s ON people.id = s.id WHEN MATCHED AND s.score > 1 THEN UPDATE SET score = s.score"
    ) == [(1,)]


def test_merge_failing_halfway_changes_nothing(sql: Sql, people: None) -> None:
    before = sql("SELECT HASH_AGG(*) FROM people")
    with pytest.raises(IntegrityError):
        sql(
            "MERGE INTO people t USING (SELECT 1 AS id UNION ALL SELECT NULL) s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET score = 99 WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)"
        )
    assert sql("SELECT HASH_AGG(*) FROM people") == before


def test_hash_agg_ignores_order_and_counts_duplicates(sql: Sql, people: None) -> None:
    whole = sql("SELECT HASH_AGG(*) FROM people")
    assert sql("SELECT HASH_AGG(*) FROM (SELECT * FROM people ORDER BY id DESC)") == whole
    assert sql("SELECT HASH_AGG(id, score, name, born) FROM people") == whole
    assert sql("SELECT HASH_AGG(*) FROM (SELECT * FROM people UNION ALL SELECT * FROM people)") != whole
    assert sql("SELECT HASH_AGG(*) FROM people WHERE FALSE") == [(0,)]


def test_semi_structured(sql: Sql) -> None:
    sql("CREATE TABLE j (v VARIANT)")
    sql('INSERT INTO j SELECT PARSE_JSON(\'{"a": {"b": [1, 2.5]}, "s": "x"}\')')
    assert sql("SELECT v:a.b[1]::FLOAT, v:s::VARCHAR FROM j") == [(2.5, "x")]
    assert sql("SELECT OBJECT_CONSTRUCT('a', 1, 'b', NULL)") == [('{"a":1}',)]
    assert sql("SELECT OBJECT_CONSTRUCT_KEEP_NULL('a', 1, 'b', NULL)") == [('{"a":1,"b":null}',)]


def test_dates(sql: Sql, people: None) -> None:
    assert sql("SELECT DATEDIFF('day', '2023-12-31'::TIMESTAMP_NTZ, born) FROM people ORDER BY id") == [
        (1,),
        (-19723,),
        (None,),
    ]
    sql("CREATE TABLE ages AS SELECT id, DATEDIFF('day', born, SYSDATE()) AS age FROM people")
    sql("CREATE OR REPLACE TABLE ages (id NUMBER, age FLOAT) AS SELECT id, DATEDIFF('hour', born, born) FROM people")
    assert sql("SELECT age FROM ages ORDER BY id LIMIT 1") == [(0.0,)]
    assert abs((sql("SELECT SYSDATE()")[0][0] - datetime.now(UTC).replace(tzinfo=None)).total_seconds()) < 60


def test_temporary_tables_belong_to_their_session(connect: Any, schema: str, sql: Sql) -> None:
    sql("CREATE TABLE t (a INT)")
    assert sql(f"CREATE TEMPORARY TABLE snowsage.{schema}.t (a INT)") == [("Table T successfully created.",)]
    sql("INSERT INTO t VALUES (1)")
    assert sql(f"SELECT t.a FROM snowsage.{schema}.t") == [(1,)]
    assert connect(schema=schema).cursor().execute("SELECT * FROM t").fetchall() == []
    sql("DROP TABLE t")
    assert sql("SELECT * FROM t") == []


@pytest.mark.parametrize(
    ("text", "errno", "state", "words"),
    [
        ("SELECT * FROM nowhere", 2003, "42S02", "Object 'NOWHERE' does not exist or not authorized."),
        ("SELECT * FROM nowhere.t", 2003, "02000", "Schema 'NOWHERE' does not exist or not authorized."),
        ("SELECT nope FROM people", 904, "42000", "invalid identifier 'NOPE'"),
        ("SELECT p.nope FROM people p", 904, "42000", "invalid identifier 'NOPE'"),
        ("INSERT INTO people (nope) VALUES (1)", 904, "42000", "invalid identifier 'NOPE'"),
        ("SELECT no_such_function(1)", 2140, "42601", "Unknown function NO_SUCH_FUNCTION"),
        ("SELECT s.no_such_function(1)", 2141, "42601", "Unknown user-defined function S.NO_SUCH_FUNCTION"),
        ("SELEC 1", 1003, "42000", "syntax error"),
        ("SELECT 1 FROM", 1003, "42000", "syntax error"),
        ("SELECT 'abc'::INT", 100038, "22018", "Numeric value 'abc' is not recognized"),
        ("SELECT 1 / 0", 100051, "22012", "Division by zero"),
        ("USE SCHEMA nowhere", 2043, "02000", "Object does not exist, or operation cannot be performed."),
        ("CALL something()", 2140, "42601", "Unknown function SOMETHING"),
        ("CREATE PIPE p AS SELECT 1", 2, "0A000", "The local Snowflake does not support"),
        ("SELECT SYSTEM$UNHEARD_OF()", 2, "0A000", "does not support the function SYSTEM$UNHEARD_OF"),
        ("SELECT SUM(id) FROM people HAVING GROUPING(name) = 0", 979, "42601", "GROUPING function without a GROUP BY"),
        ("SELECT * ILIKE '%none%' FROM people", 1080, "42601", "SELECT with no columns"),
        ("SELECT SUM(id), name FROM people", 979, "42601", "[NAME] is not a valid group by expression"),
        ("DROP TABLE nowhere", 2003, "42S02", "does not exist"),
    ],
)
def test_failures(sql: Sql, people: None, text: str, errno: int, state: str, words: str) -> None:
    code, found, message = failing(sql, text)
    assert (code, found) == (errno, state), message
    assert words in message


def test_a_result_of_three_hundred_thousand_rows(cursor: Any) -> None:
    cursor.execute("CREATE TABLE big AS SELECT SEQ8() AS id, SEQ8() / 3 AS x FROM TABLE(GENERATOR(ROWCOUNT => 300000))")
    table = cursor.execute("SELECT * FROM big").fetch_arrow_all()
    assert table.num_rows == 300_000
    assert len(cursor.execute("SELECT id FROM big").fetchall()) == 300_000


def test_describe_runs_nothing(cursor: Any, people: None) -> None:
    assert [column.name for column in cursor.describe("SELECT id, score FROM people WHERE id = ?", (1,))] == [
        "ID",
        "SCORE",
    ]
    assert [column.name for column in cursor.describe("DELETE FROM people")] == ["number of rows deleted"]
    assert cursor.execute("SELECT COUNT(*) FROM people").fetchone() == (3,)


def test_asynchronous_statements(connection: Any, people: None) -> None:
    cursor = connection.cursor()
    cursor.execute_async("SELECT COUNT(*) FROM people")
    query_id = cursor.sfqid
    while connection.is_still_running(connection.get_query_status(query_id)):
        pass
    cursor.get_results_from_sfqid(query_id)
    assert cursor.fetchall() == [(3,)]


def test_sessions_write_concurrently(connect: Any, schema: str, sql: Sql) -> None:
    sql("CREATE TABLE counter (n INT)")
    sql("INSERT INTO counter VALUES (0)")

    def work(connection: Any) -> None:
        for _ in range(20):
            connection.cursor().execute("UPDATE counter SET n = n + 1")

    threads = [threading.Thread(target=work, args=(connect(schema=schema),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sql("SELECT n FROM counter") == [(80,)]


def test_session_variables(sql: Sql) -> None:
    sql("SET threshold = 5")
    assert sql("SELECT $threshold + 1, '$nothing'") == [(6, "$nothing")]
    assert failing(sql, "SELECT $no_such_variable")[:2] == (2211, "02000")


def test_nested_calls_are_rewritten(sql: Sql, people: None) -> None:
    assert sql("SELECT SUM(SUM(id)) OVER () FROM people GROUP BY name") == [(6,)]
    assert sql("SELECT OBJECT_CONSTRUCT_KEEP_NULL('a', OBJECT_CONSTRUCT('b', ARRAY_CONSTRUCT(1, 'x')))") == [
        ('{"a":{"b":[1,"x"]}}',)
    ]
    assert sql("SELECT TYPEOF(PARSE_JSON('[1]')), TYPEOF(PARSE_JSON('1'))") == [("ARRAY", "INTEGER")]


def test_timestamp_formats(sql: Sql) -> None:
    assert sql("SELECT TO_VARCHAR('2024-02-29 13:05:09'::TIMESTAMP_NTZ, 'YYYY-MM-DD HH24:MI:SS')") == [
        ("2024-02-29 13:05:09",)
    ]
    assert failing(sql, "SELECT TO_VARCHAR(1.5, '999.00')")[:2] == (2, "0A000")


def test_earlier_results_can_be_queried(sql: Sql, people: None) -> None:
    sql("SHOW TABLES")
    assert sql('SELECT "name" FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))') == [("PEOPLE",)]


def test_binds_keep_their_order_with_a_with_clause(sql: Sql, people: None) -> None:
    assert sql("WITH a AS (SELECT id FROM people WHERE id > ?) SELECT ?, id FROM a WHERE id < ?", (1, "x", 3)) == [
        ("x", 2)
    ]
    assert sql("SELECT '?', ?::NUMBER, '?::'", (5,)) == [("?", 5, "?::")]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT CURRENT_DATE()", ["CURRENT_DATE()"]),
        ("SELECT CURRENT_DATE", ["CURRENT_DATE"]),
        ("SELECT CURRENT_DATE() WHERE CURRENT_DATE() > '2020-01-01'", ["CURRENT_DATE()"]),
        ("SELECT CURRENT_DATE WHERE CURRENT_DATE > '2020-01-01' ORDER BY CURRENT_DATE", ["CURRENT_DATE"]),
        (
            "SELECT LOCALTIME(), GETDATE(), SYSDATE() WHERE LOCALTIME() < '24:00:00'",
            ["LOCALTIME()", "GETDATE()", "SYSDATE()"],
        ),
        ("SELECT CURRENT_TIME, COUNT(*) FROM (SELECT 1) GROUP BY CURRENT_TIME HAVING CURRENT_TIME IS NOT NULL", None),
        ("SELECT LOCALTIMESTAMP, 1 AS d WHERE LOCALTIMESTAMP > '2020-01-01'", None),
        ("SELECT 1 AS \"CURRENT_TIMESTAMP\", CURRENT_TIMESTAMP > '2020-01-01'", None),
    ],
)
def test_a_column_name_that_the_server_adds_captures_no_name_of_the_query(
    cursor: Any, query: str, names: list[str] | None
) -> None:
    assert len(cursor.execute(query).fetchall()) == 1
    assert names is None or [column.name for column in cursor.description] == names


def test_a_statement_waits_as_long_as_it_says_or_until_it_is_cancelled(sql: Sql, connect: Callable[..., Any]) -> None:
    assert sql("SELECT SYSTEM$WAIT(1, 'MILLISECONDS')") == [("waited 1 milliseconds",)]
    assert sql("SELECT COUNT(*) > 0 FROM TABLE(GENERATOR(TIMELIMIT => 1))") == [(True,)]
    with pytest.raises(ProgrammingError, match="Invalid argument types for function 'SYSTEM\\$WAIT'"):
        sql("SELECT SYSTEM$WAIT('soon')")
    cursor = connect().cursor()
    cursor.execute_async("SELECT SYSTEM$WAIT(1, 'HOURS')")
    cancel = f"SELECT SYSTEM$CANCEL_QUERY('{cursor.sfqid}')"
    wait_for(lambda: sql(cancel)[0][0], lambda answer: "terminated" in answer)
    with pytest.raises(DatabaseError, match="SQL execution canceled"):
        results(cursor)
