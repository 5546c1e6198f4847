"""Masking and row access policies: their definition, what they do to queries, POLICY_REFERENCES, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

MASK = "CREATE MASKING POLICY hide AS (v VARCHAR) RETURNS VARCHAR -> CASE WHEN CURRENT_ROLE() = 'AUDITOR' THEN v ELSE '***' END"
ROWS = "CREATE ROW ACCESS POLICY own AS (r VARCHAR) RETURNS BOOLEAN -> CURRENT_ROLE() = 'AUDITOR' OR r = 'EU'"


@pytest.fixture
def cursor(connection: Any, schema: str) -> Any:
    """A table of three people, and policies that are not set yet."""
    cursor = connection.cursor()
    cursor.execute("CREATE ROLE IF NOT EXISTS auditor")
    cursor.execute("CREATE TABLE people (id INT, name VARCHAR, region VARCHAR, pay NUMBER(10, 2))")
    cursor.execute("INSERT INTO people VALUES (1, 'Ada', 'EU', 10.25), (2, 'Bob', 'US', 20.50), (3, 'Cyd', 'EU', 30)")
    cursor.execute(MASK)
    cursor.execute(ROWS)
    ((role,),) = cursor.execute("SELECT CURRENT_ROLE()").fetchall()
    cursor.execute("USE ROLE sysadmin")
    yield cursor
    cursor.execute(f"USE ROLE {role}")


def rows(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = cursor.execute(query).fetchall()
    return found


def refuses(cursor: Any, statement: str, text: str) -> None:
    with pytest.raises(ProgrammingError, match=text):
        cursor.execute(statement)


def test_a_mask_depends_on_the_role(cursor: Any, schema: str) -> None:
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    assert rows(cursor, "SELECT id, name, p.region FROM people AS p ORDER BY id LIMIT 1") == [(1, "***", "EU")]
    assert rows(cursor, f"SELECT people.name FROM {schema}.people WHERE name = 'Ada'") == []
    assert rows(cursor, "SELECT * FROM people WHERE id = 2")[0][1] == "***"
    assert rows(cursor, "SELECT COUNT(DISTINCT a.name) FROM people a JOIN people b ON a.name = b.name") == [(1,)]
    cursor.execute("USE ROLE auditor")
    assert rows(cursor, "SELECT name FROM people ORDER BY id") == [("Ada",), ("Bob",), ("Cyd",)]
    cursor.execute("ALTER TABLE people MODIFY COLUMN name UNSET MASKING POLICY")
    cursor.execute("USE ROLE SYSADMIN")
    assert rows(cursor, "SELECT name FROM people WHERE id = 1") == [("Ada",)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT $2 FROM people",
        "SELECT name FROM people SAMPLE (3 ROWS)",
        "SELECT people.* EXCLUDE (id, region, pay) FROM people",
        "SELECT name FROM people JOIN (SELECT 1 AS id) USING (id)",
        "SELECT (SELECT MAX(name) FROM people)",
        "SELECT OBJECT_CONSTRUCT(p.*):NAME::VARCHAR FROM people p",
        "SELECT f.value::VARCHAR FROM people p, LATERAL FLATTEN(ARRAY_CONSTRUCT(p.name)) f",
        "SELECT a.name FROM people a ASOF JOIN people b MATCH_CONDITION (a.id >= b.id) ON a.region = b.region",
        "SELECT name FROM people PIVOT (COUNT(id) FOR region IN (ANY))",
        "SELECT name FROM IDENTIFIER('people')",
        "VALUES ((SELECT MAX(name) FROM people))",
    ],
)
def test_every_way_to_read_a_table_is_masked(cursor: Any, query: str) -> None:
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    assert set(rows(cursor, query)) == {("***",)}


def test_what_is_made_of_a_masked_table_is_masked(cursor: Any) -> None:
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    cursor.execute(
        "CREATE DYNAMIC TABLE derived TARGET_LAG = '1 minute' WAREHOUSE = COMPUTE_WH AS SELECT name FROM people"
    )
    cursor.execute("CREATE STAGE unloaded")
    cursor.execute("COPY INTO @unloaded/x FROM people FILE_FORMAT = (TYPE = CSV COMPRESSION = NONE)")
    cursor.execute("CREATE TABLE other AS SELECT 1 AS id, 'seen' AS name")
    cursor.execute("UPDATE other SET name = p.name FROM people p WHERE p.id = other.id")
    for query in ("SELECT name FROM derived", "SELECT $2 FROM @unloaded/x", "SELECT name FROM other"):
        assert set(rows(cursor, query)) == {("***",)}


def test_a_schema_whose_policy_is_set_elsewhere_is_not_dropped(cursor: Any, schema: str) -> None:
    cursor.execute(f"CREATE SCHEMA {schema}_rules")
    cursor.execute(f"CREATE MASKING POLICY {schema}_rules.p AS (v VARCHAR) RETURNS VARCHAR -> '-'")
    cursor.execute(f"ALTER TABLE {schema}.people MODIFY COLUMN name SET MASKING POLICY {schema}_rules.p")
    refuses(cursor, f"DROP SCHEMA {schema}_rules", "associated with one or more entities")
    cursor.execute(f"ALTER TABLE {schema}.people MODIFY COLUMN name UNSET MASKING POLICY")
    cursor.execute(f"DROP SCHEMA {schema}_rules")


def test_a_row_access_policy_filters_before_masks(cursor: Any) -> None:
    cursor.execute("ALTER TABLE people ADD ROW ACCESS POLICY own ON (region)")
    cursor.execute("ALTER TABLE people MODIFY COLUMN region SET MASKING POLICY hide")
    assert rows(cursor, "SELECT id, region FROM people ORDER BY id") == [(1, "***"), (3, "***")]
    cursor.execute("CREATE TABLE copied AS SELECT * FROM people")
    cursor.execute("INSERT INTO copied SELECT * FROM people WHERE id = 1")
    assert rows(cursor, "SELECT COUNT(*), MIN(region) FROM copied") == [(3, "***")]
    cursor.execute("USE ROLE auditor")
    assert rows(cursor, "SELECT COUNT(*) FROM people") == [(3,)]
    cursor.execute("ALTER TABLE people DROP ALL ROW ACCESS POLICIES")
    cursor.execute("USE ROLE SYSADMIN")
    assert rows(cursor, "SELECT COUNT(*) FROM people") == [(3,)]


def test_a_conditional_mask_takes_other_columns_and_keeps_the_type(cursor: Any) -> None:
    cursor.execute(
        "CREATE MASKING POLICY pay AS (v NUMBER, r VARCHAR) RETURNS NUMBER -> CASE WHEN r = 'EU' THEN v ELSE 0 END"
    )
    cursor.execute("ALTER TABLE people MODIFY COLUMN pay SET MASKING POLICY pay USING (pay, region)")
    found = rows(cursor, "SELECT pay, id FROM people ORDER BY id")
    assert [str(pay) for pay, _ in found] == ["10.25", "0.00", "30.00"]
    assert cursor.description[0].scale == 2


def test_a_policy_may_look_a_role_up_in_a_table(cursor: Any) -> None:
    cursor.execute("CREATE TABLE allowed (role VARCHAR, region VARCHAR)")
    cursor.execute("INSERT INTO allowed VALUES ('SYSADMIN', 'US')")
    cursor.execute(
        "CREATE ROW ACCESS POLICY mapped AS (region VARCHAR) RETURNS BOOLEAN -> EXISTS (SELECT 1 FROM allowed AS a "
        "WHERE a.role = CURRENT_ROLE() AND a.region = region)"
    )
    cursor.execute("ALTER TABLE people ADD ROW ACCESS POLICY mapped ON (region)")
    assert rows(cursor, "SELECT id FROM people") == [(2,)]


def test_expressions_with_the_tables_name_are_not_the_table(cursor: Any) -> None:
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    shadowed = "WITH people AS (SELECT 'seen' AS name) SELECT name FROM people"
    assert rows(cursor, shadowed) == [("seen",)]
    over_itself = "WITH people AS (SELECT DISTINCT name FROM people) SELECT name FROM people"
    assert rows(cursor, over_itself) == [("***",)]


def test_policy_references_of_tables_and_policies(cursor: Any, schema: str) -> None:
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    cursor.execute("ALTER TABLE people ADD ROW ACCESS POLICY own ON (region)")
    cursor.execute("CREATE VIEW v AS SELECT 'x' AS y")
    cursor.execute("ALTER VIEW v MODIFY COLUMN y SET MASKING POLICY hide")
    assert rows(cursor, "SELECT y FROM v") == [("***",)]
    query = (
        "SELECT policy_schema, policy_name, policy_kind, ref_entity_name, ref_entity_domain, ref_column_name, "
        "ref_arg_column_names, policy_status FROM TABLE(SNOWSAGE.INFORMATION_SCHEMA.POLICY_REFERENCES("
    )
    people = rows(cursor, query + f"REF_ENTITY_NAME => '\"{schema}\".\"PEOPLE\"', REF_ENTITY_DOMAIN => 'TABLE'))")
    assert people == [
        (schema, "OWN", "ROW_ACCESS_POLICY", "PEOPLE", "TABLE", None, '[ "REGION" ]', "ACTIVE"),
        (schema, "HIDE", "MASKING_POLICY", "PEOPLE", "TABLE", "NAME", None, "ACTIVE"),
    ]
    both = rows(cursor, f"{query}POLICY_NAME => '{schema}.hide'))")
    assert [row[3:6] for row in both] == [("PEOPLE", "TABLE", "NAME"), ("V", "VIEW", "Y")]
    union = (
        "SELECT 1 AS a, policy_name FROM TABLE(INFORMATION_SCHEMA.POLICY_REFERENCES("
        "REF_ENTITY_NAME => '{}', REF_ENTITY_DOMAIN => '{}'))"
    )
    found = rows(cursor, f"{union.format('people', 'table')} UNION ALL {union.format('v', 'VIEW')}")
    assert sorted(name for _, name in found) == ["HIDE", "HIDE", "OWN"]
    refuses(cursor, union.format("v", "TABLE"), "does not exist")


def test_definitions_are_shown_described_and_changed(cursor: Any, schema: str) -> None:
    cursor.execute(f"SHOW MASKING POLICIES LIKE 'h%' IN SCHEMA {schema}")
    names = [column.name for column in cursor.description]
    (shown,) = cursor.fetchall()
    assert dict(zip(names, shown, strict=True))["kind"] == "MASKING_POLICY"
    described = rows(cursor, "DESCRIBE ROW ACCESS POLICY own")
    assert described == [("OWN", "(R VARCHAR)", "BOOLEAN", "CURRENT_ROLE() = 'AUDITOR' OR r = 'EU'")]
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    masked = {row[0]: row[10] for row in rows(cursor, "DESCRIBE TABLE people")}
    assert masked["NAME"].endswith(".HIDE")
    assert masked["ID"] is None
    refuses(cursor, "SELECT GET_DDL('table', 'people')", "GET_DDL of PEOPLE, which has policies")
    cursor.execute("ALTER MASKING POLICY hide SET BODY -> LEFT(v, 1)")
    assert rows(cursor, "SELECT name FROM people WHERE id = 1") == [("A",)]
    refuses(cursor, "DROP MASKING POLICY hide", "associated with one or more entities")
    refuses(cursor, MASK.replace("CREATE", "CREATE OR REPLACE"), "associated with one or more entities")
    refuses(cursor, "ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide", "already attached")
    cursor.execute("DROP ROW ACCESS POLICY own")
    assert rows(cursor, f"SHOW ROW ACCESS POLICIES IN SCHEMA {schema}") == []


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("ALTER TABLE people MODIFY COLUMN nothing SET MASKING POLICY hide", "invalid identifier 'NOTHING'"),
        ("ALTER TABLE people MODIFY COLUMN id SET MASKING POLICY hide", "does not have the type VARCHAR"),
        ("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY other", "OTHER' does not exist"),
        ("ALTER TABLE absent MODIFY COLUMN name SET MASKING POLICY hide", "ABSENT' does not exist"),
        ("ALTER TABLE people ADD ROW ACCESS POLICY own ON (region, name)", "has 1 arguments"),
        ("ALTER TABLE people DROP ROW ACCESS POLICY own", "does not exist"),
        ("CREATE MASKING POLICY p AS (v VARCHAR) RETURNS VARCHAR -> w", "invalid identifier 'W'"),
        ("CREATE MASKING POLICY p AS (v VARCHAR) RETURNS NUMBER -> 1", "type of its first argument"),
        ("CREATE ROW ACCESS POLICY p AS (v VARCHAR) RETURNS VARCHAR -> v", "returns BOOLEAN"),
        ("CREATE TABLE made (x VARCHAR WITH MASKING POLICY hide)", "policies in CREATE"),
        ("ALTER TABLE people ADD COLUMN x VARCHAR WITH MASKING POLICY hide", "policies in CREATE"),
        ("CREATE TABLE made (x VARCHAR) WITH ROW ACCESS POLICY own ON (x)", "policies in CREATE"),
    ],
)
def test_what_cannot_be_set(cursor: Any, statement: str, text: str) -> None:
    refuses(cursor, statement, text)


def test_what_would_read_unmasked_rows_is_refused(cursor: Any) -> None:
    cursor.execute("CREATE VIEW before AS SELECT name FROM people")
    cursor.execute("CREATE VIEW indirect AS SELECT name FROM before")
    cursor.execute("CREATE STREAM changes ON TABLE people")
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    for view in ("before", "indirect"):
        refuses(cursor, f"SELECT * FROM {view}", "the view .* over PEOPLE, which has policies")
    refuses(cursor, "CREATE VIEW later AS SELECT name FROM people", "views over PEOPLE, which has policies")
    refuses(cursor, "SELECT * FROM changes", "the stream CHANGES on a table that has policies")
    refuses(cursor, "UPDATE people SET id = 4 WHERE name = 'Ada'", "UPDATE of PEOPLE")
    refuses(cursor, "DELETE FROM people", "DELETE of PEOPLE")
    merge = "MERGE INTO people p USING (SELECT 1 AS id) s ON p.id = s.id WHEN MATCHED THEN DELETE"
    refuses(cursor, merge, "MERGE of PEOPLE")
    refuses(cursor, "ALTER TABLE people DROP COLUMN name", "is used by a policy")
    refuses(cursor, "CREATE TABLE shaped LIKE people", "PEOPLE, which has policies")
    cursor.execute("INSERT INTO people VALUES (4, 'Dan', 'US', 1)")
    assert rows(cursor, "SELECT COUNT(*) FROM people") == [(4,)]


def test_policies_follow_their_table(cursor: Any) -> None:
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    cursor.execute("ALTER TABLE people ADD ROW ACCESS POLICY own ON (region)")
    cursor.execute("ALTER TABLE people RENAME COLUMN region TO place")
    cursor.execute("ALTER TABLE people RENAME TO persons")
    cursor.execute("CREATE TABLE cloned CLONE persons")
    for table in ("persons", "cloned"):
        assert rows(cursor, f"SELECT name, place FROM {table} ORDER BY id") == [("***", "EU"), ("***", "EU")]
    cursor.execute("DROP TABLE cloned")
    cursor.execute("CREATE OR REPLACE TABLE persons (name VARCHAR)")
    cursor.execute("DROP MASKING POLICY hide")
    cursor.execute("DROP ROW ACCESS POLICY own")


def test_merge_reads_its_source_through_policies(cursor: Any) -> None:
    cursor.execute("ALTER TABLE people MODIFY COLUMN name SET MASKING POLICY hide")
    cursor.execute("CREATE TABLE target (id INT, name VARCHAR)")
    cursor.execute(
        "MERGE INTO target t USING people p ON t.id = p.id WHEN NOT MATCHED THEN INSERT (id, name) VALUES (p.id, p.name)"
    )
    assert rows(cursor, "SELECT COUNT(*), MAX(name) FROM target") == [(3, "***")]
