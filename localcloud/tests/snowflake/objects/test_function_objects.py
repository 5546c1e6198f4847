"""External functions and integrations as objects: CREATE, ALTER, SHOW, DESCRIBE, DROP, GRANT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import DatabaseError

from localcloud.tests.snowflake.service import Service, added

Sql = Callable[..., list[tuple[Any, ...]]]


def failing(sql: Sql, text: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        sql(text)
    return caught.value


@pytest.fixture
def api(sql: Sql, service: Service, schema: str) -> str:
    """An integration for this test only."""
    name = f"API_{schema}"
    sql(
        f"CREATE API INTEGRATION {name} API_PROVIDER = aws_api_gateway API_AWS_ROLE_ARN = 'arn:r' API_KEY = 'secret' "
        f"API_ALLOWED_PREFIXES = ('{service.url}/') ENABLED = TRUE"
    )
    return name


@pytest.fixture
def url(service: Service, schema: str) -> str:
    service.behaviours[f"/{schema}/f"] = added
    return f"{service.url}/{schema}/f"


@pytest.fixture
def function(sql: Sql, api: str, url: str) -> str:
    sql(
        f"CREATE EXTERNAL FUNCTION f(a FLOAT) RETURNS FLOAT API_INTEGRATION = {api} HEADERS = ('k' = 'v') "
        f"CONTEXT_HEADERS = (current_role) MAX_BATCH_ROWS = 5 COMPRESSION = NONE COMMENT = 'mine' AS '{url}'"
    )
    return "f(FLOAT)"


def described(sql: Sql, kind: str, name: str) -> dict[str, Any]:
    """Properties by name."""
    rows = sql(f"DESCRIBE {kind} {name}")
    return {row[0]: row[1] if kind == "FUNCTION" else row[2] for row in rows}


def test_describe_and_show(cursor: Any, sql: Sql, function: str, schema: str, url: str) -> None:
    assert described(sql, "FUNCTION", function) == {
        "signature": "(A FLOAT)",
        "returns": "FLOAT",
        "language": "EXTERNAL",
        "null handling": "CALLED ON NULL INPUT",
        "volatility": "VOLATILE",
        "body": url,
        "headers": "k=v",
        "context_headers": "CURRENT_ROLE",
        "max_batch_rows": "5",
        "compression": "NONE",
        "request_translator": None,
        "response_translator": None,
    }
    for statement in (
        "SHOW EXTERNAL FUNCTIONS LIKE 'F'",
        f"SHOW FUNCTIONS IN SCHEMA {schema}",
        "SHOW USER FUNCTIONS LIKE 'f%'",
        f"SHOW FUNCTIONS IN {schema}",
        "SHOW FUNCTIONS IN DATABASE",
        "SHOW FUNCTIONS IN ACCOUNT",
    ):
        cursor.execute(statement)
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        (row,) = [row for row in rows if row["schema_name"] == schema]
        assert (row["name"], row["arguments"], row["description"]) == ("F", "F(FLOAT) RETURN FLOAT", "mine")
        assert (row["is_external_function"], row["language"], row["is_secure"]) == ("Y", "EXTERNAL", "N")
        assert (row["min_num_arguments"], row["catalog_name"]) == (1, "SNOWSAGE")
    assert sql("SHOW FUNCTIONS LIKE 'no_such'") == []
    assert sql("SHOW FUNCTIONS IN SCHEMA public") == []


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ("SET MAX_BATCH_ROWS = 7", "max_batch_rows", "7"),
        ("UNSET MAX_BATCH_ROWS", "max_batch_rows", "not set"),
        ("SET HEADERS = ('a' = 'b', 'c' = 'd')", "headers", "a=b,c=d"),
        ("UNSET HEADERS", "headers", None),
        ("SET CONTEXT_HEADERS = (current_user, current_date)", "context_headers", "CURRENT_USER,CURRENT_DATE"),
        ("UNSET CONTEXT_HEADERS", "context_headers", None),
        ("SET COMPRESSION = GZIP", "compression", "GZIP"),
        ("UNSET COMPRESSION", "compression", "AUTO"),
    ],
)
def test_alter(sql: Sql, function: str, change: str, name: str, value: str | None) -> None:
    before = described(sql, "FUNCTION", function)
    sql(f"ALTER FUNCTION {function} {change}")
    assert described(sql, "FUNCTION", function) == {**before, name: value}


def test_calls_use_the_altered_function(sql: Sql, service: Service, function: str, schema: str) -> None:
    sql("CREATE VIEW v AS SELECT f(column1) AS y FROM VALUES (1), (2), (3)")
    sql(f"ALTER FUNCTION {function} SET MAX_BATCH_ROWS = 2")
    assert sql("SELECT SUM(y) FROM v") == [(6.0,)]
    assert sorted(len(request.rows) for request in service.on(f"/{schema}/f")) == [1, 2]
    assert service.on(f"/{schema}/f")[0].headers["x-api-key"] == "secret"


def test_comment_secure_and_rename(sql: Sql, connect: Any, function: str, schema: str) -> None:
    sql(f"ALTER FUNCTION {function} SET COMMENT = 'new'")
    sql(f"ALTER FUNCTION {function} SET SECURE")
    row = sql(f"SHOW FUNCTIONS IN SCHEMA {schema}")[0]
    assert (row[9], row[13]) == ("new", "Y")
    assert "body" in described(sql, "FUNCTION", function)
    other = connect(role="SYSADMIN", schema=schema).cursor()
    shown = dict(other.execute(f"DESC FUNCTION {function}").fetchall())
    assert "body" not in shown
    assert "headers" not in shown
    sql(f"ALTER FUNCTION {function} UNSET SECURE, COMMENT")
    assert "body" in dict(other.execute(f"DESC FUNCTION {function}").fetchall())
    sql(f"ALTER FUNCTION {function} RENAME TO g")
    assert sql("SELECT g(2)") == [(2.0,)]
    assert failing(sql, "SELECT f(2)").errno == 2140
    sql("ALTER FUNCTION g(FLOAT) RENAME TO public.moved")
    assert sql("SELECT public.moved(2)") == [(2.0,)]
    sql("DROP FUNCTION public.moved(FLOAT)")


def test_invalid_alterations_are_rejected(sql: Sql, function: str, api: str, service: Service) -> None:
    assert failing(sql, "ALTER FUNCTION no_such(FLOAT) SET SECURE").errno == 2003
    assert sql("ALTER FUNCTION IF EXISTS no_such(FLOAT) SET SECURE") == [("Statement executed successfully.",)]
    assert failing(sql, f"ALTER FUNCTION {function} SET API_INTEGRATION = no_such").errno == 2003
    assert failing(sql, f"ALTER FUNCTION {function} SET REQUEST_TRANSLATOR = t").errno == 2
    assert failing(sql, f"ALTER FUNCTION {function} SET LOG_LEVEL = 'INFO'").errno == 2
    assert failing(sql, f"ALTER FUNCTION {function} UNSET API_INTEGRATION").errno == 1420
    assert failing(sql, f"ALTER FUNCTION {function} SET COLOUR = 'red'").errno == 1420
    sql(f"CREATE EXTERNAL FUNCTION g(a FLOAT) RETURNS FLOAT API_INTEGRATION = {api} AS '{service.url}/g'")
    assert failing(sql, f"ALTER FUNCTION {function} RENAME TO g").errno == 2002


def test_create_an_existing_function(sql: Sql, function: str, api: str, url: str) -> None:
    again = f"EXTERNAL FUNCTION f(b FLOAT) RETURNS FLOAT NOT NULL API_INTEGRATION = {api} AS '{url}'"
    assert failing(sql, f"CREATE {again}").errno == 2002
    sql(f"CREATE OR REPLACE SECURE {again}")
    found = described(sql, "FUNCTION", function)
    assert (found["signature"], found["returns"]) == ("(B FLOAT)", "FLOAT NOT NULL")
    sql("GRANT USAGE ON FUNCTION f(FLOAT) TO ROLE sysadmin")
    assert sql(f"DROP FUNCTION {function}") == [("F successfully dropped.",)]
    assert failing(sql, f"DROP FUNCTION {function}").errno == 2003
    assert failing(sql, f"DESC FUNCTION {function}").errno == 2003


def test_statements_can_be_described_without_running(cursor: Any, function: str) -> None:
    assert [column.name for column in cursor.describe(f"DESCRIBE FUNCTION {function}")] == ["property", "value"]
    assert cursor.describe(f"ALTER FUNCTION {function} SET SECURE")[0].name == "status"
    assert "language" in [column.name for column in cursor.describe("SHOW FUNCTIONS")]
    assert cursor.execute("SHOW FUNCTIONS LIKE 'f'").fetchall()[0][13] == "N"


def test_the_integration_is_checked_at_every_call(sql: Sql, function: str, api: str, service: Service) -> None:
    assert sql("SELECT f(1)") == [(1.0,)]
    for change, back, code in (
        ("SET ENABLED = FALSE", "SET ENABLED = TRUE", 90256),
        (f"SET API_BLOCKED_PREFIXES = ('{service.url}/')", "UNSET API_BLOCKED_PREFIXES", 90255),
        ("SET API_ALLOWED_PREFIXES = ('https://elsewhere/')", f"SET API_ALLOWED_PREFIXES = ('{service.url}/')", 90255),
    ):
        sql(f"ALTER API INTEGRATION {api} {change}")
        assert failing(sql, "SELECT f(1)").errno == code
        sql(f"ALTER INTEGRATION {api} {back}")
        assert sql("SELECT f(1)") == [(1.0,)]
    sql(f"DROP INTEGRATION {api}")
    assert failing(sql, "SELECT f(1)").errno == 2003


def test_alter_keeps_the_external_id_and_replace_changes_it(sql: Sql, api: str, service: Service) -> None:
    before = described(sql, "INTEGRATION", api)
    assert before["API_AWS_IAM_USER_ARN"].startswith("arn:aws:iam::")
    sql(f"ALTER API INTEGRATION {api} SET API_AWS_ROLE_ARN = 'arn:other' COMMENT = 'c' ENABLED = FALSE")
    after = described(sql, "API INTEGRATION", api)
    assert after == {**before, "API_AWS_ROLE_ARN": "arn:other", "COMMENT": "c", "ENABLED": "false"}
    assert [row[3:5] for row in sql(f"SHOW API INTEGRATIONS LIKE '{api}'")] == [("false", "c")]
    sql(f"ALTER INTEGRATION {api} UNSET COMMENT, API_KEY")
    assert described(sql, "INTEGRATION", api)["COMMENT"] == ""
    sql(
        f"CREATE OR REPLACE API INTEGRATION {api} API_PROVIDER = aws_api_gateway API_AWS_ROLE_ARN = 'arn:r' "
        f"API_ALLOWED_PREFIXES = ('{service.url}/') ENABLED = TRUE"
    )
    assert described(sql, "INTEGRATION", api)["API_AWS_EXTERNAL_ID"] != before["API_AWS_EXTERNAL_ID"]


def test_alter_a_storage_integration(sql: Sql, schema: str) -> None:
    name = f"LAKE_{schema}"
    sql(
        f"CREATE STORAGE INTEGRATION {name} TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE "
        "STORAGE_AWS_ROLE_ARN = 'arn:r' STORAGE_ALLOWED_LOCATIONS = ('s3://lake/')"
    )
    before = described(sql, "INTEGRATION", name)
    sql(
        f"ALTER STORAGE INTEGRATION {name} SET STORAGE_ALLOWED_LOCATIONS = ('s3://a/', 's3://b/') "
        "STORAGE_BLOCKED_LOCATIONS = ('s3://a/x/')"
    )
    after = described(sql, "INTEGRATION", name)
    assert after == {**before, "STORAGE_ALLOWED_LOCATIONS": "s3://a/,s3://b/", "STORAGE_BLOCKED_LOCATIONS": "s3://a/x/"}
    assert failing(sql, f"ALTER STORAGE INTEGRATION {name} SET STORAGE_ALLOWED_LOCATIONS = ('gcs://a/')").errno == 1008
    assert failing(sql, f"ALTER API INTEGRATION {name} SET ENABLED = FALSE").errno == 2003
    assert failing(sql, f"ALTER INTEGRATION {name} SET API_KEY = 'k'").errno == 1420
    assert failing(sql, f"ALTER INTEGRATION {name} SET TAG a = 'b'").errno == 2
    assert failing(sql, f"ALTER INTEGRATION {name} SET").errno == 1003
    assert sql("ALTER INTEGRATION IF EXISTS no_such SET ENABLED = TRUE") == [("Statement executed successfully.",)]
    assert failing(sql, "ALTER INTEGRATION no_such SET ENABLED = TRUE").errno == 2003


def test_a_translator_is_rejected(sql: Sql, api: str, url: str) -> None:
    for option in ("REQUEST_TRANSLATOR", "RESPONSE_TRANSLATOR"):
        error = failing(
            sql, f"CREATE EXTERNAL FUNCTION t() RETURNS FLOAT API_INTEGRATION = {api} {option} = x AS '{url}'"
        )
        assert (error.errno, error.sqlstate) == (2, "0A000")
        assert option in error.raw_msg


def test_functions_are_dropped_with_their_schema(
    sql: Sql, connect: Any, function: str, api: str, url: str, schema: str
) -> None:
    sql("CREATE SCHEMA inner_one")
    sql(f"CREATE EXTERNAL FUNCTION inner_one.g() RETURNS FLOAT API_INTEGRATION = {api} AS '{url}'")
    assert len(sql("SHOW FUNCTIONS IN SCHEMA inner_one")) == 1
    sql("DROP SCHEMA inner_one")
    sql("CREATE SCHEMA inner_one")
    assert sql("SHOW FUNCTIONS IN SCHEMA inner_one") == []
    sql("DROP SCHEMA inner_one")
    sql(f"USE SCHEMA {schema}")
    assert sql("SELECT f(1)") == [(1.0,)]
