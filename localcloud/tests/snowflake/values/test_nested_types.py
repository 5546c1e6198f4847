"""VARIANT, OBJECT and ARRAY keep their type through tables, views and subqueries, in the connector and Snowpark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.constants import FIELD_ID_TO_NAME
from snowflake.snowpark import Session
from snowflake.snowpark.types import ArrayType, MapType, VariantType

Sql = Callable[..., list[tuple[Any, ...]]]
_MADE = "SELECT PARSE_JSON('{\"k\":1}') v, ARRAY_CONSTRUCT(1, 'x') a, OBJECT_CONSTRUCT('k', 1) o"


def _types(cursor: Any, query: str) -> list[str]:
    described = [FIELD_ID_TO_NAME[column.type_code] for column in cursor.describe(query)]
    cursor.execute(query)
    assert [FIELD_ID_TO_NAME[column.type_code] for column in cursor.description] == described
    return described


@pytest.mark.parametrize(
    "definition",
    [
        f"CREATE TABLE made AS {_MADE}",
        f"CREATE VIEW made AS {_MADE}",
        f"CREATE TEMPORARY TABLE made AS WITH q AS ({_MADE}) SELECT q.* FROM q",
        "CREATE TABLE made (v VARIANT, a ARRAY, o OBJECT)",
        f"CREATE VIEW made (v, a, o) AS SELECT v, a, o FROM ({_MADE}) UNION ALL {_MADE}",
    ],
)
def test_types_are_kept_in_derived_objects(cursor: Any, sql: Sql, definition: str) -> None:
    sql(definition)
    assert _types(cursor, "SELECT * FROM made") == ["VARIANT", "ARRAY", "OBJECT"]
    sql("CREATE VIEW seen AS SELECT m.o AS p, a, v FROM made m")
    assert _types(cursor, "SELECT x.p, x.a, x.v FROM (SELECT * FROM seen) x") == ["OBJECT", "ARRAY", "VARIANT"]


def test_types_follow_alterations_of_a_table(cursor: Any, sql: Sql) -> None:
    sql("CREATE TABLE t (v VARIANT, a ARRAY)")
    sql("ALTER TABLE t ADD COLUMN o OBJECT")
    sql("ALTER TABLE t RENAME TO u")
    sql("CREATE TABLE c CLONE u")
    for table in ("u", "c"):
        assert _types(cursor, f"SELECT v, a, o FROM {table}") == ["VARIANT", "ARRAY", "OBJECT"]
    assert [row[1] for row in sql("DESC TABLE u")] == ["VARIANT", "ARRAY", "OBJECT"]
    sql("CREATE OR REPLACE TABLE u (a VARIANT)")
    assert _types(cursor, "SELECT a FROM u") == ["VARIANT"]


def test_functions_return_their_type(cursor: Any, sql: Sql) -> None:
    sql(f"CREATE TABLE t AS {_MADE}")
    assert _types(
        cursor,
        "SELECT ARRAY_AGG(1), OBJECT_AGG('k', v), SPLIT('a', ','), OBJECT_KEYS(ANY_VALUE(o)), ANY_VALUE(v):k, "
        "ARRAY_AGG(1) WITHIN GROUP (ORDER BY 1), ANY_VALUE(v)::ARRAY, TO_VARIANT(1) FROM t",
    ) == ["ARRAY", "OBJECT", "ARRAY", "ARRAY", "VARIANT", "ARRAY", "ARRAY", "VARIANT"]


def test_snowpark_sees_the_types(snowpark: Session, sql: Sql) -> None:
    sql(f"CREATE TABLE t AS {_MADE}")
    types = [field.datatype for field in snowpark.table("t").schema.fields]
    assert [type(found) for found in types] == [VariantType, ArrayType, MapType]
    assert [tuple(row) for row in snowpark.table("t").collect()] == [('{"k":1}', '[1,"x"]', '{"k":1}')]
    snowpark.create_dataframe([[{"k": [1]}, [None, 2]]], schema=["o", "a"]).write.save_as_table("w")
    assert [type(field.datatype) for field in snowpark.table("w").schema.fields] == [MapType, ArrayType]
    assert [tuple(row) for row in snowpark.table("w").collect()] == [('{"k":[1]}', "[null,2]")]
