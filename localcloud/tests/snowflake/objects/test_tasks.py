"""Tasks: schedules, sessions, graphs, and a stream scored by a task exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import snowflake.connector
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.clock import ManualClock
from localcloud.snowflake.objects.tasks.schedule import parse_schedule
from localcloud.snowflake.server import SnowflakeServer
from localcloud.tests.snowflake.conftest import public_pem
from localcloud.tests.waiting import wait_for

Sql = Callable[..., list[tuple[Any, ...]]]
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def timed(s3_url: str, private_key: rsa.RSAPrivateKey) -> Iterator[SnowflakeServer]:
    """A server with a manual clock."""
    running = SnowflakeServer(
        aws_endpoint_url=s3_url, public_keys={"SERVICE": public_pem(private_key)}, clock=ManualClock(START)
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def timed_connect(timed: SnowflakeServer, private_key: rsa.RSAPrivateKey) -> Iterator[Callable[[], Any]]:
    opened: list[Any] = []

    def open_() -> Any:
        opened.append(
            snowflake.connector.connect(
                account="LOCAL",
                user="SERVICE",
                private_key=private_key,
                authenticator="SNOWFLAKE_JWT",
                host="127.0.0.1",
                port=timed.port,
                protocol="http",
                database="SNOWSAGE",
            )
        )
        return opened[-1]

    yield open_
    for connection in opened:
        connection.close()


@pytest.fixture
def run(timed_connect: Callable[[], Any], request: pytest.FixtureRequest) -> Sql:
    connection = timed_connect()
    connection.cursor().execute(f'CREATE SCHEMA "{request.node.name}"')

    def run_(text: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = connection.cursor().execute(text).fetchall()
        return rows

    run_("CREATE TABLE log (what VARCHAR)")
    return run_


def code(sql: Sql, text: str) -> tuple[int, str]:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value.errno, caught.value.sqlstate


def states(run: Sql, name: str) -> list[str]:
    found = run(
        f"SELECT state FROM TABLE(INFORMATION_SCHEMA.TASK_HISTORY(TASK_NAME => '{name}')) "
        "WHERE state <> 'SCHEDULED' AND schema_name = CURRENT_SCHEMA() ORDER BY run_id"
    )
    return [state for (state,) in found]


def test_a_task_runs_on_its_schedule_while_it_is_resumed(run: Sql, timed: SnowflakeServer) -> None:
    body = "INSERT INTO log SELECT CURRENT_ROLE() || ' ' || SYSTEM$CURRENT_USER_TASK_NAME()"
    assert run(f"CREATE TASK every WAREHOUSE = compute_wh SCHEDULE = '5 MINUTES' AS {body}") == [
        ("Task EVERY successfully created.",)
    ]
    timed.advance(600)
    assert run("SELECT COUNT(*) FROM log") == [(0,)]
    run("ALTER TASK every RESUME")
    timed.advance(299)
    assert run("SELECT COUNT(*) FROM log") == [(0,)]
    timed.advance(301)
    schema = run("SELECT CURRENT_SCHEMA()")[0][0]
    assert run("SELECT * FROM log") == [(f"ACCOUNTADMIN SNOWSAGE.{schema}.EVERY",)] * 2
    run("ALTER TASK every SUSPEND")
    timed.advance(600)
    assert states(run, "every") == ["SUCCEEDED", "SUCCEEDED"]


def test_a_graph_passes_values_and_ends_with_its_finalizer(run: Sql, timed: SnowflakeServer) -> None:
    run("CREATE TASK root SCHEDULE = '1 MINUTE' CONFIG = '{\"k\": \"v\"}' AS CALL SYSTEM$SET_RETURN_VALUE('seven')")
    run("CREATE TASK child AFTER root AS INSERT INTO log SELECT 'got ' || SYSTEM$GET_PREDECESSOR_RETURN_VALUE()")
    run("CREATE TASK never AFTER root WHEN SYSTEM$GET_PREDECESSOR_RETURN_VALUE('ROOT') = 'x' AS SELECT 1")
    run("CREATE TASK last AFTER child, never AS INSERT INTO log SELECT SYSTEM$GET_TASK_GRAPH_CONFIG('k')")
    run("CREATE TASK final FINALIZE = root AS INSERT INTO log VALUES ('final')")
    run("SELECT SYSTEM$TASK_DEPENDENTS_ENABLE('root')")
    timed.advance(60)
    assert run("SELECT * FROM log") == [("got seven",), ("v",), ("final",)]
    assert (states(run, "never"), states(run, "last")) == (["SKIPPED"], ["SUCCEEDED"])
    names = run("SELECT name FROM TABLE(INFORMATION_SCHEMA.TASK_DEPENDENTS(TASK_NAME => 'root')) ORDER BY 1")
    assert names == [("CHILD",), ("LAST",), ("NEVER",), ("ROOT",)]
    assert code(run, "ALTER TASK child SUSPEND") == (91421, "22000")
    assert code(run, "CREATE TASK more AFTER root AS SELECT 1") == (91421, "22000")
    run("ALTER TASK root SUSPEND")
    assert code(run, "ALTER TASK child ADD AFTER last")[1] == "22000"


def test_failures_are_recorded_retried_and_suspend_the_task(run: Sql, timed: SnowflakeServer) -> None:
    run("CREATE TASK bad SCHEDULE = '1 MINUTE' SUSPEND_TASK_AFTER_NUM_FAILURES = 2 AS INSERT INTO log SELECT 1 / 0")
    run("ALTER TASK bad RESUME")
    timed.advance(600)
    assert states(run, "bad") == ["FAILED", "FAILED_AND_AUTO_SUSPENDED"]
    assert run(
        "SELECT error_code FROM TABLE(INFORMATION_SCHEMA.TASK_HISTORY(RESULT_LIMIT => 1, ERROR_ONLY => TRUE))"
    ) == [("100051",)]
    run("ALTER TASK bad MODIFY AS INSERT INTO log VALUES ('fixed')")
    run("EXECUTE TASK bad RETRY LAST")
    timed.advance(0)
    assert run("SELECT * FROM log") == [("fixed",)]
    assert code(run, "EXECUTE TASK bad RETRY LAST")[1] == "22000"


def test_objects_and_errors(run: Sql) -> None:
    run("CREATE TASK t SCHEDULE = 'USING CRON 0 9-17 * * MON-FRI America/New_York' COMMENT = 'c' WHEN TRUE AS SELECT 1")
    assert code(run, "CREATE TASK t AS SELECT 1") == (2002, "42710")
    assert code(run, "CREATE TASK x AFTER nowhere AS SELECT 1") == (2003, "02000")
    assert code(run, "CREATE TASK x SCHEDULE = 'now and then' AS SELECT 1") == (1008, "22023")
    assert code(run, "CREATE TASK x ERROR_INTEGRATION = e AS SELECT 1") == (2, "0A000")
    assert code(run, "SELECT SYSTEM$CURRENT_USER_TASK_NAME()")[1] == "22000"
    (row,) = run("SHOW TASKS IN SCHEMA")
    assert (row[1], row[6], row[10:13]) == ("T", "c", ("suspended", "SELECT 1", "TRUE"))
    assert run("DESCRIBE TASK t")[0][2] == row[2]
    run("GRANT OPERATE ON TASK t TO ROLE sysadmin")
    assert run("DROP TASK t") == [("T successfully dropped.",)]
    assert code(run, "EXECUTE TASK t") == (2003, "02000")


def test_an_unread_stream_becomes_stale(run: Sql, timed: SnowflakeServer) -> None:
    run("CREATE STREAM s ON TABLE log")
    run("INSERT INTO log VALUES ('x')")
    timed.advance(13 * 86_400)
    assert run("SELECT what FROM s") == [("x",)]
    timed.advance(2 * 86_400)
    assert code(run, "SELECT what FROM s") == (707, "02000")


def test_scoring_new_rows_exactly_once_while_others_insert(
    run: Sql, timed: SnowflakeServer, timed_connect: Callable[[], Any]
) -> None:
    run("CREATE TABLE landing (id INT, x FLOAT)")
    run("CREATE TABLE scores (id INT, score FLOAT)")
    run("CREATE STREAM fresh ON TABLE landing APPEND_ONLY = TRUE")
    run(
        "CREATE TASK score SCHEDULE = '10 SECONDS' WHEN SYSTEM$STREAM_HAS_DATA('fresh') "
        "AS MERGE INTO scores USING (SELECT id, 2 * x + 1 AS score FROM fresh) AS f ON scores.id = f.id "
        "WHEN NOT MATCHED THEN INSERT (id, score) VALUES (f.id, f.score) "
        "WHEN MATCHED THEN UPDATE SET score = -1"
    )
    run("ALTER TASK score RESUME")
    timed.advance(10)
    assert states(run, "score") == ["SKIPPED"]
    schema = run("SELECT CURRENT_SCHEMA()")[0][0]

    def write(base: int) -> None:
        cursor = timed_connect().cursor()
        cursor.execute(f'USE SCHEMA "{schema}"')
        for number in range(10):
            cursor.execute(f"INSERT INTO landing VALUES ({base + number}, {number})")

    writers = [threading.Thread(target=write, args=(base,)) for base in (0, 100)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        timed.advance(10)
    timed.advance(10)
    assert run("SELECT id, score FROM scores ORDER BY id") == [
        (base + number, 2.0 * number + 1) for base in (0, 100) for number in range(10)
    ]
    assert "FAILED" not in states(run, "score")
    run("ALTER TASK score SUSPEND")


def test_execute_task_runs_in_the_background_with_a_real_clock(sql: Sql) -> None:
    sql("CREATE TABLE log (what VARCHAR)")
    sql("CREATE TASK once AS INSERT INTO log VALUES ('ran')")
    sql("EXECUTE TASK once")
    wait_for(lambda: sql("SELECT * FROM log"), lambda rows: rows == [("ran",)])


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("30 2 * * * Europe/Berlin", "2026-03-28T12:00+00:00", "2026-03-30T00:30+00:00"),
        ("30 2 * * * Europe/Berlin", "2026-10-25T00:30+00:00", "2026-10-26T01:30+00:00"),
        ("0 0 L * * UTC", "2028-02-01T00:00+00:00", "2028-02-29T00:00+00:00"),
        ("0 0 13 * FRI UTC", "2026-03-01T00:00+00:00", "2026-03-06T00:00+00:00"),
        ("*/20 8 * JAN 5L UTC", "2026-01-30T08:00+00:00", "2026-01-30T08:20+00:00"),
    ],
)
def test_cron(cron: str, after: str, expected: str) -> None:
    found = parse_schedule(f"USING CRON {cron}").after(datetime.fromisoformat(after))
    assert found == datetime.fromisoformat(expected)
