"""Grammar of stages, file formats and COPY: statements that it parses, and mutants of valid statements that it must
reject."""

from __future__ import annotations

import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.objects.stages.syntax import (
    CopyIntoLocation,
    CopyIntoTable,
    CreateFileFormat,
    CreateStage,
    ExternalPath,
    FileFormat,
    Get,
    ListStage,
    NamedFormat,
    Put,
)
from localcloud.snowflake.sql.syntax import Name, StagePath, Statement
from localcloud.snowflake.statements.dialect import parse_statement, recognises

FORMAT = (
    "CREATE OR REPLACE TEMP FILE FORMAT db.s.f TYPE = CSV FIELD_DELIMITER = '\\t' NULL_IF = ('', 'x') ESCAPE = NONE "
    "SKIP_HEADER = 1 DATE_FORMAT = AUTO COMPRESSION = GZIP"
)
STAGE = "CREATE TEMPORARY STAGE s DIRECTORY = (ENABLE = TRUE) FILE_FORMAT = (FORMAT_NAME = 'db.s.f') COMMENT = 'c'"
UNLOAD = (
    "COPY INTO 's3://b/p/' FROM t PARTITION BY (TO_VARCHAR(d)) STORAGE_INTEGRATION = i "
    "FILE_FORMAT = (TYPE = JSON) MAX_FILE_SIZE = 10"
)
LOAD = (
    "COPY INTO db.s.t (a, b) FROM (SELECT $1, t.$2:x FROM @%t t) FILE_FORMAT = f ON_ERROR = SKIP_FILE_10% PURGE = TRUE"
)
PUT = "PUT 'file:///tmp/a b/*.csv' @~/in/ PARALLEL = 3 AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = GZIP OVERWRITE = TRUE"
GET = "GET @db.s.%t/p file:///tmp/x/ PATTERN = '.*[.]gz'"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            PUT,
            Put(
                "/tmp/a b/*.csv",
                StagePath(Name("~"), "in/", "USER"),
                3,
                auto_compress=False,
                source_compression="GZIP",
                overwrite=True,
            ),
        ),
        (GET, Get(StagePath(Name("T", "S", "DB"), "p", "TABLE"), "/tmp/x/", pattern=".*[.]gz")),
        ("/* by a tool */ PUT file:///tmp/* @s", Put("/tmp/*", StagePath(Name("S")))),
        ('ls @"a b"."c.d"/x', ListStage(StagePath(Name("c.d", "a b"), "x"))),
        ("LIST '@s/a b'", ListStage(StagePath(Name("S"), "a b"))),
        (
            STAGE,
            CreateStage(
                Name("S"), comment="c", file_format=NamedFormat(Name("F", "S", "DB")), temporary=True, directory=True
            ),
        ),
        ("CREATE STAGE IDENTIFIER('a.b')", CreateStage(Name("B", "A"))),
        (
            UNLOAD,
            CopyIntoLocation(
                ExternalPath("s3://b/p/", "I"),
                "SELECT * FROM t",
                FileFormat("JSON"),
                max_file_size=10,
                include_query_id=True,
                partition_by="(TO_VARCHAR(d))",
            ),
        ),
        (
            LOAD,
            CopyIntoTable(
                Name("T", "S", "DB"),
                ExternalPath(""),
                ("A", "B"),
                "SELECT $1, t.$2:x FROM @%t t",
                NamedFormat(Name("F")),
                on_error="SKIP_FILE_10%",
                purge=True,
            ),
        ),
    ],
)
def test_values(text: str, value: Statement) -> None:
    assert recognises(text)
    assert parse_statement(f"{text};") == value


def test_options_of_a_format() -> None:
    found = parse_statement(FORMAT)
    assert isinstance(found, CreateFileFormat)
    assert found.temporary
    assert found.format.options == {
        "FIELD_DELIMITER": "\t",
        "NULL_IF": ("", "x"),
        "ESCAPE": None,
        "SKIP_HEADER": 1,
        "DATE_FORMAT": "AUTO",
        "COMPRESSION": "GZIP",
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'0x2c'", ","),
        ("'\\\\x2C'", ","),
        ("'\\\\054'", ","),
        ("'\\\\t'", "\t"),
        ("NONE", None),
        ("'none'", None),
        ("'||'", "||"),
    ],
)
def test_delimiters(written: str, meant: str | None) -> None:
    found = parse_statement(f"CREATE FILE FORMAT f TYPE = CSV FIELD_DELIMITER = {written}")
    assert isinstance(found, CreateFileFormat)
    assert found.format.options["FIELD_DELIMITER"] == meant


@pytest.mark.parametrize(
    ("original", "old", "new"),
    [
        (FORMAT, "TYPE = CSV", "TYPE = PARQUET"),
        (FORMAT, "TYPE = CSV", "TYPE = TSV"),
        (FORMAT, "ESCAPE = NONE", "ESCAPE = ''"),
        (FORMAT, "SKIP_HEADER = 1", "SKIP_HEADER = -1"),
        (FORMAT, "SKIP_HEADER = 1", "SKIP_HEADERS = 1"),
        (FORMAT, "COMPRESSION = GZIP", "COMPRESSION = LZMA"),
        (FORMAT, "NULL_IF = ('', 'x')", "NULL_IF = ('', x)"),
        (FORMAT, "REPLACE TEMP", "REPLACE SECURE"),
        (FORMAT, "DATE_FORMAT = AUTO", "DATE_FORMAT = SOON"),
        (STAGE, "(ENABLE = TRUE)", "TRUE"),
        (STAGE, "FORMAT_NAME", "FORMAT"),
        (STAGE, "COMMENT", "COMMENT COMMENT"),
        (UNLOAD, "STORAGE_INTEGRATION = i", ""),
        (UNLOAD, "PARTITION BY", "PARTITION"),
        (UNLOAD, "MAX_FILE_SIZE = 10", "SINGLE = TRUE"),
        (UNLOAD, "MAX_FILE_SIZE = 10", "INCLUDE_QUERY_ID = FALSE"),
        (UNLOAD, "MAX_FILE_SIZE = 10", "VALIDATION_MODE = RETURN_ERRORS"),
        (LOAD, "(a, b)", "(a, a)"),
        (LOAD, "(a, b)", "()"),
        (LOAD, "SKIP_FILE_10%", "SKIP_FILE_%"),
        (LOAD, "SKIP_FILE_10%", "SKIP_FILE_10 %%"),
        (LOAD, "PURGE = TRUE", "MATCH_BY_COLUMN_NAME = CASE_SENSITIVE"),
        (LOAD, "PURGE = TRUE", "VALIDATION_MODE = RETURN_ERRORS"),
        (LOAD, "PURGE = TRUE", "SIZE_LIMIT = 0"),
        (PUT, "@~/in/", "~/in/"),
        (PUT, "file://", "/"),
        (PUT, "PARALLEL = 3", "PARALLEL = 0"),
        (PUT, "GZIP", "LZ4"),
        (PUT, "OVERWRITE", "FORCE"),
        (GET, "file:///tmp/x/", ""),
        (GET, "'.*[.]gz'", "'['"),
    ],
)
def test_mutants_are_rejected(original: str, old: str, new: str) -> None:
    assert old in original
    assert parse_statement(original)
    with pytest.raises(ProgrammingError) as caught:
        parse_statement(original.replace(old, new, 1))
    assert caught.value.errno in (2, 1003, 1008, 1420, 1427, 2025, 2029)
