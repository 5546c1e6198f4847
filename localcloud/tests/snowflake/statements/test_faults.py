"""Injected faults, as seen by the connector and by queries with external functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from snowflake.connector.backoff_policies import linear_backoff
from snowflake.connector.errors import OperationalError, ProgrammingError
from snowflake.connector.vendored.requests.exceptions import ChunkedEncodingError

from localcloud.faults.rules import Fault, FaultPlan, Kind
from localcloud.snowflake.server import SnowflakeServer
from localcloud.tests.snowflake.service import Service, added


@pytest.fixture
def faults(server: SnowflakeServer) -> Iterator[FaultPlan]:
    yield server.faults
    server.faults.clear()


@pytest.fixture(scope="module")
def patient(connect: Callable[..., Any]) -> Any:
    """A connection without pauses between its retries."""
    return connect(backoff_policy=linear_backoff(base=0, factor=0, cap=0))


@pytest.mark.parametrize("kind", [Kind.THROTTLE, Kind.ERROR, Kind.DROP, Kind.LOSE, Kind.EXPIRE])
def test_the_connector_retries(patient: Any, faults: FaultPlan, kind: Kind) -> None:
    faults.add(Fault("snowflake:query", kind, count=2 if kind is Kind.ERROR else 1))
    assert patient.cursor().execute("SELECT 41 + 1").fetchall() == [(42,)]
    assert [item.kind for item in faults.fired] == [kind] * len(faults.fired) != []


def test_the_connector_does_not_retry_a_truncated_response(patient: Any, faults: FaultPlan) -> None:
    faults.add(Fault("snowflake:query", Kind.TRUNCATE, count=1))
    with pytest.raises(ChunkedEncodingError, match="IncompleteRead"):
        patient.cursor().execute("SELECT 41 + 1")
    assert patient.cursor().execute("SELECT 41 + 1").fetchall() == [(42,)]


def test_a_dropped_statement_does_not_run(patient: Any, faults: FaultPlan) -> None:
    cursor = patient.cursor()
    cursor.execute("CREATE OR REPLACE SCHEMA dropped")
    cursor.execute("CREATE TABLE t (a INT)")
    faults.add(Fault("snowflake:INSERT INTO", Kind.DROP, count=1))
    cursor.execute("INSERT INTO t VALUES (1)")
    assert cursor.execute("SELECT COUNT(*) FROM t").fetchall() == [(1,)]


def test_a_statement_whose_response_is_lost_runs_once(patient: Any, faults: FaultPlan) -> None:
    cursor = patient.cursor()
    cursor.execute("CREATE OR REPLACE SCHEMA lost")
    cursor.execute("CREATE TABLE t (a INT)")
    faults.add(Fault("snowflake:INSERT INTO", Kind.LOSE, count=1))
    cursor.execute("INSERT INTO t VALUES (1)")
    assert cursor.rowcount == 1
    assert len(faults.fired) == 1
    assert cursor.execute("SELECT COUNT(*) FROM t").fetchall() == [(1,)]


def test_statements_are_matched_by_their_first_words(patient: Any, faults: FaultPlan) -> None:
    faults.add(Fault("snowflake:create temporary table", Kind.THROTTLE, count=1))
    cursor = patient.cursor()
    cursor.execute("SELECT 1")
    assert not faults.fired
    cursor.execute("/* why */ CREATE\n  TEMPORARY -- what\n TABLE worded (a INT)")
    assert [(item.operation, item.kind) for item in faults.fired] == [("snowflake:query", Kind.THROTTLE)]


def test_slow_and_unanswered(patient: Any, faults: FaultPlan) -> None:
    faults.add(Fault("snowflake:SELECT", Kind.SLOW, seconds=0.4, count=1))
    began = time.monotonic()
    patient.cursor().execute("SELECT 1")
    assert time.monotonic() - began >= 0.4


def test_a_permanently_rejected_login(connect: Callable[..., Any], faults: FaultPlan) -> None:
    faults.add(Fault("snowflake:login", Kind.ERROR))
    with pytest.raises(OperationalError):
        connect(login_timeout=1, backoff_policy=linear_backoff(base=0, factor=0, cap=0))
    assert {item.operation for item in faults.fired} == {"snowflake:login"}


@pytest.fixture
def function(sql: Any, service: Service, schema: str) -> str:
    """``f``, an external function that adds its arguments; returns the path that the service sees."""
    path = f"/{schema.lower()}/faulty"
    service.behaviours[path] = added
    sql(
        "CREATE API INTEGRATION IF NOT EXISTS api API_PROVIDER = aws_api_gateway API_AWS_ROLE_ARN = 'arn:r' "
        f"API_ALLOWED_PREFIXES = ('{service.url}/') ENABLED = TRUE"
    )
    sql(
        "CREATE OR REPLACE EXTERNAL FUNCTION f(a FLOAT, b FLOAT) RETURNS FLOAT API_INTEGRATION = api "
        f"AS '{service.url}{path}'"
    )
    return path


@pytest.mark.parametrize(
    ("kind", "seen"), [(Kind.THROTTLE, 1), (Kind.ERROR, 1), (Kind.DROP, 1), (Kind.LOSE, 2), (Kind.TRUNCATE, 2)]
)
def test_a_batch_is_retried_with_its_id(
    sql: Any, service: Service, function: str, faults: FaultPlan, kind: Kind, seen: int
) -> None:
    faults.add(Fault("snowflake:external-function", kind, resource=function, count=1))
    before = len(service.on(function))
    assert sql("SELECT f(1, 2)") == [(3.0,)]
    requests = service.on(function)[before:]
    assert len(requests) == seen
    assert len({request.headers["sf-external-function-query-batch-id"] for request in requests}) == 1


def test_corrupted_service_responses_fail_the_query(sql: Any, function: str, faults: FaultPlan) -> None:
    faults.add(Fault("snowflake:external-function", Kind.CORRUPT, resource=function, count=1, seed=3))
    with pytest.raises(ProgrammingError) as raised:
        sql("SELECT f(1, 2)")
    assert raised.value.errno == 100_335


def test_fired_faults_contain_no_statement_text(sql: Any, function: str, faults: FaultPlan) -> None:
    faults.add(Fault("snowflake:*", Kind.SLOW, seconds=0.01))
    sql("SELECT 'a secret', f(1, 2)")
    assert {item["operation"] for item in faults.describe()["fired"]} == {
        "snowflake:query",
        "snowflake:external-function",
    }
