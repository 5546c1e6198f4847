"""A grant belongs to an object: what CREATE OR REPLACE, COPY GRANTS, DROP, RENAME and future grants do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

Sql = Callable[..., list[tuple[Any, ...]]]
Granted = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def readers(sql: Sql) -> Iterator[None]:
    for role in ("reader", "later"):
        sql(f"CREATE ROLE IF NOT EXISTS {role}")
    yield
    for role in ("reader", "later"):
        sql(f"DROP ROLE {role}")


@pytest.fixture
def granted(cursor: Any) -> Granted:
    """The grants on an object as ``privilege role``."""

    def read(thing: str) -> list[str]:
        cursor.execute(f"SHOW GRANTS ON {thing}")
        names = [column.name for column in cursor.description]
        at = [names.index(name) for name in ("privilege", "grantee_name")]
        return sorted(" ".join(row[index] for index in at) for row in cursor.fetchall())

    return read


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_a_replaced_table_or_view_loses_its_grants_unless_they_are_copied(
    sql: Sql, granted: Granted, kind: str
) -> None:
    body = "AS SELECT 1 a"
    sql(f"CREATE {kind} t {body}")
    sql(f"GRANT SELECT ON {kind} t TO ROLE reader WITH GRANT OPTION")
    sql(f"CREATE OR REPLACE {kind} t COPY GRANTS {body}")
    assert granted(f"{kind} t") == ["SELECT READER"]
    sql(f"CREATE {kind} IF NOT EXISTS t {body}")
    assert granted(f"{kind} t") == ["SELECT READER"]
    sql(f"CREATE OR REPLACE {kind} t {body}")
    assert granted(f"{kind} t") == []


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_a_dropped_object_loses_its_grants_and_a_renamed_one_keeps_them(sql: Sql, granted: Granted, kind: str) -> None:
    sql(f"CREATE {kind} t AS SELECT 1 a")
    sql(f"GRANT SELECT ON {kind} t TO ROLE reader")
    sql(f"ALTER {kind} t RENAME TO u")
    assert granted(f"{kind} u") == ["SELECT READER"]
    sql(f"CREATE {kind} t AS SELECT 1 a")
    assert granted(f"{kind} t") == []
    sql(f"DROP {kind} u")
    sql(f"CREATE {kind} u AS SELECT 1 a")
    assert granted(f"{kind} u") == []


def test_clones_copy_grants_on_request_and_swapped_tables_exchange_them(sql: Sql, granted: Granted) -> None:
    sql("CREATE TABLE t (a INT)")
    sql("GRANT SELECT ON TABLE t TO ROLE reader")
    sql("CREATE TABLE plain CLONE t")
    sql("CREATE TABLE like_t LIKE t COPY GRANTS")
    assert (granted("TABLE plain"), granted("TABLE like_t")) == ([], ["SELECT READER"])
    sql("ALTER TABLE t SWAP WITH plain")
    assert (granted("TABLE plain"), granted("TABLE t")) == (["SELECT READER"], [])


def test_a_dropped_schema_takes_the_grants_of_its_objects_along(sql: Sql, granted: Granted, schema: str) -> None:
    sql(f"CREATE SCHEMA {schema}_s")
    sql("CREATE TABLE t (a INT)")
    sql(f"GRANT USAGE ON SCHEMA {schema}_s TO ROLE reader")
    sql("GRANT SELECT ON TABLE t TO ROLE reader")
    sql(f"GRANT SELECT ON FUTURE TABLES IN SCHEMA {schema}_s TO ROLE later")
    for statement in (f"DROP SCHEMA {schema}_s", f"CREATE SCHEMA {schema}_s"):
        sql(statement)
    sql("CREATE TABLE t (a INT)")
    assert (granted(f"SCHEMA {schema}_s"), granted("TABLE t")) == ([], [])
    sql(f"GRANT SELECT ON TABLE {schema}_s.t TO ROLE reader")
    sql(f"CREATE OR REPLACE SCHEMA {schema}_s")
    sql("CREATE TABLE t (a INT)")
    assert granted("TABLE t") == []


def test_a_new_object_gets_future_grants_and_a_replacement_with_copied_ones_does_not(
    sql: Sql, granted: Granted, schema: str
) -> None:
    sql("CREATE TABLE before (a INT)")
    sql(f"GRANT SELECT, INSERT ON FUTURE TABLES IN SCHEMA {schema} TO ROLE later")
    sql("CREATE TABLE t (a INT)")
    assert (granted("TABLE before"), granted("TABLE t")) == ([], ["INSERT LATER", "SELECT LATER"])
    sql("REVOKE INSERT ON TABLE t FROM ROLE later")
    sql("GRANT SELECT ON TABLE t TO ROLE reader")
    sql("CREATE OR REPLACE TABLE t (b INT) COPY GRANTS")
    assert granted("TABLE t") == ["SELECT LATER", "SELECT READER"]
    sql("CREATE OR REPLACE TABLE t (b INT)")
    assert granted("TABLE t") == ["INSERT LATER", "SELECT LATER"]
    sql("CREATE TABLE c COPY GRANTS AS SELECT 1 a")
    assert granted("TABLE c") == ["INSERT LATER", "SELECT LATER"]


def test_future_grants_of_a_schema_hide_those_of_its_database(sql: Sql, granted: Granted, schema: str) -> None:
    sql("GRANT SELECT ON FUTURE TABLES IN DATABASE snowsage TO ROLE reader")
    sql("CREATE TABLE t (a INT)")
    sql(f"GRANT INSERT ON FUTURE TABLES IN SCHEMA {schema} TO ROLE later")
    sql("CREATE TABLE u (a INT)")
    assert (granted("TABLE t"), granted("TABLE u")) == (["SELECT READER"], ["INSERT LATER"])
    sql("REVOKE SELECT ON FUTURE TABLES IN DATABASE snowsage FROM ROLE reader")


_PYTHON = "RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f' AS 'def f(*a): return 1'"


def test_each_overload_of_a_function_has_its_own_grants(sql: Sql, granted: Granted) -> None:
    for arguments in ("a INT", "a VARCHAR"):
        sql(f"CREATE FUNCTION f({arguments}) {_PYTHON}")
    sql("GRANT USAGE ON FUNCTION f(NUMBER) TO ROLE reader")
    assert (granted("FUNCTION f(INT)"), granted("FUNCTION f(VARCHAR)")) == (["USAGE READER"], [])
    sql(f"CREATE OR REPLACE FUNCTION f(a INT) COPY GRANTS {_PYTHON}")
    assert granted("FUNCTION f(NUMBER)") == ["USAGE READER"]
    sql("ALTER FUNCTION f(NUMBER) RENAME TO g")
    assert granted("FUNCTION g(NUMBER)") == ["USAGE READER"]
    sql(f"CREATE OR REPLACE FUNCTION g(a INT) {_PYTHON}")
    assert granted("FUNCTION g(NUMBER)") == []
    sql("GRANT USAGE ON FUNCTION g(NUMBER) TO ROLE reader")
    sql("DROP FUNCTION g(NUMBER)")
    sql(f"CREATE FUNCTION g(a INT) {_PYTHON}")
    assert granted("FUNCTION g(NUMBER)") == []


def test_an_external_function_has_no_copied_and_no_future_grants(
    sql: Sql, granted: Granted, function: Any, schema: str
) -> None:
    sql(f"GRANT USAGE ON FUTURE FUNCTIONS IN SCHEMA {schema} TO ROLE later")
    function(lambda request: None)
    assert granted("FUNCTION f(FLOAT)") == []
    sql("GRANT USAGE ON FUNCTION f(FLOAT) TO ROLE reader")
    sql("ALTER FUNCTION f(FLOAT) SET COMMENT = 'x'")
    assert granted("FUNCTION f(FLOAT)") == ["USAGE READER"]
    function(lambda request: None)
    assert granted("FUNCTION f(FLOAT)") == []
    sql(f"CREATE FUNCTION g(a INT) {_PYTHON}")
    assert granted("FUNCTION g(NUMBER)") == ["USAGE LATER"]


def test_a_replaced_sequence_loses_its_grants(sql: Sql, granted: Granted) -> None:
    sql("CREATE SEQUENCE s")
    sql("GRANT USAGE ON SEQUENCE s TO ROLE reader")
    sql("CREATE OR REPLACE SEQUENCE s")
    assert granted("SEQUENCE s") == []
