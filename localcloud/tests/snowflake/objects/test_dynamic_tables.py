"""Dynamic tables: rows are computed on creation, on REFRESH, and when they are older than the target lag."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import snowflake.connector
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.clock import ManualClock
from localcloud.snowflake.server import SnowflakeServer
from localcloud.tests.snowflake.conftest import public_pem

Sql = Callable[..., list[tuple[Any, ...]]]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(datetime(2030, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def warehouse(s3_url: str, private_key: rsa.RSAPrivateKey, clock: ManualClock) -> Iterator[Any]:
    """A connection to a server with a manual clock."""
    running = SnowflakeServer(aws_endpoint_url=s3_url, public_keys={"SERVICE": public_pem(private_key)}, clock=clock)
    running.start()
    address = {"host": "127.0.0.1", "port": running.port, "protocol": "http", "account": "LOCAL"}
    login = {"user": "SERVICE", "private_key": private_key, "database": "SNOWSAGE"}
    with snowflake.connector.connect(**address, **login) as connection:
        connection.cursor().execute("CREATE WAREHOUSE w")
        yield connection
    running.stop()


@pytest.fixture
def run(warehouse: Any) -> Sql:
    def run_(text: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = warehouse.cursor().execute(text).fetchall()
        return rows

    run_(f"CREATE SCHEMA d{next(_numbers)}")
    run_("CREATE TABLE orders (a INT)")
    run_("INSERT INTO orders VALUES (1), (2)")
    return run_


def _refused(run: Sql, text: str) -> tuple[int | None, str | None]:
    with pytest.raises(ProgrammingError) as failed:
        run(text)
    return failed.value.errno, failed.value.sqlstate


def test_rows_are_computed_on_creation_and_on_refresh(run: Sql) -> None:
    made = run("CREATE DYNAMIC TABLE total TARGET_LAG = '1 hour' WAREHOUSE = w AS SELECT SUM(a) AS s FROM orders")
    assert made == [("Dynamic table TOTAL successfully created.",)]
    assert run("SELECT s FROM total") == [(3,)]
    run("INSERT INTO orders VALUES (4)")
    assert run("SELECT s FROM total") == [(3,)]
    run("ALTER DYNAMIC TABLE total REFRESH")
    assert run("SELECT s FROM total") == [(7,)]


def test_rows_older_than_the_lag_are_refreshed_before_they_are_read(run: Sql, clock: ManualClock) -> None:
    run("CREATE DYNAMIC TABLE total TARGET_LAG = '1 minute' WAREHOUSE = w AS SELECT SUM(a) AS s FROM orders")
    run("CREATE VIEW shown AS SELECT s FROM total")
    run("INSERT INTO orders VALUES (4)")
    clock.advance(59)
    assert run("SELECT s FROM shown") == [(3,)]
    clock.advance(1)
    assert run("SELECT s FROM shown") == [(7,)]
    run("ALTER DYNAMIC TABLE total SUSPEND")
    run("INSERT INTO orders VALUES (5)")
    clock.advance(3600)
    assert run("SELECT s FROM total") == [(7,)]
    run("ALTER DYNAMIC TABLE total RESUME")
    assert run("SELECT s FROM total") == [(12,)]


def test_a_downstream_table_is_refreshed_for_its_reader(run: Sql, clock: ManualClock) -> None:
    run("CREATE DYNAMIC TABLE low TARGET_LAG = DOWNSTREAM WAREHOUSE = w AS SELECT a * 2 AS b FROM orders")
    run("CREATE DYNAMIC TABLE high TARGET_LAG = '2 minutes' WAREHOUSE = w AS SELECT MAX(b) AS m FROM low")
    run("INSERT INTO orders VALUES (10)")
    assert run("SELECT MAX(b) FROM low") == [(4,)]
    clock.advance(120)
    assert run("SELECT m FROM high") == [(20,)]
    assert run("SELECT MAX(b) FROM low") == [(20,)]


def test_initialize_on_schedule_creates_an_empty_table(run: Sql) -> None:
    run(
        "CREATE OR REPLACE DYNAMIC TABLE late TARGET_LAG = '1 day' WAREHOUSE = w REFRESH_MODE = FULL "
        "INITIALIZE = ON_SCHEDULE COMMENT = 'later' AS SELECT a FROM orders"
    )
    assert run("SELECT COUNT(*) FROM late") == [(2,)]


def test_a_failing_refresh_keeps_the_rows_and_suspends_after_five_failures(run: Sql, clock: ManualClock) -> None:
    run("CREATE DYNAMIC TABLE copy_ TARGET_LAG = '1 minute' WAREHOUSE = w AS SELECT a FROM orders")
    run("DROP TABLE orders")
    for _ in range(5):
        clock.advance(60)
        assert run("SELECT COUNT(*) FROM copy_") == [(2,)]
    (shown,) = run("SHOW DYNAMIC TABLES LIKE 'copy_'")
    assert shown[15] == "SUSPENDED"
    assert _refused(run, "ALTER DYNAMIC TABLE copy_ REFRESH") == (2003, "42S02")


def test_show_describe_set_and_drop(run: Sql, warehouse: Any) -> None:
    run("CREATE DYNAMIC TABLE d TARGET_LAG = '5 minutes' WAREHOUSE = w AS SELECT a FROM orders")
    run("ALTER DYNAMIC TABLE d SET TARGET_LAG = DOWNSTREAM COMMENT = 'seen'")
    cursor = warehouse.cursor(snowflake.connector.DictCursor)
    cursor.execute("SHOW DYNAMIC TABLES LIKE 'd' IN SCHEMA")
    (row,) = cursor.fetchall()
    shown = [row[name] for name in ("name", "target_lag", "warehouse", "comment", "rows", "scheduling_state")]
    assert shown == ["D", "DOWNSTREAM", "W", "seen", 2, "ACTIVE"]
    assert run("DESC DYNAMIC TABLE d") == run("DESC TABLE d")
    assert run("DROP DYNAMIC TABLE d") == [("D successfully dropped.",)]
    assert _refused(run, "SELECT * FROM d") == (2003, "42S02")


@pytest.mark.parametrize(
    "statement",
    [
        *("INSERT INTO d VALUES (1)", "UPDATE d SET a = 1", "DELETE FROM d", "TRUNCATE TABLE d", "DROP TABLE d"),
        *("ALTER TABLE d ADD COLUMN b INT", "INSERT OVERWRITE INTO d SELECT 1"),
        "MERGE INTO d USING orders o ON d.a = o.a WHEN MATCHED THEN DELETE",
    ],
)
def test_dml_and_ddl_on_a_dynamic_table_are_rejected(run: Sql, statement: str) -> None:
    run("CREATE DYNAMIC TABLE d TARGET_LAG = '1 day' WAREHOUSE = w AS SELECT a FROM orders")
    assert _refused(run, statement) == (2, "0A000")
    assert run("SELECT a FROM d ORDER BY a") == [(1,), (2,)]


def test_a_dynamic_table_is_dropped_with_its_schema(run: Sql) -> None:
    run("CREATE DYNAMIC TABLE gone TARGET_LAG = '1 day' WAREHOUSE = w AS SELECT a FROM orders")
    ((own,),) = run("SELECT CURRENT_SCHEMA()")
    run(f"DROP SCHEMA {own}")
    assert run("SHOW DYNAMIC TABLES LIKE 'gone' IN ACCOUNT") == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("CREATE DYNAMIC TABLE d WAREHOUSE = w AS SELECT 1 AS a", 2029),
        ("CREATE DYNAMIC TABLE d TARGET_LAG = '30 seconds' WAREHOUSE = w AS SELECT 1 AS a", 1008),
        ("CREATE DYNAMIC TABLE d TARGET_LAG = 'soon' WAREHOUSE = w AS SELECT 1 AS a", 1008),
        ("CREATE DYNAMIC TABLE d TARGET_LAG = '1 day' WAREHOUSE = nowhere AS SELECT 1 AS a", 2003),
        ("CREATE DYNAMIC TABLE d TARGET_LAG = '1 day' WAREHOUSE = w AS SELECT b FROM orders", 904),
        ("CREATE DYNAMIC TABLE orders TARGET_LAG = '1 day' WAREHOUSE = w AS SELECT 1 AS a", 2002),
        ("CREATE DYNAMIC TABLE d (a INT) TARGET_LAG = '1 day' WAREHOUSE = w AS SELECT 1 AS a", 2),
        ("ALTER DYNAMIC TABLE nowhere REFRESH", 2003),
        ("DROP DYNAMIC TABLE nowhere", 2003),
    ],
)
def test_unsupported_statements_are_rejected(run: Sql, statement: str, code: int) -> None:
    assert _refused(run, statement)[0] == code
