"""GET_DDL: the statement of each kind of object creates the same object again."""

from __future__ import annotations

from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

_PYTHON = "LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'h'"


@pytest.fixture
def cursor(connection: Any, schema: str) -> Any:
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE source (a INT NOT NULL, b VARCHAR(20) DEFAULT 'x')")
    return cursor


def _ddl(cursor: Any, kind: str, name: str, full: str = "FALSE") -> str:
    ((text,),) = cursor.execute(f"SELECT GET_DDL('{kind}', '{name}', {full})").fetchall()
    return str(text)


@pytest.mark.parametrize(
    ("create", "kind", "name", "expected"),
    [
        (
            "CREATE TABLE t (a INT PRIMARY KEY, b INT, CONSTRAINT u UNIQUE (b, a))",
            "TABLE",
            "t",
            "create or replace TABLE T (\n\tA NUMBER(38,0) NOT NULL,\n\tB NUMBER(38,0),\n\tprimary key (A),\n"
            "\tconstraint U unique (B, A)\n);",
        ),
        (
            "CREATE OR REPLACE VIEW v (x) COMMENT = 'c' AS SELECT a FROM source",
            "VIEW",
            "v",
            "create or replace view V(x) COMMENT = 'c' AS SELECT a FROM source;",
        ),
        (
            'create secure view if not exists "v" as select a from source',
            "VIEW",
            '"v"',
            'create or replace secure view "v" as select a from source;',
        ),
        (
            "CREATE SEQUENCE sq START 5 INCREMENT 2 ORDER COMMENT = 'it''s'",
            "SEQUENCE",
            "sq",
            "create or replace sequence SQ start with 5 increment by 2 order comment='it''s';",
        ),
        (
            "CREATE TAG tg ALLOWED_VALUES 'a', 'b'",
            "TAG",
            "tg",
            "create or replace tag TG allowed_values 'a', 'b';",
        ),
        (
            "CREATE TASK tk WAREHOUSE = COMPUTE_WH SCHEDULE = '60 MINUTE' COMMENT = 'c' WHEN 1 = 1 AS SELECT 'x'",
            "TASK",
            "tk",
            "create or replace task TK\n\twarehouse='COMPUTE_WH'\n\tschedule='60 MINUTE'\n\tCOMMENT='c'\n\twhen 1 = 1\n"
            "\tas SELECT 'x';",
        ),
        (
            f"CREATE FUNCTION f(x INT, y FLOAT DEFAULT 2.5) RETURNS FLOAT {_PYTHON} PACKAGES = ('numpy') "
            "AS 'def h(x, y): return x'",
            "FUNCTION",
            "f(INT, FLOAT)",
            'CREATE OR REPLACE FUNCTION "F"("X" NUMBER(38,0), "Y" FLOAT DEFAULT 2.5)\nRETURNS FLOAT\nLANGUAGE PYTHON\n'
            "RUNTIME_VERSION = '3.11'\nPACKAGES = ('numpy')\nHANDLER = 'h'\nAS 'def h(x, y): return x';",
        ),
        (
            f"CREATE PROCEDURE p(n VARCHAR) RETURNS VARCHAR {_PYTHON} PACKAGES = ('snowflake-snowpark-python') COMMENT = 'c' "
            "EXECUTE AS CALLER AS $$def h(s, n): return 'n'$$",
            "PROCEDURE",
            "p(VARCHAR)",
            'CREATE OR REPLACE PROCEDURE "P"("N" VARCHAR)\nRETURNS VARCHAR\nLANGUAGE PYTHON\nRUNTIME_VERSION = \'3.11\'\n'
            "PACKAGES = ('snowflake-snowpark-python')\nHANDLER = 'h'\nEXECUTE AS CALLER\nCOMMENT='c'\n"
            "AS 'def h(s, n): return ''n''';",
        ),
        (
            "CREATE FILE FORMAT ff TYPE = CSV SKIP_HEADER = 1 NULL_IF = ('', 'NULL') TRIM_SPACE = TRUE",
            "FILE_FORMAT",
            "ff",
            "create or replace file format FF\n\tTYPE = CSV\n\tSKIP_HEADER = 1\n\tNULL_IF = ('', 'NULL')\n\tTRIM_SPACE = TRUE\n;",
        ),
        (
            "CREATE DYNAMIC TABLE dt TARGET_LAG = '1 hour' WAREHOUSE = COMPUTE_WH AS SELECT a FROM source",
            "TABLE",
            "dt",
            "create or replace dynamic table DT\n\ttarget_lag = '1 hour' refresh_mode = FULL warehouse = COMPUTE_WH\n"
            "\tas\nSELECT a FROM source;",
        ),
        (
            "CREATE DYNAMIC TABLE dt LAG = '1 min' WAREHOUSE = COMPUTE_WH COMMENT = 'it''s' AS SELECT a FROM source",
            "TABLE",
            "dt",
            "create or replace dynamic table DT\n\ttarget_lag = '1 min' refresh_mode = FULL warehouse = COMPUTE_WH "
            "comment='it''s'\n\tas\nSELECT a FROM source;",
        ),
        (
            "CREATE DYNAMIC TABLE dt TARGET_LAG = DOWNSTREAM WAREHOUSE = COMPUTE_WH AS SELECT a FROM source",
            "TABLE",
            "dt",
            "create or replace dynamic table DT\n\ttarget_lag = 'DOWNSTREAM' refresh_mode = FULL warehouse = COMPUTE_WH\n"
            "\tas\nSELECT a FROM source;",
        ),
    ],
)
def test_the_statement_creates_the_object_again(cursor: Any, create: str, kind: str, name: str, expected: str) -> None:
    cursor.execute(create)
    text = _ddl(cursor, kind, name)
    assert text == expected
    cursor.execute(text)
    assert _ddl(cursor, kind, name) == text


def test_a_schema_holds_the_statements_of_its_objects(cursor: Any, schema: str) -> None:
    cursor.execute("CREATE SEQUENCE sq")
    cursor.execute("CREATE VIEW v AS SELECT a FROM source")
    cursor.execute("CREATE STREAM st ON TABLE source APPEND_ONLY = TRUE")
    assert _ddl(cursor, "SCHEMA", schema).split(";\n\n") == [
        f"create or replace schema {schema}",
        "create or replace TABLE SOURCE (\n\tA NUMBER(38,0) NOT NULL,\n\tB VARCHAR(20) DEFAULT 'x'\n)",
        "create or replace view V AS SELECT a FROM source",
        "create or replace sequence SQ start with 1 increment by 1 noorder",
        f"create or replace stream ST on table SNOWSAGE.{schema}.SOURCE append_only = true;",
    ]
    assert f"create or replace view SNOWSAGE.{schema}.V AS" in _ddl(cursor, "SCHEMA", f"SNOWSAGE.{schema}", "TRUE")
    assert f"create or replace schema {schema};" in _ddl(cursor, "DATABASE", "SNOWSAGE")


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        ("STAGE", "st", 2),
        ("PIPE", "p", 2),
        ("VIEW", "missing", 2003),
        ("SEQUENCE", "missing", 2003),
        ("FUNCTION", "missing(INT)", 2003),
        ("SCHEMA", "missing", 2003),
        ("DATABASE", "missing", 2003),
    ],
)
def test_other_kinds_and_missing_objects_are_refused(cursor: Any, kind: str, name: str, code: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        _ddl(cursor, kind, name)
    assert caught.value.errno == code
