"""Stages, LIST, REMOVE, COPY INTO in both directions, and the file format that they share.

In: a token stream. Out: a value of ``syntax``. Parquet is the only file format here.
"""

from __future__ import annotations

import re

from app.local.snowflake.failures import compilation, unsupported
from app.local.snowflake.staging import syntax as ast
from app.local.snowflake.subject import CreateHead
from app.local.snowflake.syntax import Statement
from app.local.snowflake.tokens import (
    OptionParser,
    TokenStream,
    boolean_option,
    choice_option,
    integer_option,
    name_option,
    require_options,
    text_option,
    texts_option,
    wrong_value,
)

# 5 GB is what Snowflake allows on S3.
_MAX_FILE_SIZE = 5_368_709_120
_FORMATS = ("CSV", "JSON", "AVRO", "ORC", "PARQUET", "XML")


def file_format_option(stream: TokenStream, _name: str) -> ast.FileFormat:
    """``(TYPE = PARQUET [COMPRESSION = ...])``; compressions are those that Snowflake lists for Parquet."""
    stream.expect("(")
    options = stream.options(
        {
            "TYPE": choice_option(*_FORMATS),
            "COMPRESSION": choice_option("AUTO", "LZO", "SNAPPY", "NONE"),
            "SNAPPY_COMPRESSION": boolean_option,
            "BINARY_AS_TEXT": boolean_option,
            "USE_LOGICAL_TYPE": boolean_option,
            "USE_VECTORIZED_SCANNER": boolean_option,
            "TRIM_SPACE": boolean_option,
        }
    )
    stream.expect(")")
    if "TYPE" not in options:
        raise compilation(2029, "42601", "Missing option(s): [TYPE]")
    if options["TYPE"] != "PARQUET":
        raise unsupported(f"the file format {options['TYPE']}, only PARQUET")
    if options.get("COMPRESSION") == "LZO":
        raise unsupported("LZO compression of Parquet, only SNAPPY and NONE")
    if options.get("SNAPPY_COMPRESSION") is False:
        options["COMPRESSION"] = "NONE"
    return ast.FileFormat("PARQUET", options.get("COMPRESSION"))


_STAGE: dict[str, OptionParser] = {
    "URL": text_option,
    "STORAGE_INTEGRATION": name_option,
    "FILE_FORMAT": file_format_option,
    "COMMENT": text_option,
}
_UNLOAD: dict[str, OptionParser] = {
    "FILE_FORMAT": file_format_option,
    "HEADER": boolean_option,
    "OVERWRITE": boolean_option,
    "SINGLE": boolean_option,
    "MAX_FILE_SIZE": integer_option(1, _MAX_FILE_SIZE),
    "DETAILED_OUTPUT": boolean_option,
    "INCLUDE_QUERY_ID": boolean_option,
}
_LOAD: dict[str, OptionParser] = {
    "FILE_FORMAT": file_format_option,
    "FILES": texts_option,
    "PATTERN": text_option,
    "MATCH_BY_COLUMN_NAME": choice_option("NONE", "CASE_INSENSITIVE", "CASE_SENSITIVE"),
    "ON_ERROR": choice_option("ABORT_STATEMENT", "CONTINUE", "SKIP_FILE"),
    "FORCE": boolean_option,
    "PURGE": boolean_option,
}


def copy_into(stream: TokenStream) -> Statement:
    stream.expect("COPY", "INTO")
    if stream.words(1) == ("@",) or stream.sql[stream.position : stream.position + 2] == "'@":
        return _unload(stream)
    if stream.sql[stream.position : stream.position + 1] == "'":
        raise unsupported("COPY INTO a URL; name a stage")
    return _load(stream)


def _unload(stream: TokenStream) -> Statement:
    location = stream.stage_path()
    stream.expect("FROM")
    query = stream.parenthesised() if stream.words(1) == ("(",) else f"SELECT * FROM {_written_name(stream)}"
    options = stream.options(_UNLOAD)
    if options.get("INCLUDE_QUERY_ID") and (options.get("OVERWRITE") or options.get("SINGLE")):
        raise compilation(1008, "22023", "INCLUDE_QUERY_ID = TRUE cannot be combined with OVERWRITE or SINGLE")
    return ast.CopyIntoLocation(location, query, **{name.lower(): value for name, value in options.items()})


def _written_name(stream: TokenStream) -> str:
    start = stream.position
    stream.name()
    return stream.sql[start : stream.position].strip()


def _load(stream: TokenStream) -> Statement:
    table = stream.name()
    if stream.words(1) == ("(",):
        raise unsupported("a column list in COPY INTO a table; use MATCH_BY_COLUMN_NAME")
    stream.expect("FROM")
    if stream.words(1) == ("(",):
        raise unsupported("transformations in COPY INTO a table; load into a table of the files' columns")
    location = stream.stage_path()
    options = stream.options(_LOAD)
    if options.get("ON_ERROR", "ABORT_STATEMENT") != "ABORT_STATEMENT":
        raise unsupported(f"ON_ERROR = {options['ON_ERROR']}, only ABORT_STATEMENT")
    if "PATTERN" in options:
        _check_pattern(options["PATTERN"])
    return ast.CopyIntoTable(table, location, **{name.lower(): value for name, value in options.items()})


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error:
        raise wrong_value("PATTERN", pattern) from None


def create_stage(stream: TokenStream, head: CreateHead) -> Statement:
    options = stream.options(_STAGE)
    if "URL" not in options:
        raise unsupported("internal stages; give the stage a URL and a STORAGE_INTEGRATION")
    require_options(options, "STORAGE_INTEGRATION")
    return head.make(
        ast.CreateStage,
        comment=options.get("COMMENT"),
        url=options["URL"],
        storage_integration=options["STORAGE_INTEGRATION"],
        file_format=options.get("FILE_FORMAT"),
        temporary=bool(head.modifiers),
    )


def list_or_remove(stream: TokenStream) -> Statement:
    word = stream.one_of("LIST", "LS", "REMOVE", "RM")
    location = stream.stage_path()
    pattern = stream.options({"PATTERN": text_option}).get("PATTERN")
    make = ast.ListStage if word in ("LIST", "LS") else ast.RemoveStage
    return make(location, pattern)
