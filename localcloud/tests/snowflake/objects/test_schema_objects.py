"""What every kind of schema object promises, for each kind that a feature declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.objects.feature import TEMPORARY, SchemaCreated, SchemaKind
from localcloud.snowflake.statements.dialect import CREATED, KINDS

Sql = Callable[..., list[tuple[Any, ...]]]

_KINDS = [pytest.param(kind, id=word.lower().replace(" ", "_")) for word, kind in KINDS.items()]
every_kind = pytest.mark.parametrize("kind", _KINDS)


def _having(trait: Callable[[SchemaKind[Any]], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", [found for found in _KINDS if trait(found.values[0])])  # type: ignore[arg-type]


def _may_be_temporary(kind: SchemaKind[Any]) -> bool:
    created = CREATED[kind.word]
    return isinstance(created, SchemaCreated) and created.modifiers >= TEMPORARY


def _create(kind: SchemaKind[Any], name: str, head: str = "CREATE", exists: str = "") -> str:
    return f"{head} {kind.word} {exists} {_full(kind, name)} {kind.example}"


def _full(kind: SchemaKind[Any], name: str) -> str:
    return f"{name}()" if kind.overloaded else name


def _drop(kind: SchemaKind[Any], name: str) -> str:
    word = kind.word if kind.droppable else "TABLE"
    return f"DROP {word} {_full(kind, name)}"


def _plural(kind: SchemaKind[Any]) -> str:
    return next(iter(kind.listings))


def _names(sql: Sql, kind: SchemaKind[Any], rest: str) -> list[str]:
    position = [name for name, _ in kind.listings[_plural(kind)].columns].index("name")
    return [row[position] for row in sql(f"SHOW {_plural(kind)} {rest}")]


def _column(sql: Sql, kind: SchemaKind[Any], rest: str, *columns: str) -> Any:
    (row,) = sql(f"SHOW {_plural(kind)} {rest}")
    known = [name for name, _ in kind.listings[_plural(kind)].columns]
    return next(row[known.index(column)] for column in columns if column in known)


@pytest.fixture
def source(sql: Sql, schema: str) -> None:
    """The table that examples read."""
    sql(f"CREATE TABLE SNOWSAGE.{schema}.source (x INT)")


@pytest.fixture
def database(sql: Sql, schema: str) -> Iterator[str]:
    """A database of its own, with a schema S and the examples' table, made current."""
    name = f"D_{schema}"
    sql(f"CREATE DATABASE {name}")
    sql(f"CREATE SCHEMA {name}.s")
    sql(f"CREATE TABLE {name}.s.source (x INT)")
    yield name
    sql(f"DROP DATABASE IF EXISTS {name}")
    sql(f"USE SCHEMA SNOWSAGE.{schema}")


def _fails(sql: Sql, statement: str) -> tuple[int | None, str | None, str]:
    with pytest.raises(ProgrammingError) as caught:
        sql(statement)
    return caught.value.errno, caught.value.sqlstate, str(caught.value)


@every_kind
def test_create_replace_and_if_not_exists(sql: Sql, schema: str, source: None, kind: SchemaKind[Any]) -> None:
    title = kind.created_title or kind.title
    assert sql(_create(kind, "one")) == [(f"{title} ONE successfully created.",)]
    created = _column(sql, kind, f"IN SCHEMA {schema}", "created_on")
    errno, state, text = _fails(sql, _create(kind, "one"))
    assert (errno, state) == (2002, "42710")
    assert "Object 'ONE' already exists." in text
    assert sql(_create(kind, "one", exists="IF NOT EXISTS")) == [("ONE already exists, statement succeeded.",)]
    assert _column(sql, kind, f"IN SCHEMA {schema}", "created_on") == created
    assert sql(_create(kind, "one", "CREATE OR REPLACE")) == [(f"{title} ONE successfully created.",)]
    assert _column(sql, kind, f"IN SCHEMA {schema}", "created_on") > created
    assert _fails(sql, _create(kind, "one", "CREATE OR REPLACE", "IF NOT EXISTS"))[0] == 1003
    assert _names(sql, kind, f"IN SCHEMA {schema}") == ["ONE"]


@every_kind
def test_an_object_needs_a_schema_that_exists(sql: Sql, source: None, kind: SchemaKind[Any]) -> None:
    errno, state, text = _fails(sql, _create(kind, "nowhere.one"))
    assert (errno, state) == (2003, "02000")
    assert "Schema 'SNOWSAGE.NOWHERE' does not exist or not authorized." in text


@every_kind
def test_describe_and_drop(sql: Sql, schema: str, source: None, kind: SchemaKind[Any]) -> None:
    sql(_create(kind, "one"))
    assert sql(f"DESCRIBE {kind.word} {_full(kind, 'one')}")
    assert sql(f"DESC {kind.word} {schema}.{_full(kind, 'ONE')}")
    assert sql(_drop(kind, "one")) == [("ONE successfully dropped.",)]
    assert _names(sql, kind, f"IN SCHEMA {schema}") == []
    sql(_create(kind, "one"))


@every_kind
def test_a_missing_object(sql: Sql, schema: str, kind: SchemaKind[Any]) -> None:
    expected = f"{kind.title} '{_full(kind, f'SNOWSAGE.{schema}.ONE')}' does not exist or not authorized."
    statements = [f"DESCRIBE {kind.word} {_full(kind, 'one')}", f"COMMENT ON {kind.word} {_full(kind, 'one')} IS 'c'"]
    if kind.droppable:
        statements.append(_drop(kind, "one"))
    for statement in statements:
        errno, state, text = _fails(sql, statement)
        assert (errno, state) == (2003, "02000"), statement
        assert expected in text
    assert sql(f"COMMENT IF EXISTS ON {kind.word} {_full(kind, 'one')} IS 'c'") == [
        ("Statement executed successfully.",)
    ]


@_having(lambda kind: kind.droppable)
def test_drop_if_exists(sql: Sql, kind: SchemaKind[Any]) -> None:
    dropped = sql(f"DROP {kind.word} IF EXISTS {_full(kind, 'one')}")
    assert dropped == [("Drop statement executed successfully (ONE already dropped).",)]


@every_kind
def test_show_with_like_and_scopes(sql: Sql, database: str, schema: str, source: None, kind: SchemaKind[Any]) -> None:
    for name in ("ab", "a_c", "bc"):
        sql(_create(kind, f"{database}.s.{name}").replace("source", f"{database}.s.source"))
    sql(f"USE SCHEMA SNOWSAGE.{schema}")
    sql(_create(kind, "zz"))
    here = f"IN SCHEMA {database}.s"
    assert _names(sql, kind, here) == ["AB", "A_C", "BC"]
    assert _names(sql, kind, f"IN DATABASE {database}") == ["AB", "A_C", "BC"]
    assert {"AB", "A_C", "BC", "ZZ"} <= set(_names(sql, kind, "IN ACCOUNT"))
    assert "ZZ" in _names(sql, kind, "")
    assert "BC" not in _names(sql, kind, "")
    assert _names(sql, kind, f"LIKE 'A%' {here}") == ["AB", "A_C"]
    assert _names(sql, kind, f"LIKE 'a\\\\_c' {here}") == ["A_C"]
    assert _names(sql, kind, f"{here} STARTS WITH 'B'") == ["BC"]
    assert _names(sql, kind, f"{here} STARTS WITH 'b'") == []
    assert _names(sql, kind, f"{here} LIMIT 2") == ["AB", "A_C"]
    assert _names(sql, kind, f"{here} LIMIT 2 FROM 'AB'") == ["A_C", "BC"]
    assert _names(sql, kind, f"LIKE 'zz' IN SCHEMA {schema}") == ["ZZ"]


@every_kind
def test_comments(sql: Sql, schema: str, source: None, kind: SchemaKind[Any]) -> None:
    sql(_create(kind, "one"))
    sql(f"COMMENT ON {kind.word} {_full(kind, 'one')} IS 'it''s new'")
    assert _column(sql, kind, f"IN SCHEMA {schema}", "comment", "description") == "it's new"


@every_kind
def test_drop_schema_drops_its_objects(sql: Sql, database: str, kind: SchemaKind[Any]) -> None:
    sql(f"USE SCHEMA {database}.s")
    sql(_create(kind, "one"))
    sql(f"DROP SCHEMA {database}.s")
    assert _names(sql, kind, f"IN DATABASE {database}") == []
    sql(f"CREATE SCHEMA {database}.s")
    sql(f"CREATE TABLE {database}.s.source (x INT)")
    assert _names(sql, kind, f"IN SCHEMA {database}.s") == []
    sql(_create(kind, "one"))


@every_kind
def test_replacing_a_schema_drops_its_objects(sql: Sql, database: str, kind: SchemaKind[Any]) -> None:
    sql(f"USE SCHEMA {database}.s")
    sql(_create(kind, "one"))
    sql(f"CREATE OR REPLACE SCHEMA {database}.s")
    assert _names(sql, kind, f"IN DATABASE {database}") == []


@every_kind
def test_drop_database_drops_its_objects(sql: Sql, database: str, kind: SchemaKind[Any]) -> None:
    sql(f"USE SCHEMA {database}.s")
    sql(_create(kind, "one"))
    sql(f"DROP DATABASE {database}")
    assert _names(sql, kind, f"IN DATABASE {database}") == []
    sql(f"CREATE DATABASE {database}")
    assert _names(sql, kind, f"IN DATABASE {database}") == []


@every_kind
def test_ddl_commits_the_open_transaction(
    connect: Callable[..., Any], sql: Sql, schema: str, source: None, kind: SchemaKind[Any]
) -> None:
    connection = connect(schema=schema)
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO source VALUES (1)")
    cursor.execute(_create(kind, "one"))
    cursor.execute("ROLLBACK")
    assert sql("SELECT COUNT(*) FROM source") == [(1,)]
    connection.close()


@_having(_may_be_temporary)
def test_a_temporary_object_shadows_the_permanent_one(
    connect: Callable[..., Any], sql: Sql, schema: str, source: None, kind: SchemaKind[Any]
) -> None:
    sql(_create(kind, "one"))
    sql(f"COMMENT ON {kind.word} {_full(kind, 'one')} IS 'permanent'")
    connection = connect(schema=schema)

    def own(text: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = connection.cursor().execute(text).fetchall()
        return rows

    own(_create(kind, "one", "CREATE TEMPORARY"))
    own(_create(kind, "two", "CREATE TEMP"))
    own(f"COMMENT ON {kind.word} {_full(kind, 'one')} IS 'temporary'")
    assert _fails(own, _create(kind, "one", "CREATE TEMPORARY"))[0] == 2002
    here = f"IN SCHEMA {schema}"
    assert _column(own, kind, f"LIKE 'ONE' {here}", "comment", "description") == "temporary"
    assert _column(sql, kind, here, "comment", "description") == "permanent"
    assert _names(own, kind, here) == ["ONE", "TWO"]
    assert _names(sql, kind, here) == ["ONE"]
    own(_drop(kind, "one"))
    assert _column(own, kind, f"LIKE 'ONE' {here}", "comment", "description") == "permanent"
    connection.close()
    assert _names(sql, kind, here) == ["ONE"]


@_having(lambda kind: kind.renames)
def test_rename(sql: Sql, schema: str, database: str, source: None, kind: SchemaKind[Any]) -> None:
    sql(f"USE SCHEMA SNOWSAGE.{schema}")
    sql(_create(kind, "one"))
    sql(_create(kind, "two"))
    alter = f"ALTER {kind.word} {_full(kind, 'one')} RENAME TO"
    assert _fails(sql, f"{alter} two")[0] == 2002
    assert _fails(sql, f"{alter} nowhere.three")[0] == 2003
    sql(f"{alter} three")
    assert _names(sql, kind, f"IN SCHEMA {schema}") == ["THREE", "TWO"]
    sql(f"ALTER {kind.word} {_full(kind, 'three')} RENAME TO {database}.s.three")
    assert _names(sql, kind, f"IN SCHEMA {schema}") == ["TWO"]
    assert _names(sql, kind, f"IN SCHEMA {database}.s") == ["THREE"]
    assert sql(f"ALTER {kind.word} IF EXISTS {_full(kind, 'one')} RENAME TO four") == [
        ("Statement executed successfully.",)
    ]


@_having(lambda kind: kind.clone is not None)
def test_clone(sql: Sql, schema: str, source: None, kind: SchemaKind[Any]) -> None:
    sql(_create(kind, "one"))
    sql(f"CREATE {kind.word} two CLONE one")
    assert _names(sql, kind, f"IN SCHEMA {schema}") == ["ONE", "TWO"]
    assert _fails(sql, f"CREATE {kind.word} two CLONE one")[0] == 2002
    assert _fails(sql, f"CREATE {kind.word} three CLONE missing")[0] == 2003
    sql(_drop(kind, "one"))
    assert _names(sql, kind, f"IN SCHEMA {schema}") == ["TWO"]


@_having(lambda kind: kind.clone is None and not kind.overloaded)
def test_clones_of_other_kinds_are_rejected(sql: Sql, source: None, kind: SchemaKind[Any]) -> None:
    assert f"does not support CREATE {kind.word} ... CLONE" in _fails(sql, f"CREATE {kind.word} two CLONE one")[2]


@_having(lambda kind: kind.among_tables)
def test_an_object_cannot_have_the_name_of_a_table(sql: Sql, source: None, kind: SchemaKind[Any]) -> None:
    sql(_create(kind, "one"))
    assert _fails(sql, "CREATE TABLE one (y INT)")[0] == 2002
    assert _fails(sql, "CREATE VIEW one AS SELECT 1 AS y")[0] == 2002
    sql("CREATE TABLE two (y INT)")
    assert _fails(sql, _create(kind, "two"))[0] == 2002


@_having(lambda kind: kind.rows)
def test_an_object_is_dropped_with_its_table(sql: Sql, schema: str, source: None, kind: SchemaKind[Any]) -> None:
    sql(_create(kind, "one"))
    sql("CREATE OR REPLACE TABLE one (y INT)")
    assert _names(sql, kind, f"IN SCHEMA {schema}") == []
    assert _fails(sql, f"DESCRIBE {kind.word} one")[0] == 2003


@every_kind
def test_undrop_is_not_supported(sql: Sql, kind: SchemaKind[Any]) -> None:
    assert "does not support the statement UNDROP" in _fails(sql, f"UNDROP {kind.word} {_full(kind, 'one')}")[2]
