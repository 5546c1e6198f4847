"""Behaviour beyond limits of time and memory, on a server with small limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import DatabaseError

from localcloud.snowflake.limits import Limits
from localcloud.snowflake.server import SnowflakeServer
from localcloud.tests.snowflake.conftest import public_pem
from localcloud.tests.snowflake.service import Reply, Seen, Service, added, rows_reply

Sql = Callable[..., list[tuple[Any, ...]]]
Made = Callable[..., str]


@pytest.fixture(scope="module")
def connection(private_key: rsa.RSAPrivateKey, connect: Callable[..., Any]) -> Iterator[Any]:
    running = SnowflakeServer(
        aws_endpoint_url="http://127.0.0.1:1",
        public_keys={"SERVICE": public_pem(private_key)},
        limits=Limits(answer_s=0.1, call_retry_s=3.0, call_deferred_s=0.3, answers_bytes=50_000),
    )
    running.start()
    with connect(port=running.port) as opened:
        yield opened
    running.stop()


def test_a_long_statement_is_polled_and_runs_once(cursor: Any, service: Service, function: Made) -> None:
    def slow(request: Seen) -> Reply:
        time.sleep(0.5)
        return added(request)

    path = function(slow)
    cursor.execute("CREATE TABLE once AS SELECT f(column1) AS y FROM VALUES (1), (2)")
    assert cursor.execute("SELECT SUM(y) FROM once").fetchall() == [(3.0,)]
    assert len(service.on(path)) == 1


def test_polling_ends_at_its_deadline(sql: Sql, function: Made) -> None:
    function(lambda _: Reply(202, b"taken"))
    with pytest.raises(DatabaseError) as caught:
        sql("SELECT f(1)")
    assert (caught.value.errno, caught.value.sqlstate) == (100351, "P0000")
    assert "202 'the asynchronous batch was not ready in time'" in str(caught.value.raw_msg)


def test_answers_beyond_the_memory_limit_are_stored_on_disk(sql: Sql, function: Made) -> None:
    sql("CREATE TABLE n AS SELECT SEQ8() AS i, SEQ8()::FLOAT AS x FROM TABLE(GENERATOR(ROWCOUNT => 10000))")
    function(lambda request: rows_reply([{"v": row[1]} for row in request.rows]), returns="VARIANT")
    assert sql("SELECT COUNT(*), COUNT_IF(y <> i) FROM (SELECT i, f(x):v::INT AS y FROM n)") == [(10000, 0)]


def test_a_lasting_error_fails_the_query(sql: Sql, service: Service, function: Made) -> None:
    path = function(lambda _: Reply(503, b"later"))
    with pytest.raises(DatabaseError) as caught:
        sql("SELECT f(1)")
    assert "remote service error: 503 'later'" in str(caught.value.raw_msg)
    assert len(service.on(path)) > 1


def test_an_unreachable_service_fails_the_query(sql: Sql) -> None:
    sql(
        "CREATE OR REPLACE API INTEGRATION missing API_PROVIDER = aws_api_gateway API_AWS_ROLE_ARN = 'arn:r' "
        "API_ALLOWED_PREFIXES = ('http://127.0.0.1:1/') ENABLED = TRUE"
    )
    sql("CREATE EXTERNAL FUNCTION gone() RETURNS FLOAT API_INTEGRATION = missing AS 'http://127.0.0.1:1/x'")
    with pytest.raises(DatabaseError) as caught:
        sql("SELECT gone()")
    assert (caught.value.errno, caught.value.sqlstate) == (100350, "P0000")
    message = "Request failed for external function GONE. Error: Remote service cannot be reached."
    assert message in str(caught.value.raw_msg)
