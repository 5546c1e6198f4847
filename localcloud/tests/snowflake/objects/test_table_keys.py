"""Primary, unique and foreign keys: declared, added, dropped, copied, listed by SHOW .. KEYS and DESCRIBE TABLE, never enforced."""

from __future__ import annotations

from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError


@pytest.fixture
def cursor(connection: Any, schema: str) -> Any:
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE parent (a INT PRIMARY KEY, b INT UNIQUE, c INT)")
    cursor.execute(
        "CREATE TABLE child (x INT, y INT REFERENCES parent (b), z INT, CONSTRAINT pk PRIMARY KEY (x, y), UNIQUE (z, x), "
        "CONSTRAINT fk FOREIGN KEY (x) REFERENCES parent)"
    )
    return cursor


def _listed(cursor: Any, kind: str, where: str) -> list[tuple[Any, ...]]:
    """Table, column, position and name of the key; names that the server makes are shown as ``SYS``."""
    cursor.execute(f"SHOW {kind} KEYS IN {where}")
    at = [[column.name for column in cursor.description].index(name) for name in _KEY]
    rows = [tuple(row[place] for place in at) for row in cursor.fetchall()]
    return [(*row[:3], "SYS" if row[3].startswith("SYS_CONSTRAINT_") else row[3]) for row in rows]


_KEY = ("table_name", "column_name", "key_sequence", "constraint_name")


def test_declared_keys_are_listed(cursor: Any, schema: str) -> None:
    assert _listed(cursor, "PRIMARY", "TABLE child") == [("CHILD", "X", 1, "PK"), ("CHILD", "Y", 2, "PK")]
    assert _listed(cursor, "PRIMARY", f"SCHEMA {schema}")[2:] == [("PARENT", "A", 1, "SYS")]
    assert _listed(cursor, "UNIQUE", "child") == [("CHILD", "Z", 1, "SYS"), ("CHILD", "X", 2, "SYS")]


@pytest.mark.parametrize(("kind", "table"), [("IMPORTED", "child"), ("EXPORTED", "parent")])
def test_foreign_keys_name_both_sides(cursor: Any, kind: str, table: str) -> None:
    cursor.execute(f"SHOW {kind} KEYS IN TABLE {table}")
    names = [column.name for column in cursor.description]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    pairs = {
        (row["fk_table_name"], row["fk_column_name"], row["pk_table_name"], row["pk_column_name"]) for row in found
    }
    assert pairs == {("CHILD", "X", "PARENT", "A"), ("CHILD", "Y", "PARENT", "B")}
    assert "FK" in {row["fk_name"] for row in found}


def test_alter_table_adds_and_drops_keys(cursor: Any) -> None:
    cursor.execute("ALTER TABLE child DROP PRIMARY KEY")
    cursor.execute("ALTER TABLE child DROP CONSTRAINT fk")
    cursor.execute("ALTER TABLE child DROP UNIQUE (z, x)")
    assert [_listed(cursor, kind, "TABLE child") for kind in ("PRIMARY", "UNIQUE")] == [[], []]
    cursor.execute("ALTER TABLE child ADD CONSTRAINT late PRIMARY KEY (z)")
    assert _listed(cursor, "PRIMARY", "TABLE child") == [("CHILD", "Z", 1, "LATE")]
    cursor.execute("INSERT INTO child VALUES (1, 1, 1), (2, 2, 1)")
    described = {row[0]: (row[5], row[6]) for row in cursor.execute("DESCRIBE TABLE child").fetchall()}
    assert described == {"X": ("N", "N"), "Y": ("N", "N"), "Z": ("Y", "N")}


def test_keys_follow_their_table(cursor: Any, schema: str) -> None:
    cursor.execute("ALTER TABLE child RENAME TO renamed")
    cursor.execute("ALTER TABLE renamed RENAME COLUMN y TO why")
    cursor.execute("CREATE TABLE cloned CLONE renamed")
    cursor.execute("CREATE TABLE shaped LIKE renamed")
    for table in ("renamed", "cloned", "shaped"):
        assert [row[1] for row in _listed(cursor, "PRIMARY", f"TABLE {table}")] == ["X", "WHY"]
    cursor.execute("CREATE OR REPLACE TABLE renamed (x INT)")
    cursor.execute("DROP TABLE cloned")
    assert {row[0] for row in _listed(cursor, "PRIMARY", f"SCHEMA {schema}")} == {"PARENT", "SHAPED"}


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SHOW PRIMARY KEYS IN TABLE missing", 2003),
        ("CREATE TABLE two (a INT PRIMARY KEY, b INT PRIMARY KEY)", 3720),
        ("CREATE TABLE lost (a INT REFERENCES missing (b))", 2003),
        ("ALTER TABLE child ADD PRIMARY KEY (z)", 2),
        ("ALTER TABLE parent ADD UNIQUE (missing)", 904),
        ("ALTER TABLE parent DROP CONSTRAINT missing", 2003),
    ],
)
def test_wrong_keys_are_refused(cursor: Any, sql: str, code: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute(sql)
    assert caught.value.errno == code
