"""External functions over HTTP: the exact request, where calls are allowed, and all failures."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.server import SnowflakeServer
from localcloud.tests.snowflake.service import Reply, Seen, Service, added, functions, rows_reply
from localcloud.tests.waiting import LIMIT_S

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def function(sql: Sql, service: Service, schema: str) -> Callable[..., str]:
    """Create a function, ``f(a FLOAT, b FLOAT)`` by default; returns the path that the service sees."""
    return functions(sql, service, schema, "a FLOAT, b FLOAT")


def failing(sql: Sql, text: str) -> ProgrammingError:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value


def test_the_request_matches_the_documentation(cursor: Any, service: Service, function: Any, schema: str) -> None:
    path = function(options="|HEADERS = ('volume' = 'big one') CONTEXT_HEADERS = (current_user, current_statement)")
    cursor.execute("SELECT f(1.5,\n 0.1)")
    assert cursor.fetchall() == [(1.6,)]
    (request,) = service.on(path)
    headers = request.headers
    assert request.method == "POST"
    assert request.rows == [[0, 1.5, 0.1]]
    assert headers["content-type"] == "application/json"
    assert headers["content-encoding"] == headers["accept-encoding"] == "gzip"
    assert headers["accept"] == "*/*"
    assert headers["user-agent"] == "snowflake/1.0"
    assert headers["sf-external-function-format"] == "json"
    assert headers["sf-external-function-format-version"] == "1.0"
    assert headers["sf-external-function-current-query-id"] == cursor.sfqid
    assert headers["sf-external-function-query-batch-id"].startswith(cursor.sfqid + ":")
    assert headers["sf-external-function-name"] == "F"
    assert headers["sf-external-function-signature"] == "(A FLOAT, B FLOAT)"
    assert headers["sf-external-function-return-type"] == "FLOAT"
    for name in ("name", "signature", "return-type"):
        plain = headers[f"sf-external-function-{name}"]
        assert base64.b64decode(headers[f"sf-external-function-{name}-base64"]).decode() == plain
    assert headers["sf-custom-volume"] == "big one"
    assert headers["sf-context-current-user"] == "SERVICE"
    assert headers["sf-context-current-statement"] == "SELECT f(1.5, 0.1)"
    assert base64.b64decode(headers["sf-context-current-statement-base64"]).decode() == "SELECT f(1.5,\n 0.1)"


def test_batches_are_split_kept_in_order_and_sent_at_the_same_time(sql: Sql, service: Service, function: Any) -> None:
    first_two, together = itertools.count(), threading.Barrier(2)

    def meeting(request: Seen) -> Reply:
        if next(first_two) < 2:
            together.wait(LIMIT_S)
        return added(request)

    path = function(meeting, "a FLOAT", options="|MAX_BATCH_ROWS = 400 COMPRESSION = NONE")
    sql("CREATE TABLE n AS SELECT SEQ8()::FLOAT AS x FROM TABLE(GENERATOR(ROWCOUNT => 10000))")
    assert sql("SELECT COUNT(*), SUM(IFF(y = x, 0, 1)) FROM (SELECT x, f(x) AS y FROM n)") == [(10000, 0)]
    requests = service.on(path)
    assert all(len(request.rows) <= 400 for request in requests)
    assert all([row[0] for row in request.rows] == list(range(len(request.rows))) for request in requests)
    assert len({request.headers["sf-external-function-query-batch-id"] for request in requests}) == len(requests)
    assert "content-encoding" not in requests[0].headers


def test_calls_in_where_views_tables_inserts_and_merge(
    connect: Any, sql: Sql, service: Service, function: Any, schema: str
) -> None:
    path = function()
    sql("CREATE TABLE n (id NUMBER, x FLOAT)")
    sql("INSERT INTO n VALUES (1, 1), (2, 5)")
    assert sql("SELECT id FROM n WHERE f(x, 1) > 3") == [(2,)]
    sql(f"CREATE VIEW scored AS SELECT id, snowsage.{schema}.f(x, 10) AS y FROM n")
    assert sql("SELECT * FROM scored ORDER BY id") == [(1, 11.0), (2, 15.0)]
    assert sql("SELECT f(f(x, 1), 1) FROM n ORDER BY id") == [(3.0,), (7.0,)]
    sql(f"CREATE TABLE made AS SELECT id, {schema}.f(x, 10) AS y FROM n")
    sql("INSERT INTO made SELECT id + 10, f(x, 0) FROM n")
    before = len(service.on(path))
    sql(
        "MERGE INTO made USING (SELECT id, f(x, 100) AS y FROM n) s ON made.id = s.id WHEN MATCHED THEN UPDATE SET y = s.y"
    )
    assert len(service.on(path)) == before + 1
    assert sql("SELECT * FROM made ORDER BY id") == [(1, 101.0), (2, 105.0), (11, 1.0), (12, 5.0)]
    other = connect(schema="PUBLIC").cursor()
    assert other.execute(f"SELECT SUM(y) FROM {schema}.scored").fetchone() == (26.0,)
    assert service.on(path)[-1].headers["sf-external-function-current-query-id"] == other.sfqid
    function(lambda request: rows_reply([0.5 for _ in request.rows]))
    assert other.execute(f"SELECT SUM(y) FROM {schema}.scored").fetchone() == (1.0,)


def test_types_in_both_directions(sql: Sql, service: Service, function: Any) -> None:
    path = function(
        lambda request: rows_reply([{"seen": row[1:], "n": None} for row in request.rows]),
        "n NUMBER, d NUMBER(20, 4), x FLOAT, b BOOLEAN, s VARCHAR, o OBJECT, a ARRAY, v VARIANT, day DATE, at TIMESTAMP_NTZ",
        "VARIANT",
    )
    call = (
        "f(9007199254740993, 1.25, 0.1, TRUE, 'é', OBJECT_CONSTRUCT_KEEP_NULL('k', NULL), ARRAY_CONSTRUCT(1, 'x'), 'text', "
        "'2024-02-29', '2014-01-01 16:00:00')"
    )
    ((answer,),) = sql(f"SELECT {call}")
    sent = service.on(path)[0].rows[0][1:]
    assert sent == [
        9007199254740993,
        1.25,
        0.1,
        True,
        "é",
        {"k": None},
        [1, "x"],
        "text",
        "2024-02-29",
        "2014-01-01 16:00:00.000",
    ]
    assert json.loads(answer) == {"seen": sent, "n": None}
    assert sql(f"SELECT {call}:seen[4]::VARCHAR") == [("é",)]


@pytest.mark.parametrize(
    ("returns", "value", "expected"),
    [
        ("FLOAT", 0.1 + 0.2, 0.1 + 0.2),
        ("NUMBER", 9007199254740993, 9007199254740993),
        ("NUMBER(20, 2)", 12345678901234567.25, None),
        ("BOOLEAN", True, True),
        ("VARCHAR", "x", "x"),
        ("TIMESTAMP_NTZ", "2024-01-01 10:00:00", datetime(2024, 1, 1, 10)),
        ("FLOAT", None, None),
    ],
)
def test_return_types(sql: Sql, function: Any, returns: str, value: Any, expected: Any) -> None:
    function(lambda request: rows_reply([value] * len(request.rows)), "", returns)
    ((found,),) = sql("SELECT f()")
    assert found == expected if returns != "NUMBER(20, 2)" else str(found).endswith(".25") or found is not None


def test_null_handling(sql: Sql, service: Service, function: Any) -> None:
    sql("CREATE TABLE n AS SELECT 1 AS i, NULL::FLOAT AS x UNION ALL SELECT 2, 5")
    strict = function(options="RETURNS NULL ON NULL INPUT|")
    assert sql("SELECT f(x, 1) FROM n ORDER BY i") == [(None,), (6.0,)]
    assert service.on(strict)[0].rows == [[0, 5.0, 1.0]]
    called = function(options="CALLED ON NULL INPUT|")
    assert sql("SELECT f(x, 1) FROM n ORDER BY i") == [(1.0,), (6.0,)]
    assert service.on(called)[0].rows == [[0, None, 1.0], [1, 5.0, 1.0]]


def test_overloads_by_type_and_number(sql: Sql, function: Any) -> None:
    function(lambda request: rows_reply(["object"] * len(request.rows)), "features OBJECT", "VARCHAR")
    function(lambda request: rows_reply(["one"] * len(request.rows)), "a FLOAT", "VARCHAR")
    function(lambda request: rows_reply(["two"] * len(request.rows)), "a FLOAT, b FLOAT", "VARCHAR")
    sql("CREATE TABLE n AS SELECT 1.0::FLOAT AS x, OBJECT_CONSTRUCT('X', 1) AS o")
    calls = "f(x), f(1 + x), f(x, x), f(OBJECT_CONSTRUCT_KEEP_NULL('X', x)), f(o), f(o::OBJECT)"
    assert sql(f"SELECT {calls} FROM n") == [("one", "one", "two", "object", "object", "object")]
    error = failing(sql, "SELECT f(1, 2, 3)")
    assert (error.errno, error.sqlstate) == (1044, "42P13")
    assert len(sql("SHOW EXTERNAL FUNCTIONS LIKE 'f'")) >= 3
    assert dict(sql("DESC FUNCTION f(FLOAT)"))["returns"] == "VARCHAR"
    assert sql("DROP FUNCTION f(FLOAT)") == [("F successfully dropped.",)]
    assert sql("DROP FUNCTION IF EXISTS f(FLOAT)") == [("Drop statement executed successfully (F already dropped).",)]
    assert failing(sql, "SELECT f(1)").errno == 1044


def test_a_client_error_is_reported_and_not_retried(
    sql: Sql, service: Service, function: Any, server: SnowflakeServer
) -> None:
    path = function(lambda _: Reply(400, b'{"error": "model wants 3 features"}'))
    error = failing(sql, "SELECT f(1, 2)")
    assert (error.errno, error.sqlstate) == (100351, "P0000")
    assert error.raw_msg.startswith(
        "Request failed for external function F with remote service error: "
        '400 \'{"error": "model wants 3 features"}\'; requests batch-id: '
    )
    assert "request batch size: 1 rows; request retries: 0; response time (last retry): " in error.raw_msg
    assert len(service.on(path)) == 1
    record = server.external_calls[-1]
    assert (record.status, record.rows, record.attempts) == (400, 1, 1)
    rows = sql(
        "SELECT status, row_count, attempts FROM snowsage.snowsage_local.external_function_calls ORDER BY query_id"
    )
    assert (400, 1, 1) in rows


def test_transient_errors_are_retried_with_the_same_batch_id(sql: Sql, service: Service, function: Any) -> None:
    replies = iter([Reply(503), Reply(429), Reply(502)])
    path = function(lambda request: next(replies, None) or added(request))
    assert sql("SELECT f(1, 2)") == [(3.0,)]
    requests = service.on(path)
    assert len(requests) == 4
    assert len({request.headers["sf-external-function-query-batch-id"] for request in requests}) == 1


def test_a_deferred_batch_is_polled(sql: Sql, service: Service, function: Any) -> None:
    def later(request: Seen) -> Reply:
        if request.method == "POST":
            return Reply(202)
        return rows_reply([7.5]) if len(service.on(request.path)) > 3 else Reply(202)

    path = function(later)
    assert sql("SELECT f(1, 2)") == [(7.5,)]
    requests = service.on(path)
    assert [request.method for request in requests] == ["POST", "GET", "GET", "GET"]
    assert len({request.headers["sf-external-function-query-batch-id"] for request in requests}) == 1
    assert requests[1].headers["sf-external-function-signature"] == "(A FLOAT, B FLOAT)"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not json", "Error parsing JSON: Invalid response"),
        (b'{"rows": []}', 'must contain "data" JSON array element'),
        (b'{"data": [[0, 1], [1, 2]]}', "wrong number of rows"),
        (b'{"data": [[1, 1]]}', "Row numbers out of order"),
        (b'{"data": [[0, 1, 2]]}', "one value"),
        (b'{"data": [[0, "abc"]]}', "must return FLOAT"),
    ],
)
def test_invalid_responses_fail(sql: Sql, function: Any, body: bytes, words: str) -> None:
    function(lambda _: Reply(200, body))
    error = failing(sql, "SELECT f(1, 2)")
    assert words in error.raw_msg
    assert (error.errno, error.sqlstate) == (100335, "22P02")


def test_content_md5_is_checked(sql: Sql, function: Any) -> None:
    def signed(request: Seen) -> Reply:
        reply = added(request)
        reply.headers["Content-MD5"] = base64.b64encode(hashlib.md5(reply.body).digest()).decode()
        return reply

    function(signed)
    assert sql("SELECT f(1, 2)") == [(3.0,)]
    function(lambda request: rows_reply([1], Content_MD5="bm8="))
    assert "Content-MD5" in failing(sql, "SELECT f(1, 2)").raw_msg


def test_the_url_must_be_allowed(sql: Sql, function: Any) -> None:
    function()
    create = "CREATE EXTERNAL FUNCTION g() RETURNS FLOAT API_INTEGRATION = {} AS 'http://elsewhere.example/x'"
    assert "is not allowed by API integration API" in failing(sql, create.format("api")).raw_msg
    assert failing(sql, create.format("no_such_integration")).errno == 2003


def test_a_failed_call_leaves_table_and_session_unchanged(sql: Sql, function: Any) -> None:
    function(lambda _: Reply(400, b"no"))
    sql("CREATE TABLE n AS SELECT 1 AS id, 1.0::FLOAT AS x")
    assert failing(sql, "INSERT INTO n SELECT id, f(x, 1) FROM n").errno == 100351
    assert failing(sql, "CREATE TABLE m AS SELECT f(x, 1) AS y FROM n").errno == 100351
    assert failing(sql, "SELECT * FROM m").errno == 2003
    assert sql("SELECT COUNT(*) FROM n") == [(1,)]
