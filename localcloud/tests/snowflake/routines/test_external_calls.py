"""Calls of external functions: where they are allowed, which rows are sent, and how they are batched."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import DatabaseError

from localcloud.tests.snowflake.conftest import results
from localcloud.tests.snowflake.service import Reply, Seen, Service, added, rows_reply
from localcloud.tests.waiting import LIMIT_S, wait_for

Sql = Callable[..., list[tuple[Any, ...]]]
Made = Callable[..., str]


@pytest.fixture
def numbers(sql: Sql) -> str:
    """Table ``n`` with ids 0 to 9,999 in ``i``, and the same values as FLOAT in ``x``."""
    sql("CREATE TABLE n AS SELECT SEQ8() AS i, SEQ8()::FLOAT AS x FROM TABLE(GENERATOR(ROWCOUNT => 10000))")
    return "n"


def sizes(service: Service, path: str) -> list[int]:
    return sorted(len(request.rows) for request in service.on(path))


def sent(service: Service, path: str) -> int:
    return sum(sizes(service, path))


def failing(sql: Sql, text: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        sql(text)
    return caught.value


@pytest.mark.parametrize(
    ("options", "largest"),
    [("", [1808, 4096, 4096]), ("|MAX_BATCH_ROWS = 3000", [1000, 3000, 3000, 3000]), ("|MAX_BATCH_ROWS = 9999", None)],
)
def test_batches_are_full(
    sql: Sql, service: Service, function: Made, numbers: str, options: str, largest: list[int] | None
) -> None:
    path = function(options=options)
    sql("CREATE TABLE scored AS SELECT i, f(x) AS y FROM n")
    assert sizes(service, path) == (largest or [1808, 4096, 4096])
    assert sql("SELECT COUNT(*), COUNT_IF(i <> y) FROM scored") == [(10000, 0)]


def test_long_rows_give_smaller_batches(sql: Sql, service: Service, function: Made) -> None:
    path = function(lambda request: rows_reply([len(row[1]) for row in request.rows]), "s VARCHAR", "NUMBER")
    sql("CREATE TABLE long AS SELECT REPEAT('x', 20000) AS s FROM TABLE(GENERATOR(ROWCOUNT => 300))")
    assert sql("SELECT SUM(y) FROM (SELECT f(s) AS y FROM long)") == [(6_000_000,)]
    assert len(service.on(path)) == 2
    assert all(len(request.raw) < 10_000_000 for request in service.on(path))


@pytest.mark.parametrize(
    ("query", "rows", "count"),
    [
        ("SELECT i, f(x) AS y FROM n WHERE i < 0", [], 0),
        ("SELECT i FROM (SELECT i, f(x) AS y FROM n) WHERE i < 2 ORDER BY i", [(0,), (1,)], None),
        ("SELECT * FROM (SELECT i, f(x) AS y FROM n) WHERE i BETWEEN 3 AND 4 ORDER BY i", [(3, 3.0), (4, 4.0)], 2),
        ("SELECT i, f(x) AS y FROM n ORDER BY i DESC LIMIT 2", [(9999, 9999.0), (9998, 9998.0)], 2),
        ("SELECT i, f(x) AS y FROM n ORDER BY y DESC LIMIT 2", [(9999, 9999.0), (9998, 9998.0)], 10000),
        ("SELECT i, f(x) AS y FROM n ORDER BY 2 DESC, i LIMIT 1", [(9999, 9999.0)], 10000),
        ("SELECT f(x) + i AS y FROM n WHERE i < 3 ORDER BY i", [(0.0,), (2.0,), (4.0,)], 3),
        ("SELECT *, f(x) AS y FROM n WHERE i = 7", [(7, 7.0, 7.0)], 1),
        ("SELECT f(x) AS y, n.* FROM n WHERE i = 7", [(7.0, 7, 7.0)], 1),
        ("SELECT IFF(i < 2, f(x), -1) AS y FROM n WHERE i < 4 ORDER BY i", [(0.0,), (1.0,), (-1.0,), (-1.0,)], 2),
        ("SELECT CASE WHEN i = 1 THEN f(x) ELSE 0 END AS y FROM n WHERE i < 3 ORDER BY i", [(0.0,), (1.0,), (0.0,)], 1),
        ("SELECT IFF(f(x) > 1, 'big', 'small') AS y FROM n WHERE i IN (1, 2) ORDER BY i", [("small",), ("big",)], 2),
        ("SELECT i FROM n WHERE i < 5 AND f(x) >= 3 ORDER BY i", [(3,), (4,)], 5),
        ("SELECT MOD(i, 2) AS k, SUM(f(x)) AS s FROM n WHERE i < 4 GROUP BY k ORDER BY k", [(0, 2.0), (1, 4.0)], 4),
        ("SELECT f(x) AS k, COUNT(*) FROM n WHERE i < 2 GROUP BY f(x) ORDER BY 1", [(0.0, 1), (1.0, 1)], None),
        ("SELECT DISTINCT f(x) AS y FROM n WHERE i = 3", [(3.0,)], 1),
        ("SELECT a.i, f(b.x) AS y FROM n a JOIN n b ON a.i = b.i + 1 WHERE a.i = 6", [(6, 5.0)], 1),
        (
            "WITH s AS (SELECT i, f(x) AS y FROM n WHERE i < 3) SELECT SUM(a.y + b.y) FROM s a JOIN s b USING (i)",
            [(6.0,)],
            None,
        ),
        (
            "SELECT f(x) AS y FROM n WHERE i = 1 UNION ALL SELECT f(x) FROM n WHERE i = 2 ORDER BY y",
            [(1.0,), (2.0,)],
            2,
        ),
        ("SELECT f(f(x)) AS y FROM n WHERE i = 4", [(4.0,)], 2),
        ("SELECT (SELECT MAX(y) FROM (SELECT f(x) AS y FROM n WHERE i < 3)) AS m", [(2.0,)], 3),
        ("SELECT f(x) AS x FROM n WHERE x = 5", [(5.0,)], 1),
        ("SELECT i AS a, i AS a, f(x) AS y FROM n WHERE i = 5", [(5, 5, 5.0)], 1),
        ("SELECT f(x) AS y, ROW_NUMBER() OVER (ORDER BY i) AS r FROM n WHERE i = 5", [(5.0, 1)], 1),
        ("SELECT f(x) + (SELECT MAX(i) FROM n) AS y FROM n WHERE i = 1", [(10000.0,)], 1),
        ("SELECT IFF(i = 1, f(x * 2), x) + f(x) AS y FROM n WHERE i IN (1, 2) ORDER BY i", [(3.0,), (4.0,)], 3),
        ("SELECT f(1)", [(1.0,)], 1),
    ],
)
def test_only_required_rows_are_sent(
    sql: Sql, service: Service, function: Made, numbers: str, query: str, rows: list[Any], count: int | None
) -> None:
    path = function()
    assert sql(query) == rows
    if count is not None:
        assert sent(service, path) == count


@pytest.mark.parametrize(
    "made",
    ["OBJECT_CONSTRUCT(*)", "OBJECT_CONSTRUCT_KEEP_NULL(*)", "{*}", "OBJECT_CONSTRUCT(n.* EXCLUDE z)", "{* ILIKE '_'}"],
)
def test_a_whole_row_is_sent_as_an_object(sql: Sql, service: Service, function: Made, made: str) -> None:
    """In a SELECT list, a view, CTAS, MERGE, WHERE, around a call and below an aggregate."""
    path = function(lambda request: rows_reply([row[1]["X"] for row in request.rows]), "o OBJECT")
    sql("CREATE TABLE n AS SELECT column1 AS i, column1::FLOAT AS x FROM VALUES (1), (2)")
    sql("ALTER TABLE n ADD COLUMN z INT")
    sql(f"CREATE VIEW v AS SELECT i, f({made}) AS y FROM n")
    sql(f"CREATE TABLE c AS SELECT *, f({made}) + 1 AS y FROM n")
    assert sql("SELECT * FROM v ORDER BY i") == [(1, 1.0), (2, 2.0)]
    assert sql("SELECT * FROM c ORDER BY i") == [(1, 1.0, None, 2.0), (2, 2.0, None, 3.0)]
    sql(f"MERGE INTO c USING (SELECT i, f({made}) * 9 AS y FROM n) s ON c.i = s.i WHEN MATCHED THEN UPDATE SET y = s.y")
    assert sql("SELECT SUM(y) FROM c") == [(27.0,)]
    assert sql(f"SELECT i FROM n WHERE f({made}) IS NOT NULL AND f({made}) > 1") == [(2,)]
    assert sql(f"SELECT SUM(f({made})), MAX(IFF(i = 2, f({made}), NULL)) FROM n") == [(3.0, 2.0)]
    assert {"I", "X"} <= set(service.on(path)[0].rows[0][1])


def test_an_alias_of_a_call_is_visible_only_outside_the_select(sql: Sql, function: Made, numbers: str) -> None:
    function()
    error = failing(sql, "SELECT f(x) AS y, y + 1 AS z FROM n WHERE i = 5")
    assert (error.errno, error.sqlstate) == (2, "0A000")
    assert sql("SELECT y, y + 1 AS z FROM (SELECT f(x) AS y FROM n WHERE i = 5)") == [(5.0, 6.0)]


def test_columns_are_named_by_their_text(cursor: Any, function: Made, numbers: str) -> None:
    function(returns="VARIANT", behaviour=lambda request: rows_reply([{"p": 1}] * len(request.rows)))
    cursor.execute('SELECT i, f(x), f(x):p::INT AS "Mixed", x AS z FROM n WHERE i = 1 ORDER BY i')
    assert [column.name for column in cursor.description] == ["I", "F(X)", "Mixed", "Z"]
    assert cursor.fetchall() == [(1, '{"p":1}', 1, 1.0)]
    assert [column.name for column in cursor.describe("SELECT *, f(x) AS y FROM n")] == ["I", "X", "Y"]


def test_describe_sends_no_request(cursor: Any, service: Service, function: Made, numbers: str) -> None:
    path = function()
    assert [column.name for column in cursor.describe("SELECT i, f(x) AS y FROM n")] == ["I", "Y"]
    assert not service.on(path)


def test_the_order_is_kept_over_many_row_groups(sql: Sql, service: Service, function: Made) -> None:
    path = function()
    sql("CREATE TABLE big AS SELECT SEQ8() AS i, SEQ8()::FLOAT AS x FROM TABLE(GENERATOR(ROWCOUNT => 260000))")
    rows = sql("SELECT i, f(x) AS y FROM big ORDER BY MOD(i, 7), x")
    assert rows == sorted(((i, float(i)) for i in range(260_000)), key=lambda row: (row[0] % 7, row[0]))
    assert len(service.on(path)) <= 260_000 // 4096 + 1


def test_update_delete_and_merge(sql: Sql, service: Service, function: Made, numbers: str) -> None:
    path = function(lambda request: rows_reply([row[1] * 2 for row in request.rows]))
    sql("CREATE TABLE t AS SELECT i, x FROM n WHERE i < 4")
    sql("UPDATE t SET x = f(x) WHERE i > 1")
    assert sql("SELECT x FROM t ORDER BY i") == [(0.0,), (1.0,), (4.0,), (6.0,)]
    sql("DELETE FROM t WHERE f(x) = 12")
    assert sql("SELECT COUNT(*) FROM t") == [(3,)]
    before = len(service.on(path))
    sql(
        "MERGE INTO t USING (SELECT i, f(x) AS y FROM n) s ON t.i = s.i WHEN MATCHED THEN UPDATE SET x = s.y "
        "WHEN NOT MATCHED AND s.i < 6 THEN INSERT (i, x) VALUES (s.i, s.y)"
    )
    assert [len(request.rows) for request in service.on(path)[before:]] != []
    assert len(service.on(path)) - before == 3
    assert sql("SELECT i, x FROM t ORDER BY i") == [(i, 2.0 * i) for i in range(6)]


def test_a_view_calls_in_full_batches_for_its_reader(sql: Sql, service: Service, function: Made, numbers: str) -> None:
    path = function()
    sql("CREATE SECURE VIEW v AS SELECT i, f(x) AS y FROM n")
    assert sql("SELECT COUNT(*), SUM(a.y - b.y) FROM v a JOIN v b ON a.i = b.i") == [(10000, 0.0)]
    assert sent(service, path) == 20000
    assert sql("SELECT y FROM v WHERE i = 17") == [(17.0,)]
    assert sent(service, path) == 20001


def test_immutable_functions_are_called_once_for_equal_arguments(
    sql: Sql, service: Service, function: Made, numbers: str
) -> None:
    volatile = function(options="VOLATILE|")
    assert sql("SELECT SUM(y) FROM (SELECT f(2) AS y FROM n)") == [(20000.0,)]
    assert sent(service, volatile) == 10000
    immutable = function(options="IMMUTABLE|")
    assert sql("SELECT SUM(y) FROM (SELECT f(2) AS y FROM n)") == [(20000.0,)]
    assert sent(service, immutable) == 1
    assert sql("SELECT COUNT(DISTINCT y) FROM (SELECT f(MOD(i, 10)) AS y FROM n)") == [(10,)]
    assert sent(service, immutable) == 11


def test_every_type_is_sent_as_documented(sql: Sql, service: Service, function: Made) -> None:
    path = function(
        lambda request: rows_reply([0] * len(request.rows)),
        "a NUMBER(38, 0), b NUMBER(38, 10), c FLOAT, d BOOLEAN, e VARCHAR, g DATE, h TIME, i TIMESTAMP_NTZ, "
        "j TIMESTAMP_TZ, k BINARY, l VARIANT, m OBJECT, o ARRAY",
        "NUMBER",
    )
    sql(
        "SELECT f(9223372036854775807, 1234567890123456789.0123456789, 1e-300, FALSE, 'a\"b\\\\c\\n\\u0001é', '2024-02-29', "
        "'13:14:15', '2024-01-01 16:00:00.123', '2024-01-01 16:00:00'::TIMESTAMP_TZ, TO_BINARY('00FF', 'HEX'), 1.5, "
        "OBJECT_CONSTRUCT('k', ARRAY_CONSTRUCT(1)), ARRAY_CONSTRUCT('x', NULL))"
    )
    (request,) = service.on(path)
    assert request.rows == [
        [
            0,
            9223372036854775807,
            1234567890123456789.0123456789,
            1e-300,
            False,
            'a"b\\c\n\u0001é',
            "2024-02-29",
            "13:14:15",
            "2024-01-01 16:00:00.123",
            "2024-01-01 16:00:00.000 +0000",
            "00FF",
            1.5,
            {"k": [1]},
            ["x", None],
        ]
    ]


def test_doubles_are_exact_in_both_directions(sql: Sql, service: Service, function: Made) -> None:
    path = function(lambda request: rows_reply([row[1] for row in request.rows]))
    values = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 123456789.123456789, 2.0**53 + 2, -1 / 3]
    sql("CREATE TABLE d (i INT, x FLOAT)")
    for index, value in enumerate(values):
        sql("INSERT INTO d VALUES (?, ?)", (index, value))
    back = [row[0] for row in sql("SELECT f(x) FROM d ORDER BY i")]
    assert [row[1] for row in service.on(path)[0].rows] == values
    assert [(value, math.copysign(1, value)) for value in back] == [
        (value, math.copysign(1, value)) for value in values
    ]
    sql("SELECT f(x) FROM (SELECT 'NaN'::FLOAT AS x UNION ALL SELECT 'inf'::FLOAT)")
    assert [row[1] for request in service.on(path)[1:] for row in request.rows] == [None, None]


@pytest.mark.parametrize(
    ("returns", "value", "expected"),
    [
        ("FLOAT", 3, 3.0),
        ("FLOAT", "1.5", 1.5),
        ("FLOAT", 10**30, 1e30),
        ("NUMBER(38, 0)", 9223372036854775807, 9223372036854775807),
        ("NUMBER(10, 2)", 1.005, Decimal("1.00")),
        ("BOOLEAN", "true", True),
        ("VARCHAR", 1.5, "1.5"),
        ("DATE", "2024-02-29", date(2024, 2, 29)),
        ("TIME", "01:02:03", clock(1, 2, 3)),
        ("TIMESTAMP_NTZ", "2024-02-29 01:02:03.5", datetime(2024, 2, 29, 1, 2, 3, 500000)),
        ("BINARY", "00ff", bytearray(b"\x00\xff")),
        ("VARIANT", {"a": [1, None]}, '{"a":[1,null]}'),
        ("ARRAY", [1, "x"], '[1,"x"]'),
    ],
)
def test_results_are_converted_to_the_declared_type(
    sql: Sql, function: Made, returns: str, value: Any, expected: Any
) -> None:
    function(lambda request: rows_reply([value] * len(request.rows)), returns=returns)
    assert sql("SELECT f(1) AS y") == [(expected,)]
    sql("CREATE TABLE one AS SELECT 1.0::FLOAT AS x")
    assert sql("SELECT f(x) AS y FROM one") == [(expected,)]


@pytest.mark.parametrize(
    ("returns", "value"),
    [("FLOAT", True), ("FLOAT", [1]), ("NUMBER", "x"), ("BOOLEAN", 2), ("BINARY", "0"), ("VARCHAR", {"a": 1})],
)
def test_results_of_another_type_fail(sql: Sql, function: Made, returns: str, value: Any) -> None:
    function(lambda request: rows_reply([value] * len(request.rows)), returns=returns)
    error = failing(sql, "SELECT f(1)")
    assert (error.errno, error.sqlstate) == (100335, "22P02")


def test_not_null_is_enforced(sql: Sql, function: Made) -> None:
    function(lambda request: rows_reply([None] * len(request.rows)), returns="FLOAT", options="NOT NULL|")
    error = failing(sql, "SELECT f(1)")
    assert (error.errno, error.sqlstate) == (100072, "22000")


def test_strict_with_arguments_that_are_calls_or_constants(sql: Sql, service: Service, function: Made) -> None:
    path = function(arguments="a FLOAT, b FLOAT", options="STRICT|")
    assert sql("SELECT f(NULL, 1), f(f(1, 2), 3), f(f(NULL, 2), 3)") == [(None, 6.0, None)]
    assert sorted(request.rows[0][1:] for request in service.on(path)) == [[1.0, 2.0], [3.0, 3.0]]


def test_an_object_argument_must_be_an_object(sql: Sql, service: Service, function: Made) -> None:
    path = function(lambda request: rows_reply([1] * len(request.rows)), "o OBJECT")
    assert failing(sql, "SELECT f(PARSE_JSON('[1]'))").errno == 1044
    assert not service.on(path)


def test_a_malformed_reply_fails_the_query(sql: Sql, function: Made) -> None:
    for body in (
        b'{"dtaa": [[0, 1], [1, 2]]}',
        b'{"data": [[0], [1, 1, 2]]}',
        b'{"data": [[0, 1], [0, 2]]}',
        b'{"data": [[false, 1], [true, 2]]}',
        b'{"data": [[0, 1], [1, 2]',
    ):
        function(lambda _, body=body: Reply(200, body))
        assert failing(sql, "SELECT SUM(y) FROM (SELECT f(column1) AS y FROM VALUES (1), (2))").errno == 100335


def test_redirects_are_rejected(sql: Sql, service: Service, function: Made) -> None:
    path = function(lambda request: Reply(302, b"elsewhere", {"Location": f"{service.url}/elsewhere"}))
    assert "remote service error: 302 'elsewhere'" in failing(sql, "SELECT f(1)").raw_msg
    assert len(service.on(path)) == 1


def test_a_retry_sends_the_same_bytes(sql: Sql, service: Service, function: Made, numbers: str) -> None:
    replies = iter([Reply(500)])
    path = function(lambda request: next(replies, None) or added(request), options="|COMPRESSION = DEFLATE")
    assert sql("SELECT SUM(y) FROM (SELECT f(x) AS y FROM n WHERE i < 100)") == [(4950.0,)]
    first, second = service.on(path)
    assert first.raw == second.raw
    assert first.headers == second.headers


def test_a_cancelled_query_ends_its_calls(
    connect: Any, sql: Sql, service: Service, function: Made, schema: str
) -> None:
    release = threading.Event()

    def stuck(request: Seen) -> Reply:
        release.wait(LIMIT_S)
        return added(request)

    path = function(stuck)
    other = connect(schema=schema)
    cursor = other.cursor()
    try:
        cursor.execute_async("SELECT SUM(f(x)) FROM (SELECT SEQ8()::FLOAT AS x FROM TABLE(GENERATOR(ROWCOUNT => 9)))")
        wait_for(lambda: service.on(path))
        sql(f"SELECT SYSTEM$CANCEL_QUERY('{cursor.sfqid}')")
        with pytest.raises(DatabaseError, match="SQL execution canceled") as caught:
            results(cursor)
        assert caught.value.errno == 604
    finally:
        release.set()
    seen = len(service.on(path))
    assert sql("SELECT f(1)") == [(1.0,)]
    assert len(service.on(path)) == seen + 1


def test_the_first_failure_fails_the_query(sql: Sql, service: Service, function: Made) -> None:
    path = function(lambda _: Reply(400, b"no"), options="|MAX_BATCH_ROWS = 10")
    error = failing(sql, "SELECT SUM(y) FROM (SELECT f(SEQ8()) AS y FROM TABLE(GENERATOR(ROWCOUNT => 100000)))")
    assert error.errno == 100351
    assert len(service.on(path)) < 1000


def test_call_records_can_be_queried(cursor: Any, function: Made, numbers: str) -> None:
    function()
    cursor.execute("SELECT COUNT(y) FROM (SELECT f(x) AS y FROM n)")
    query_id = cursor.sfqid
    rows = cursor.execute(
        "SELECT row_count, status, attempts FROM snowsage.snowsage_local.external_function_calls "
        f"WHERE query_id = '{query_id}' ORDER BY row_count"
    ).fetchall()
    assert rows == [(1808, 200, 1), (4096, 200, 1), (4096, 200, 1)]


def test_an_unload_calls_functions(sql: Sql, service: Service, function: Made, numbers: str, stage: str) -> None:
    path = function()
    sql("COPY INTO @st/scored/ FROM (SELECT i, f(x) AS y FROM n) HEADER = TRUE")
    sql("CREATE TABLE back (i NUMBER, y FLOAT)")
    sql("COPY INTO back FROM @st/scored/ MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE")
    assert sql("SELECT COUNT(*), COUNT_IF(i <> y) FROM back") == [(10000, 0)]
    assert sizes(service, path) == [1808, 4096, 4096]


def test_a_transaction_sees_its_own_rows(connect: Any, function: Made, schema: str) -> None:
    function()
    cursor = connect(schema=schema).cursor()
    cursor.execute("CREATE TABLE t (x FLOAT)")
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO t VALUES (1), (2)")
    assert cursor.execute("SELECT SUM(y) FROM (SELECT f(x) AS y FROM t)").fetchall() == [(3.0,)]
    cursor.execute("INSERT INTO t SELECT f(x) + 10 FROM t")
    cursor.execute("COMMIT")
    assert cursor.execute("SELECT x FROM t ORDER BY x").fetchall() == [(1.0,), (2.0,), (11.0,), (12.0,)]


def polled(*replies: Reply) -> Callable[[Seen], Reply]:
    """A POST that is accepted with 202, and the replies to the GETs; the last reply repeats."""
    left = list(replies)

    def answer(request: Seen) -> Reply:
        if request.method == "POST":
            return Reply(202, b"taken")
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def test_errors_while_polling_are_retried(sql: Sql, service: Service, function: Made) -> None:
    path = function(polled(Reply(202), Reply(503), Reply(429), Reply(202), rows_reply([2.5])))
    assert sql("SELECT f(1)") == [(2.5,)]
    requests = service.on(path)
    assert [request.method for request in requests] == ["POST", *["GET"] * 5]
    first, *others = requests
    assert all(
        {name: value for name, value in first.headers.items() if name.startswith("sf-")}
        == {name: value for name, value in other.headers.items() if name.startswith("sf-")}
        for other in others
    )


def test_polling_ends_when_the_service_rejects_the_request(sql: Sql, service: Service, function: Made) -> None:
    path = function(polled(Reply(202), Reply(410, b"gone")))
    assert "remote service error: 410 'gone'" in failing(sql, "SELECT f(1)").raw_msg
    assert len(service.on(path)) == 3


def test_context_headers_with_any_text(cursor: Any, service: Service, function: Made, sql: Sql) -> None:
    path = function(options="|CONTEXT_HEADERS = (current_statement, current_date, current_schema)")
    cursor.execute("SELECT f(1) /* é\u00a0\t” */")
    headers = service.on(path)[0].headers
    assert headers["sf-context-current-statement"].startswith("SELECT f(1) /* ")
    assert headers["sf-context-current-statement"].isascii()
    assert json.loads(f'"{headers["sf-context-current-date"]}"').count("-") == 2
