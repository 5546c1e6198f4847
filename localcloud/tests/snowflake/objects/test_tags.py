"""Tags: their definition, their values on objects and columns, inheritance, and what DDL does to them."""

from __future__ import annotations

from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError


@pytest.fixture
def cursor(connection: Any, schema: str) -> Any:
    cursor = connection.cursor()
    cursor.execute("CREATE TAG cost ALLOWED_VALUES 'a', 'b' COMMENT = 'who pays'")
    cursor.execute("CREATE TAG pii")
    cursor.execute("CREATE TABLE t (x INT WITH TAG (pii = 'yes'), y INT) WITH TAG (cost = 'a')")
    return cursor


def _value(cursor: Any, tag: str, name: str, domain: str) -> str | None:
    (row,) = cursor.execute(f"SELECT SYSTEM$GET_TAG('{tag}', '{name}', '{domain}')").fetchall()
    value: str | None = row[0]
    return value


def test_a_column_inherits_from_its_table_schema_and_database(cursor: Any, schema: str) -> None:
    assert [_value(cursor, "cost", *at) for at in (("t", "table"), ("t.x", "column"))] == ["a", "a"]
    assert [_value(cursor, "pii", f"t.{column}", "COLUMN") for column in "xy"] == ["yes", None]
    cursor.execute(f"ALTER SCHEMA {schema} SET TAG pii = 'all'")
    assert [_value(cursor, "pii", f"t.{column}", "COLUMN") for column in "xy"] == ["yes", "all"]
    cursor.execute("ALTER TABLE t MODIFY COLUMN y SET TAG cost = 'b', pii = 'no', COLUMN x UNSET TAG pii")
    assert [_value(cursor, "pii", f"t.{column}", "COLUMN") for column in "xy"] == ["all", "no"]
    assert [_value(cursor, "cost", f"t.{column}", "COLUMN") for column in "xy"] == ["a", "b"]


def test_tag_references_say_where_a_tag_is_set(cursor: Any, schema: str) -> None:
    query = (
        "SELECT tag_name, tag_value, apply_method, level, object_schema, object_name, domain, column_name FROM TABLE("
    )
    found = cursor.execute(f"{query}INFORMATION_SCHEMA.TAG_REFERENCES('t.x', 'column'))").fetchall()
    assert found == [
        ("COST", "a", "INHERITED", "TABLE", schema, "T", "COLUMN", "X"),
        ("PII", "yes", "MANUAL", "COLUMN", schema, "T", "COLUMN", "X"),
    ]
    found = cursor.execute(f"{query}SNOWSAGE.INFORMATION_SCHEMA.TAG_REFERENCES('{schema}.t', 'table'))").fetchall()
    assert found == [("COST", "a", "MANUAL", "TABLE", schema, "T", "TABLE", None)]
    found = cursor.execute(f"{query}INFORMATION_SCHEMA.TAG_REFERENCES_ALL_COLUMNS('t', 'table'))").fetchall()
    assert [(row[-1], row[0]) for row in found] == [("X", "COST"), ("X", "PII"), ("Y", "COST")]


def test_definitions_are_changed_and_shown(cursor: Any, schema: str) -> None:
    cursor.execute("ALTER TAG cost ADD ALLOWED_VALUES 'c', 'a'")
    cursor.execute("ALTER TAG cost DROP ALLOWED_VALUES 'b'")
    assert cursor.execute("SELECT SYSTEM$GET_TAG_ALLOWED_VALUES('cost')").fetchall() == [('["a","c"]',)]
    cursor.execute("ALTER TAG cost RENAME TO price")
    cursor.execute("COMMENT ON TAG pii IS 'personal'")
    cursor.execute(f"SHOW TAGS IN SCHEMA {schema}")
    at = [[column.name for column in cursor.description].index(name) for name in ("name", "comment", "allowed_values")]
    assert [tuple(row[place] for place in at) for row in cursor.fetchall()] == [
        ("PII", "personal", None),
        ("PRICE", "who pays", '["a","c"]'),
    ]
    assert _value(cursor, "price", "t", "table") == "a"
    cursor.execute("ALTER TAG price UNSET ALLOWED_VALUES")
    cursor.execute("ALTER TABLE t SET TAG price = 'anything'")
    cursor.execute("DROP TAG price")
    cursor.execute("CREATE TAG price")
    assert _value(cursor, "price", "t", "table") is None


def test_tags_follow_their_object(cursor: Any) -> None:
    cursor.execute("CREATE TABLE cloned CLONE t")
    cursor.execute("CREATE TABLE shaped LIKE t")
    cursor.execute("ALTER TABLE t RENAME TO moved")
    cursor.execute("ALTER TABLE moved RENAME COLUMN x TO z")
    assert [_value(cursor, "cost", table, "table") for table in ("cloned", "shaped", "moved")] == ["a", "a", "a"]
    assert _value(cursor, "pii", "moved.z", "column") == "yes"
    cursor.execute("CREATE OR REPLACE TABLE moved (z INT)")
    cursor.execute("ALTER TABLE cloned DROP COLUMN x")
    cursor.execute("ALTER TABLE cloned ADD COLUMN x INT")
    assert [_value(cursor, "pii", f"{table}", "column") for table in ("moved.z", "cloned.x")] == [None, None]
    cursor.execute("DROP TABLE moved")
    cursor.execute("CREATE TABLE moved (z INT)")
    assert _value(cursor, "cost", "moved", "table") is None


@pytest.mark.parametrize(
    ("create", "kind", "name"),
    [
        ("CREATE VIEW {0} WITH TAG (cost = 'b') AS SELECT 1 AS x", "TABLE", "tagged"),
        ("CREATE STAGE {0} COMMENT = 'c' WITH TAG (cost = 'b')", "STAGE", "tagged"),
        ("CREATE STREAM {0} WITH TAG (cost = 'b') ON TABLE t", "STREAM", "tagged"),
        ("CREATE TASK {0} TAG (cost = 'b') AS SELECT 1", "TASK", "tagged"),
        ("CREATE SCHEMA {0} WITH TAG (cost = 'b')", "SCHEMA", "TAGGED_SCHEMA"),
        ("CREATE WAREHOUSE {0} WITH TAG (cost = 'b')", "WAREHOUSE", "TAGGED_WH"),
        ("CREATE ROLE {0} WITH TAG (cost = 'b')", "ROLE", "TAGGED_ROLE"),
    ],
)
def test_every_kind_takes_tags(cursor: Any, schema: str, create: str, kind: str, name: str) -> None:
    cursor.execute(create.format(name))
    try:
        assert _value(cursor, f"{schema}.cost", name, kind) == "b"
        cursor.execute(f"ALTER {'VIEW' if kind == 'TABLE' else kind} {name} UNSET TAG {schema}.cost")
        assert _value(cursor, f"{schema}.cost", name, kind) is None
    finally:
        cursor.execute(f"DROP {'VIEW' if kind == 'TABLE' else kind} {name}")
        cursor.execute(f"USE SCHEMA {schema}")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("ALTER TABLE t SET TAG missing = 'x'", 2003),
        ("ALTER TABLE t SET TAG cost = 'c'", 391_801),
        ("ALTER TABLE missing SET TAG pii = 'x'", 2003),
        ("ALTER TABLE t MODIFY COLUMN missing SET TAG pii = 'x'", 904),
        ("CREATE TABLE u (x INT) WITH TAG (missing = 'x')", 2003),
        ("CREATE TABLE u (x INT WITH TAG (cost = 'c'))", 391_801),
        ("CREATE STAGE st WITH TAG (missing = 'x')", 2003),
        ("CREATE SEQUENCE sq TAG (pii = 'x')", 2),
        ("CREATE TAG pii", 2002),
        ("DROP TAG missing", 2003),
        ("SELECT SYSTEM$GET_TAG('missing', 't', 'table')", 2003),
        ("SELECT SYSTEM$GET_TAG('pii', 'missing', 'table')", 2003),
        ("SELECT * FROM TABLE(INFORMATION_SCHEMA.TAG_REFERENCES('t', 'nothing'))", 2),
    ],
)
def test_wrong_tags_are_refused_and_change_nothing(cursor: Any, sql: str, code: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute(sql)
    assert caught.value.errno == code
    assert cursor.execute("SHOW TABLES LIKE 'u'").fetchall() == []
