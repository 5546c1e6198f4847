"""``ports.Warehouse``, on Snowflake."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.cloud.snowflake import SESSION, SnowflakeWarehouse, connection_arguments
from app.errors import CallerError, NotFound, TransientError, Unauthorized
from app.sql import Statement
from localcloud.faults.control import RemotePlan
from localcloud.faults.rules import Fault, Kind
from tests.support.running import Clouds


@pytest.fixture
def table(warehouse: SnowflakeWarehouse) -> Iterator[str]:
    warehouse.run(Statement("CREATE OR REPLACE TABLE ML.CONTRACT_TEST (N NUMBER, T VARCHAR)"))
    yield "ML.CONTRACT_TEST"
    warehouse.run(Statement("DROP TABLE IF EXISTS ML.CONTRACT_TEST"))


@pytest.mark.parametrize(
    "value",
    [
        7,
        2**60,
        0.1,
        'it\'s \\ "quoted" ? :1 %s',
        "",
        True,
        None,
        Decimal("12.34"),
        date(1998, 7, 1),
        datetime(1998, 7, 1, 12, 30, 0, 123456),
    ],
)
def test_a_bind_is_returned_unchanged(warehouse: SnowflakeWarehouse, value: Any) -> None:
    assert warehouse.run(Statement("SELECT ? AS V", (value,))).rows == [(value,)]


def test_a_result_has_columns_and_rows(warehouse: SnowflakeWarehouse) -> None:
    answer = warehouse.run(Statement("SELECT 1 AS ONE, 'a' AS \"lower\""))
    assert answer.columns == ("ONE", "lower")
    assert answer.scalar() == 1


def test_statements_show_their_tag_and_run_in_the_warehouse_that_they_name(
    warehouse: SnowflakeWarehouse, environment: dict[str, str]
) -> None:
    found = SnowflakeWarehouse("SNOWSAGE", environment)
    try:
        own = found.run(Statement("SELECT CURRENT_WAREHOUSE()")).scalar()
        warehouse.run(Statement("CREATE WAREHOUSE IF NOT EXISTS HEAVY_WH"))
        warehouse.run(Statement(f"USE WAREHOUSE {own}"))  # the session that creates one uses it
        found.tag("tagged by a test")
        assert found.run(Statement("SELECT CURRENT_WAREHOUSE(), ?", ("heavy",), warehouse="HEAVY_WH")).rows == [
            ("HEAVY_WH", "heavy")
        ]
        assert found.run(Statement("SELECT CURRENT_WAREHOUSE()")).scalar() == own
        with pytest.raises(
            CallerError, match=r"warehouse MISSING_WH cannot be used: .* does not exist.*; set `warehouse` in pip"
        ):
            found.run(Statement("SELECT 1", warehouse="MISSING_WH"))
    finally:
        found.close()
    history = warehouse.run(
        Statement(
            "SELECT WAREHOUSE_NAME FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY()) WHERE QUERY_TAG = 'tagged by a test'"
        )
    )
    assert {row[0] for row in history.rows} == {"HEAVY_WH", own}
    warehouse.run(Statement("DROP WAREHOUSE HEAVY_WH"))


def test_statements_run_atomically_or_not_at_all(warehouse: SnowflakeWarehouse, table: str) -> None:
    insert = Statement(f"INSERT INTO {table} VALUES (?, ?)", (1, "a"))
    warehouse.run_atomically([insert, insert])
    with pytest.raises(CallerError):
        warehouse.run_atomically([insert, Statement(f"INSERT INTO {table} VALUES (1, 2, 3)")])
    assert warehouse.run(Statement(f"SELECT COUNT(*) FROM {table}")).scalar() == 2


def test_describe_returns_column_kinds_without_running_the_query(warehouse: SnowflakeWarehouse, table: str) -> None:
    query = "SELECT 1 AS A, 1.5::FLOAT AS B, 'x' AS C, TRUE AS D, '2020-01-01'::DATE AS E, SYSDATE() AS F, PARSE_JSON('1') AS G"
    kinds = [(column.name, column.kind) for column in warehouse.describe(query)]
    expected = ["number", "number", "text", "boolean", "time", "time", "other"]
    assert kinds == list(zip("ABCDEFG", expected, strict=True))
    assert warehouse.describe(f"SELECT * FROM {table}")[0].kind == "number"


def test_a_snowpark_frame_becomes_one_query(warehouse: SnowflakeWarehouse) -> None:
    query = warehouse.compile(lambda session: session.sql("SELECT 2 AS N").filter("N > 1"))
    assert warehouse.run(Statement(query)).rows == [(2,)]


def test_a_value_that_is_no_frame_or_needs_several_queries_is_rejected(warehouse: SnowflakeWarehouse) -> None:
    with pytest.raises(CallerError, match="must return a Snowpark DataFrame, it returned int"):
        warehouse.compile(lambda session: 3)
    with pytest.raises(CallerError, match="must be one query"):
        warehouse.compile(lambda session: session.create_dataframe([[n] for n in range(1000)], schema=["N"]))


def test_a_script_runs_statement_by_statement(warehouse: SnowflakeWarehouse, table: str) -> None:
    warehouse.run_script(
        f"-- a comment; with a semicolon\nINSERT INTO {table} VALUES (1, 'x;y');\nDELETE FROM {table};\n"
    )
    assert warehouse.run(Statement(f"SELECT COUNT(*) FROM {table}")).scalar() == 0


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("SELECT * FROM RAW.NO_SUCH_TABLE", NotFound, "NO_SUCH_TABLE"),
        ("SELECT NO_SUCH_COLUMN FROM RAW.ORDERS", CallerError, "NO_SUCH_COLUMN"),
        ("SELEC 1", CallerError, "syntax error"),
        ("SELECT 'a secret value'::NUMBER", CallerError, "Snowflake"),
    ],
)
def test_vendor_errors_are_translated_and_name_the_fault(
    warehouse: SnowflakeWarehouse, text: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        warehouse.run(Statement(text))


def test_values_in_errors_are_shown_only_where_the_statement_is_the_users_own(
    warehouse: SnowflakeWarehouse, environment: dict[str, str]
) -> None:
    statement = Statement("SELECT 'a secret value'::NUMBER")
    with pytest.raises(CallerError) as hidden:
        warehouse.run(statement)
    assert "a secret value" not in str(hidden.value)
    own = SnowflakeWarehouse("SNOWSAGE", environment, show_values=True)
    try:
        with pytest.raises(CallerError, match="'a secret value' is not recognized"):
            own.run(statement)
    finally:
        own.close()


def test_sql_runs_several_statements_of_a_file_in_one_session(clouds: Clouds, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(
        "CREATE TEMPORARY TABLE RAW.SCRIPT AS SELECT 1 AS N; -- two; rows\nSELECT N, 'x;y' AS T FROM RAW.SCRIPT;"
    )
    assert "1,x;y" in clouds.snowsage("sql", "-f", str(script), "--format", "csv").stdout
    assert json.loads(clouds.snowsage("sql", "SELECT 1 AS A; SELECT 2 AS B", "--json").stdout) == [
        [{"A": 1}],
        [{"B": 2}],
    ]
    failed = clouds.attempt("sql", "SELECT 1 AS FIRST;\nSELECT 'Ann'::NUMBER; SELECT 3 AS THIRD")
    assert failed.returncode == 2
    assert "FIRST" in failed.stdout
    assert "THIRD" not in failed.stdout
    assert "statement 2 of 3, line 2: Snowflake: Numeric value 'Ann' is not recognized" in failed.stderr


#: Values that an account may have and that would change what the product's statements do or answer.
UNUSUAL: dict[str, str | int | bool] = {
    "AUTOCOMMIT": False,
    "BINARY_INPUT_FORMAT": "BASE64",
    "BINARY_OUTPUT_FORMAT": "BASE64",
    "DATE_INPUT_FORMAT": "DD.MM.YYYY",
    "DATE_OUTPUT_FORMAT": "DD.MM.YYYY",
    "ENABLE_UNLOAD_PHYSICAL_TYPE_OPTIMIZATION": True,
    "ERROR_ON_NONDETERMINISTIC_MERGE": False,
    "ERROR_ON_NONDETERMINISTIC_UPDATE": True,
    "JSON_INDENT": 0,
    "MULTI_STATEMENT_COUNT": 0,
    "QUERY_TAG": "everyone",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": True,
    "ROWS_PER_RESULTSET": 1,
    "STRICT_JSON_OUTPUT": True,
    "TIMESTAMP_DAY_IS_ALWAYS_24H": True,
    "TIMESTAMP_INPUT_FORMAT": "DD.MM.YYYY HH24:MI",
    "TIMESTAMP_LTZ_OUTPUT_FORMAT": "DD.MM.YYYY",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": "DD.MM.YYYY",
    "TIMESTAMP_OUTPUT_FORMAT": "DD.MM.YYYY",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_LTZ",
    "TIMESTAMP_TZ_OUTPUT_FORMAT": "DD.MM.YYYY",
    "TIMEZONE": "America/Los_Angeles",
    "TIME_INPUT_FORMAT": "HH12:MI AM",
    "TIME_OUTPUT_FORMAT": "HH12:MI AM",
    "TRANSACTION_ABORT_ON_ERROR": True,
    "TRANSACTION_DEFAULT_ISOLATION_LEVEL": "SERIALIZABLE",
    "TWO_DIGIT_CENTURY_START": 1900,
    "WEEK_OF_YEAR_POLICY": 1,
    "WEEK_START": 7,
}


@pytest.fixture
def unusual(warehouse: SnowflakeWarehouse, environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user with unusual parameters, whose connection does not commit and has a time zone of its own."""
    home = Path(environment["SNOWFLAKE_HOME"])
    private = serialization.load_pem_private_key((home / "key.p8").read_bytes(), None)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    warehouse.run(Statement("CREATE OR REPLACE USER UNUSUAL"))
    warehouse.run(Statement(f"ALTER USER UNUSUAL SET RSA_PUBLIC_KEY = '{public}'"))
    for name, value in UNUSUAL.items():
        shown = f"'{value}'" if isinstance(value, str) else str(value).upper()
        warehouse.run(Statement(f"ALTER USER UNUSUAL SET {name} = {shown}"))
    own = tmp_path / "home"
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("aws"))
    path = own / "connections.toml"
    text = path.read_text().replace(
        'user = "SNOWSAGE"', 'user = "UNUSUAL"\nautocommit = false\ntimezone = "Asia/Tokyo"'
    )
    path.write_text(text)
    yield {**environment, "SNOWFLAKE_HOME": str(own)}
    warehouse.run(Statement("DROP USER UNUSUAL"))


@pytest.mark.skipif(
    "SNOWSAGE_LIVE" in os.environ, reason="the local cloud refuses statements under the values it lacks"
)
def test_the_adapter_sets_every_parameter_that_changes_what_statements_do(
    warehouse: SnowflakeWarehouse, unusual: dict[str, str], table: str
) -> None:
    assert set(UNUSUAL) == set(SESSION)
    own = SnowflakeWarehouse("SNOWSAGE", unusual)
    try:
        shown = {row[0]: (row[1], row[3]) for row in own.run(Statement("SHOW PARAMETERS")).rows}
        for name, value in SESSION.items():
            assert shown[name][0] == (str(value).lower() if isinstance(value, bool) else str(value)), name
        own.run(Statement(f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b')"))
        moment = datetime(1998, 7, 1, 12, 30)
        row = own.run(Statement("SELECT ?, ?::TIMESTAMP_NTZ::VARCHAR, '1998-07-01'::TIMESTAMP", (moment, moment))).rows[
            0
        ]
        assert row[:3] == (moment, "1998-07-01 12:30:00.000", datetime(1998, 7, 1))
        assert own.run(Statement('SELECT 1 AS "lower"')).columns == ("lower",)
    finally:
        own.close()
    # Another session sees the rows, so they were committed.
    assert warehouse.run(Statement(f"SELECT COUNT(*) FROM {table}")).scalar() == 2


def test_a_rejected_login_is_reported_without_retries(environment: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(Path(environment["SNOWFLAKE_HOME"]), home, ignore=shutil.ignore_patterns("aws"))
    path = home / "connections.toml"
    path.write_text(path.read_text().replace('user = "SNOWSAGE"', 'user = "WRONG_USER"'))
    with pytest.raises(Unauthorized, match="refuses the login"):
        SnowflakeWarehouse("SNOWSAGE", {**environment, "SNOWFLAKE_HOME": str(home)})


def test_connection_settings_are_found_in_each_supported_form() -> None:
    with pytest.raises(Unauthorized, match="SNOWFLAKE_PRIVATE_KEY_FILE"):
        connection_arguments({})
    with pytest.raises(Unauthorized, match="no longer lets services log in by password"):
        connection_arguments({"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u", "SNOWFLAKE_PASSWORD": "p"})
    key = connection_arguments({"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u", "SNOWFLAKE_PRIVATE_KEY_FILE": "k.p8"})
    assert key == {"account": "a", "user": "u", "private_key_file": "k.p8", "authenticator": "SNOWFLAKE_JWT"}
    workload = {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_AUTHENTICATOR": "WORKLOAD_IDENTITY"}
    assert connection_arguments({**workload, "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "AWS"}) == {
        "account": "a",
        "authenticator": "WORKLOAD_IDENTITY",
        "workload_identity_provider": "AWS",
    }
    assert connection_arguments({"SNOWFLAKE_CONNECTION_NAME": "prod"}) == {"connection_name": "prod"}


def test_a_server_that_is_down_is_a_transient_error(environment: dict[str, str], tmp_path: Path) -> None:
    key = Path(environment["SNOWFLAKE_HOME"]) / "key.p8"
    down = {
        "ACCOUNT": "LOCAL",
        "USER": "SNOWSAGE",
        "PRIVATE_KEY_FILE": str(key),
        "HOST": "127.0.0.1",
        "PORT": "9",
        "PROTOCOL": "http",
    }
    with pytest.raises(TransientError, match="cannot be reached"):
        SnowflakeWarehouse("SNOWSAGE", {f"SNOWFLAKE_{name}": value for name, value in down.items()}, login_timeout_s=2)


@pytest.mark.skipif("SNOWSAGE_LIVE" in os.environ, reason="faults are set in the local cloud only")
def test_a_truncated_response_is_a_transient_error(environment: dict[str, str], warehouse: SnowflakeWarehouse) -> None:
    RemotePlan(Path(environment["SNOWFLAKE_HOME"])).add(Fault("snowflake:SELECT", Kind.TRUNCATE, count=1))
    with pytest.raises(TransientError, match="broke during a response"):
        warehouse.run(Statement("SELECT 1"))
    assert warehouse.run(Statement("SELECT 1")).rows == [(1,)]
