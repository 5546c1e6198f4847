"""Transfer of results: Arrow and JSON, one chunk and many, one statement and several."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]

VALUES = """SELECT 1::NUMBER(10,0) AS n, 1.25::NUMBER(10,2) AS d, 0.1::FLOAT AS f, TRUE AS b, 'ä,"x"'::VARCHAR AS t,
    '2024-02-29'::DATE AS day, '12:34:56.789'::TIME AS clock, '1969-12-31 23:59:59.5'::TIMESTAMP_NTZ AS moment,
    '2024-02-29 12:00:00 +00:00'::TIMESTAMP_TZ AS zoned, TO_BINARY('00ff', 'HEX') AS bytes, NULL::FLOAT AS nothing"""


@pytest.fixture
def json_results(sql: Sql) -> Any:
    sql("ALTER SESSION SET PYTHON_CONNECTOR_QUERY_RESULT_FORMAT = 'JSON'")
    yield
    sql("ALTER SESSION UNSET PYTHON_CONNECTOR_QUERY_RESULT_FORMAT")


def test_json_and_arrow_return_the_same_values(sql: Sql, request: pytest.FixtureRequest) -> None:
    (arrow,) = sql(VALUES)
    request.getfixturevalue("json_results")
    (as_json,) = sql(VALUES)
    assert as_json == arrow
    assert arrow[:5] == (1, Decimal("1.25"), 0.1, True, 'ä,"x"')
    assert arrow[5:8] == (date(2024, 2, 29), time(12, 34, 56, 789000), datetime(1969, 12, 31, 23, 59, 59, 500000))
    assert arrow[8:] == (datetime(2024, 2, 29, 12, tzinfo=UTC), b"\x00\xff", None)


def fill(sql: Sql, rows: int) -> None:
    sql("CREATE OR REPLACE TABLE many (n NUMBER, t VARCHAR)")
    sql(f"INSERT INTO many SELECT SEQ8(), REPEAT('x', 50) FROM TABLE(GENERATOR(ROWCOUNT => {rows}))")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_large_result_is_sent_in_ordered_chunks(
    sql: Sql, cursor: Any, request: pytest.FixtureRequest, as_json: bool
) -> None:
    if as_json:
        request.getfixturevalue("json_results")
    fill(sql, 120_000)
    cursor.execute("SELECT n, t FROM many ORDER BY n")
    batches = cursor.get_result_batches()
    assert len(batches) > 2
    assert sum(batch.rowcount for batch in batches) == cursor.rowcount == 120_000
    first = cursor.fetchone()
    rest = cursor.fetchall()
    assert [first[0], *(row[0] for row in rest)] == list(range(120_000))


def test_result_batches_can_be_read_separately(sql: Sql, cursor: Any) -> None:
    fill(sql, 100_000)
    cursor.execute("SELECT n, t FROM many")
    assert sum(batch.to_arrow().num_rows for batch in cursor.get_result_batches() if batch.rowcount) == 100_000


def test_several_statements_at_once(cursor: Any, schema: str) -> None:
    cursor.execute("CREATE TABLE a (x INT); INSERT INTO a VALUES (?), (?); SELECT x FROM a WHERE x > ? ORDER BY x;",
                   (1, 2, 0), num_statements=3)  # fmt: skip
    assert cursor.fetchall() == [("Table A successfully created.",)]
    assert cursor.nextset() is cursor
    assert cursor.fetchall() == [(2,)]
    assert cursor.nextset() is cursor
    assert cursor.fetchall() == [(1,), (2,)]
    assert cursor.nextset() is None


def test_the_statement_count_must_match(cursor: Any) -> None:
    for text, options in (("SELECT 1; SELECT 2", {}), ("SELECT 1; SELECT 2", {"num_statements": 3})):
        with pytest.raises(ProgrammingError) as caught:
            cursor.execute(text, **options)
        assert caught.value.errno == 8
        assert "Actual statement count 2 did not match the desired statement count" in str(caught.value)
    assert cursor.execute("SELECT ';'; ").fetchall() == [(";",)]


def test_a_failing_statement_ends_the_request(cursor: Any, schema: str) -> None:
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute("CREATE TABLE a (x INT); SELECT nothing FROM a; CREATE TABLE b (x INT)", num_statements=0)
    assert caught.value.errno == 904
    assert [row[0] for row in cursor.execute(f"SELECT table_name FROM information_schema.tables "
                                             f"WHERE table_schema = '{schema}'")] == ["A"]  # fmt: skip


def test_dml_returns_the_number_of_rows(sql: Sql, cursor: Any) -> None:
    sql("CREATE TABLE counted (x INT)")
    cursor.execute("INSERT INTO counted VALUES (1), (2), (3)")
    assert cursor.stats.num_rows_inserted == cursor.rowcount == 3
    cursor.execute("UPDATE counted SET x = 9 WHERE x > 1")
    assert (cursor.stats.num_rows_updated, cursor.stats.num_rows_inserted) == (2, 0)
    cursor.execute("DELETE FROM counted WHERE x = 1")
    assert cursor.stats.num_rows_deleted == 1
    cursor.execute("SELECT 1")
    assert cursor.stats.num_rows_inserted is None


def test_statements_that_change_rows_tell_how_many(sql: Sql, cursor: Any, tmp_path: Any) -> None:
    (tmp_path / "rows.csv").write_text("1\n2\n")
    sql("CREATE TEMPORARY STAGE files")
    sql(f"PUT file://{tmp_path}/rows.csv @files")
    for kind in ("TEMPORARY TABLE", "TABLE"):
        cursor.execute(f"CREATE {kind} made (x INT) AS SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")
        assert (cursor.rowcount, cursor.stats.num_rows_inserted, cursor.stats.num_rows_deleted) == (1, 3, 0)
        cursor.execute("TRUNCATE TABLE made")
        assert (cursor.stats.num_rows_inserted, cursor.stats.num_rows_deleted) == (0, 3)
        cursor.execute("COPY INTO made FROM @files FILE_FORMAT = (TYPE = CSV) FORCE = TRUE")
        assert cursor.stats.num_rows_inserted == 2
        cursor.execute("CREATE OR REPLACE TEMPORARY TABLE source (y INT) AS SELECT 1 UNION ALL SELECT 1")
        cursor.execute("UPDATE made SET x = source.y FROM source WHERE made.x = source.y")
        assert (cursor.stats.num_rows_updated, cursor.stats.num_dml_duplicates) == (1, 1)
        cursor.execute("DELETE FROM made USING source WHERE made.x = source.y")
        assert cursor.stats.num_rows_deleted == 1
        sql("DROP TABLE made")


def test_one_statement_can_ask_for_json(cursor: Any) -> None:
    cursor.execute("SELECT 1", _statement_params={"PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "JSON"})
    assert cursor._query_result_format == "json"
    cursor.execute("SELECT 1")
    assert cursor._query_result_format == "arrow"


def test_several_statements_can_run_in_the_background(connection: Any, connect: Callable[..., Any]) -> None:
    cursor = connection.cursor()
    cursor.execute_async("SELECT 1; SELECT 'b'", num_statements=2)
    with connect() as other:
        reader = other.cursor()
        reader.get_results_from_sfqid(cursor.sfqid)
        assert reader.fetchall() == [(1,)]
        assert reader.nextset() is reader
        assert reader.fetchall() == [("b",)]
        scanned = reader.execute(f"SELECT * FROM TABLE(RESULT_SCAN('{cursor.sfqid}'))").fetchall()
        assert scanned == [("Multiple statements executed successfully.",)]


def test_a_result_can_be_fetched_by_query_id(connection: Any, cursor: Any) -> None:
    cursor.execute("SELECT 42 AS answer")
    other = connection.cursor()
    other.query_result(cursor.sfqid)
    assert other.fetchall() == [(42,)]


def test_result_scan_works_in_another_session_of_the_user(cursor: Any, connect: Callable[..., Any]) -> None:
    cursor.execute("SELECT 42 AS answer")
    scan = f"SELECT answer + 1 FROM TABLE(RESULT_SCAN('{cursor.sfqid}'))"
    with connect() as other:
        assert other.cursor().execute(scan).fetchall() == [(43,)]
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute("SELECT * FROM TABLE(RESULT_SCAN('00000000-0000-0000-0000-000000000000'))")
    assert caught.value.errno == 709


def test_many_bound_rows_are_inserted_at_once_and_in_order(cursor: Any, schema: str) -> None:
    cursor.execute("CREATE TABLE bound (n NUMBER(38,0), d NUMBER(10,2), f FLOAT, t VARCHAR, b BOOLEAN, day DATE, "
                   "moment TIMESTAMP_NTZ, bytes BINARY, twice FLOAT)")  # fmt: skip
    rows = [
        (n, Decimal(n) / 4, n / 3, None if n % 2 else f"t{n}", n % 3 == 0, date(2024, 1, 1), datetime(2024, 1, 1, 1),
         b"\x00", n)
        for n in range(5_000)
    ]  # fmt: skip
    cursor.executemany("INSERT INTO bound VALUES (?, ?, ?, ?, ?, ?, ?, ?, ? * 2)", rows)
    assert cursor.rowcount == 5_000
    assert cursor.execute("SELECT * FROM bound").fetchall() == [(*row[:-1], row[-1] * 2.0) for row in rows]


def test_binaries_are_bound_with_nulls_among_them(cursor: Any, schema: str) -> None:
    cursor.execute("CREATE TABLE bound (n NUMBER, bytes BINARY)")
    cursor.executemany("INSERT INTO bound (bytes, n) VALUES (?, ?)", [(b"\x01\xff", 1), (None, 2)])
    assert cursor.execute("SELECT bytes FROM bound ORDER BY n").fetchall() == [(b"\x01\xff",), (None,)]


def test_bound_rows_are_inserted_all_or_none(cursor: Any, schema: str) -> None:
    cursor.execute("CREATE TABLE bound (n NUMBER(38,2))")
    with pytest.raises(ProgrammingError) as caught:
        cursor.executemany("INSERT INTO bound VALUES (?)", [("1",), ("two",)])
    assert caught.value.errno == 100_038
    assert cursor.execute("SELECT COUNT(*) FROM bound").fetchall() == [(0,)]
    big = 10**30
    cursor.executemany("INSERT INTO bound VALUES (?)", [(big,), (None,), (-1,)])
    assert cursor.execute("SELECT n FROM bound").fetchall() == [(Decimal(big),), (None,), (Decimal(-1),)]
