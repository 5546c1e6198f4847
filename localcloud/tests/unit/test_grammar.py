"""The project's grammar: statements that it parses, and mutants of valid statements that it must reject."""

from __future__ import annotations

import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.objects.account.syntax import Use
from localcloud.snowflake.objects.external_functions.syntax import CreateExternalFunction
from localcloud.snowflake.objects.stages.syntax import CopyIntoLocation, FileFormat
from localcloud.snowflake.sql.syntax import Drop, Name, StagePath, Statement
from localcloud.snowflake.statements.dialect import parse_statement, recognises

STORAGE = (
    "CREATE STORAGE INTEGRATION i TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE "
    "STORAGE_AWS_ROLE_ARN = 'arn:r' STORAGE_ALLOWED_LOCATIONS = ('s3://a/')"
)
FUNCTION = (
    "CREATE OR REPLACE SECURE EXTERNAL FUNCTION db.s.f(a FLOAT, o OBJECT) RETURNS VARIANT NOT NULL STRICT IMMUTABLE "
    "API_INTEGRATION = i HEADERS = ('k' = 'v') CONTEXT_HEADERS = (current_user) MAX_BATCH_ROWS = 5 COMPRESSION = NONE AS 'https://x/'"
)
UNLOAD = "COPY INTO @db.s.st/a-b/c=1/ FROM (SELECT a, ')' FROM t) FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE"
LOAD = "COPY INTO t FROM @st/x FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FORCE = TRUE"


def test_an_unload() -> None:
    found = parse_statement(UNLOAD)
    assert found == CopyIntoLocation(
        StagePath(Name("ST", "S", "DB"), "a-b/c=1/"),
        "SELECT a, ')' FROM t",
        FileFormat("PARQUET"),
        header=True,
    )


def test_a_function() -> None:
    found = parse_statement(FUNCTION)
    assert isinstance(found, CreateExternalFunction)
    assert [str(argument.type) for argument in found.arguments] == ["FLOAT", "OBJECT"]
    assert (found.strict, found.immutable, found.secure, found.not_null) == (True, True, True, True)
    assert found.context_headers == ("CURRENT_USER",)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("INT", "NUMBER(38,0)"), ("number(10, 2)", "NUMBER(10,2)"), ("STRING", "VARCHAR"), ("DOUBLE PRECISION", "FLOAT")],
)
def test_synonyms_of_types(text: str, shown: str) -> None:
    found = parse_statement(f"DROP FUNCTION f({text})")
    assert isinstance(found, Drop)
    assert [str(type_) for type_ in found.types or ()] == [shown]


def test_quoted_names_keep_their_case() -> None:
    assert parse_statement('USE SCHEMA "my db".s') == Use("SCHEMA", Name("S", "my db"))


@pytest.mark.parametrize("text", ["SELECT 1", "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)", "DROP TABLE t", ""])
def test_statements_that_sqlglot_parses_are_not_recognised(text: str) -> None:
    assert not recognises(text)


@pytest.mark.parametrize("text", [STORAGE, FUNCTION, UNLOAD, LOAD])
def test_the_originals_of_the_mutants_are_valid(text: str) -> None:
    assert isinstance(parse_statement(text + ";"), Statement)


@pytest.mark.parametrize(
    ("original", "old", "new"),
    [
        (STORAGE, "ENABLED = TRUE", "ENABLED = YES"),
        (STORAGE, "ENABLED = TRUE", ""),
        (STORAGE, "ENABLED", "ENABLE"),
        (STORAGE, "'S3'", "'GCS'"),
        (STORAGE, "('s3://a/')", "'s3://a/'"),
        (STORAGE, "TYPE = EXTERNAL_STAGE", "TYPE = EXTERNAL_STAGE TYPE = EXTERNAL_STAGE"),
        (STORAGE, "CREATE", "CREATE OR REPLACE TEMPORARY"),
        (FUNCTION, "COMPRESSION = NONE", "COMPRESSION = ZIP"),
        (FUNCTION, "MAX_BATCH_ROWS = 5", "MAX_BATCH_ROWS = 0"),
        (FUNCTION, "MAX_BATCH_ROWS = 5", "MAX_BATCH_ROW = 5"),
        (FUNCTION, "API_INTEGRATION = i", ""),
        (FUNCTION, "'k' = 'v'", "'k_1' = 'v'"),
        (FUNCTION, "current_user", "current_mood"),
        (FUNCTION, "a FLOAT", "a FLOATING"),
        (FUNCTION, "o OBJECT", "a OBJECT"),
        (FUNCTION, "AS 'https://x/'", ""),
        (FUNCTION, "STRICT IMMUTABLE", "IMMUTABLE STRICT"),
        (FUNCTION, "SECURE EXTERNAL FUNCTION", "SECURE EXTERNAL FUNCTION IF NOT EXISTS"),
        (UNLOAD, "HEADER = TRUE", "HEADER TRUE"),
        (UNLOAD, "HEADER = TRUE", "HEADER = 1"),
        (UNLOAD, "HEADER = TRUE", "HEADER = TRUE TRUE"),
        (UNLOAD, "TYPE = PARQUET", "TYPE = ARROW"),
        (UNLOAD, "TYPE = PARQUET", "TYPE = PARQUET COMPRESSION = ZSTD"),
        (UNLOAD, "FROM (", "FROM "),
        (LOAD, "CASE_INSENSITIVE", "CASEINSENSITIVE"),
        (LOAD, "FORCE = TRUE", "OVERWRITE = TRUE"),
        (LOAD, "FORCE = TRUE", "PATTERN = '['"),
        (LOAD, "@st/x", "st"),
    ],
)
def test_mutants_are_rejected(original: str, old: str, new: str) -> None:
    assert old in original
    with pytest.raises(ProgrammingError) as caught:
        parse_statement(original.replace(old, new, 1))
    assert caught.value.errno is not None


def test_a_syntax_error_names_its_position() -> None:
    with pytest.raises(ProgrammingError) as caught:
        parse_statement("GRANT USAGE ON DATABASE d\nTOO ROLE r")
    assert (caught.value.errno, caught.value.sqlstate) == (1003, "42000")
    assert "syntax error line 2 at position 0 unexpected 'TOO'" in caught.value.msg
