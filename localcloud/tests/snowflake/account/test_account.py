"""Roles, users, warehouses and grants: recorded and listed as in Snowflake, but not enforced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import DatabaseError, ProgrammingError

from localcloud.tests.snowflake.conftest import public_pem

Sql = Callable[..., list[tuple[Any, ...]]]
Named = Callable[[str], list[dict[str, Any]]]


def errno(sql: Sql, text: str) -> int | None:
    """The error code of a rejected statement."""
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value.errno


@pytest.fixture
def analyst(sql: Sql) -> Any:
    sql("CREATE ROLE analyst COMMENT = 'reads'")
    yield "ANALYST"
    sql("USE ROLE accountadmin")
    sql("DROP ROLE IF EXISTS analyst")


@pytest.fixture
def named(cursor: Any) -> Named:
    """Run a SHOW or DESCRIBE and fetch its rows as dictionaries."""

    def run(statement: str) -> list[dict[str, Any]]:
        cursor.execute(statement)
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    return run


def test_use_list_and_drop_a_role(sql: Sql, named: Named, analyst: str) -> None:
    sql("CREATE ROLE IF NOT EXISTS analyst")
    assert errno(sql, "CREATE ROLE analyst") == 2002
    sql("USE ROLE analyst")
    (role,) = named("SHOW ROLES LIKE 'ana%'")
    assert (role["name"], role["is_current"], role["owner"], role["comment"]) == (analyst, "Y", "ACCOUNTADMIN", "reads")
    sql("USE ROLE accountadmin")
    assert sql("DROP ROLE analyst") == [("ANALYST successfully dropped.",)]
    assert errno(sql, "USE ROLE analyst") == 2043


def test_a_renamed_role_keeps_its_grants(sql: Sql, named: Named, analyst: str) -> None:
    sql("GRANT USAGE ON DATABASE snowsage TO ROLE analyst")
    sql("GRANT ROLE analyst TO ROLE sysadmin")
    sql("ALTER ROLE analyst RENAME TO reader")
    assert [row["name"] for row in named("SHOW GRANTS TO ROLE reader")] == ["SNOWSAGE"]
    assert [row["grantee_name"] for row in named("SHOW GRANTS OF ROLE reader")] == ["SYSADMIN"]
    assert errno(sql, "SHOW GRANTS TO ROLE analyst") == 2003
    sql("DROP ROLE reader")
    assert "READER" not in {row["name"] for row in named("SHOW GRANTS TO ROLE sysadmin")}


def test_grants_to_of_and_on(sql: Sql, named: Named, schema: str, analyst: str) -> None:
    sql("CREATE OR REPLACE TABLE granted (a INT)")
    sql("GRANT SELECT, INSERT ON TABLE granted TO ROLE analyst WITH GRANT OPTION")
    sql("GRANT EXECUTE TASK ON ACCOUNT TO ROLE analyst")
    sql("GRANT ROLE analyst TO USER service")
    to = named("SHOW GRANTS TO ROLE analyst")
    assert [(row["privilege"], row["granted_on"], row["name"], row["grant_option"]) for row in to] == [
        ("SELECT", "TABLE", f"SNOWSAGE.{schema}.GRANTED", "true"),
        ("INSERT", "TABLE", f"SNOWSAGE.{schema}.GRANTED", "true"),
        ("EXECUTE TASK", "ACCOUNT", "LOCAL", "false"),
    ]
    assert {row["granted_by"] for row in to} == {"ACCOUNTADMIN"}
    on = named(f"SHOW GRANTS ON TABLE snowsage.{schema}.granted")
    assert [(row["privilege"], row["grantee_name"]) for row in on] == [("SELECT", analyst), ("INSERT", analyst)]
    assert [row["privilege"] for row in named("SHOW GRANTS ON ACCOUNT")] == ["EXECUTE TASK"]
    assert [(row["granted_to"], row["grantee_name"]) for row in named("SHOW GRANTS OF ROLE analyst")] == [
        ("USER", "SERVICE")
    ]
    assert [row["role"] for row in named("SHOW GRANTS TO USER service")] == [analyst]
    assert [row["role"] for row in named("SHOW GRANTS")] == [analyst]
    sql("REVOKE INSERT, SELECT ON TABLE granted FROM ROLE analyst")
    assert named("SHOW GRANTS ON TABLE granted") == []


def test_future_grants_are_listed_separately(sql: Sql, named: Named, analyst: str) -> None:
    sql("GRANT SELECT ON FUTURE TABLES IN SCHEMA snowsage.public TO ROLE analyst")
    assert named("SHOW GRANTS TO ROLE analyst") == []
    expected = [("SELECT", "TABLE", "SNOWSAGE.PUBLIC.<TABLE>", analyst)]
    for statement in ("SHOW FUTURE GRANTS TO ROLE analyst", "SHOW FUTURE GRANTS IN SCHEMA snowsage.public"):
        found = named(statement)
        assert [(row["privilege"], row["grant_on"], row["name"], row["grantee_name"]) for row in found] == expected


def test_inherited_roles(sql: Sql, named: Named, analyst: str) -> None:
    sql("GRANT ROLE analyst TO ROLE sysadmin")
    sql("GRANT ROLE sysadmin TO ROLE accountadmin")
    roles = {row["name"]: row for row in named("SHOW ROLES")}
    assert {name for name, row in roles.items() if row["is_inherited"] == "Y"} == {analyst, "SYSADMIN"}
    assert roles[analyst]["granted_to_roles"] == 1
    assert errno(sql, "GRANT ROLE missing TO ROLE analyst") == 2003
    assert errno(sql, "GRANT ROLE analyst TO USER missing") == 2003


def test_warehouses(sql: Sql, named: Named) -> None:
    sql("CREATE OR REPLACE WAREHOUSE small WITH WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 INITIALLY_SUSPENDED = TRUE")
    sql("USE WAREHOUSE small")
    (found,) = named("SHOW WAREHOUSES LIKE 'small'")
    assert [found[key] for key in ("state", "size", "auto_suspend", "is_current")] == ["SUSPENDED", "X-Small", 60, "Y"]
    sql("ALTER WAREHOUSE small RESUME IF SUSPENDED")
    sql("ALTER WAREHOUSE small SET WAREHOUSE_SIZE = '2X-LARGE' COMMENT = 'bigger'")
    (found,) = named("SHOW WAREHOUSES LIKE 'small'")
    assert [found[key] for key in ("state", "size", "comment")] == ["STARTED", "2X-Large", "bigger"]
    assert errno(sql, "ALTER WAREHOUSE small RESUME") == 90_063
    assert [row["name"] for row in named("DESCRIBE WAREHOUSE small")] == ["SMALL"]
    assert sql("DROP WAREHOUSE small") == [("SMALL successfully dropped.",)]
    assert errno(sql, "DESCRIBE WAREHOUSE small") == 2003


def test_users(sql: Sql, named: Named) -> None:
    assert "SERVICE" in [row["name"] for row in named("SHOW USERS")]
    properties = {row["property"]: row["value"] for row in named("DESCRIBE USER service")}
    assert properties["LOGIN_NAME"] == "SERVICE"
    assert errno(sql, "DESCRIBE USER missing") == 2003


def test_show_with_starts_with_limit_and_from(sql: Sql, named: Named) -> None:
    for name in ("page_a", "page_b", "page_c"):
        sql(f"CREATE ROLE {name}")
    try:
        assert [row["name"] for row in named("SHOW ROLES STARTS WITH 'PAGE' LIMIT 2")] == ["PAGE_A", "PAGE_B"]
        found = named("SHOW ROLES STARTS WITH 'PAGE' LIMIT 2 FROM 'PAGE_B'")
        assert [row["name"] for row in found] == ["PAGE_C"]
        assert named("SHOW ROLES STARTS WITH 'page'") == []
    finally:
        for name in ("page_a", "page_b", "page_c"):
            sql(f"DROP ROLE {name}")


def test_session_settings(sql: Sql, named: Named) -> None:
    sql("USE SECONDARY ROLES ALL")
    sql("ALTER SESSION SET QUERY_TAG = 'x'")
    assert errno(sql, "ALTER SESSION SET NO_SUCH = 1") == 1420


def new_key() -> tuple[Any, str]:
    """A private key, and its public key as ALTER USER takes it: without the header and footer lines."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return private, "".join(public_pem(private).splitlines()[1:-1])


def test_a_user_logs_in_with_either_key_until_it_is_unset(
    sql: Sql, named: Named, connect: Callable[..., Any], analyst: str
) -> None:
    (old, old_text), (new, new_text) = new_key(), new_key()
    sql(f"CREATE USER robot RSA_PUBLIC_KEY = '{old_text}' DEFAULT_ROLE = analyst TYPE = SERVICE COMMENT = 'scores'")
    try:
        with connect(user="robot", private_key=old) as opened:
            assert opened.cursor().execute("SELECT CURRENT_USER(), CURRENT_ROLE()").fetchall() == [("ROBOT", analyst)]
        sql(f"ALTER USER robot SET RSA_PUBLIC_KEY_2 = '{new_text}'")
        connect(user="robot", private_key=new).close()
        connect(user="robot", private_key=old).close()
        sql("ALTER USER robot UNSET RSA_PUBLIC_KEY")
        with pytest.raises(DatabaseError, match="JWT token is invalid"):
            connect(user="robot", private_key=old)
        properties = {row["property"]: row["value"] for row in named("DESCRIBE USER robot")}
        assert properties["RSA_PUBLIC_KEY_FP"] == "null"
        assert properties["RSA_PUBLIC_KEY_2_FP"].startswith("SHA256:")
        sql("ALTER USER robot SET DISABLED = TRUE")
        with pytest.raises(DatabaseError, match="User access disabled"):
            connect(user="robot", private_key=new)
    finally:
        sql("DROP USER robot")
    assert errno(sql, "ALTER USER robot SET DISABLED = FALSE") == 2003


def test_passwords_and_invalid_keys_are_rejected(sql: Sql) -> None:
    assert errno(sql, "CREATE USER password_user PASSWORD = 'secret'") == 2
    assert errno(sql, "CREATE USER password_user RSA_PUBLIC_KEY = 'bm8ga2V5'") == 1008
    assert errno(sql, "DESCRIBE USER password_user") == 2003
