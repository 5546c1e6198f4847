"""Grammar of COPY INTO a table and COPY INTO a location.

A query inside the statement is kept as text; sqlglot parses it when the statement runs.
"""

from __future__ import annotations

import re
from typing import Any

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import file_format_option
from localcloud.snowflake.objects.stages.grammar import check_pattern
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import (
    OptionParser,
    TokenStream,
    boolean_option,
    choice_option,
    integer_option,
    name_option,
    require_options,
    text_option,
    texts_option,
    unsupported_option,
    wrong_value,
)

# The maximum that Snowflake allows on S3: 5 GB.
_MAX_FILE_SIZE = 5_368_709_120
_ON_ERROR = re.compile(r"CONTINUE|ABORT_STATEMENT|SKIP_FILE(?:_\d{1,9}%?)?")
_VALIDATION = re.compile(r"RETURN_(?:[1-9]\d*_ROWS|ERRORS|ALL_ERRORS)")


def _keyword_option(pattern: re.Pattern[str]) -> OptionParser:
    """An option whose value is one word, bare or quoted, that matches ``pattern``."""

    def parse(stream: TokenStream, name: str) -> str:
        value = stream.literal()
        if value is None:
            value = stream.identifier() + ("%" if stream.accept("%") else "")
        if not pattern.fullmatch(value.upper()):
            raise wrong_value(name, value)
        return value.upper()

    return parse


_UNLOAD: dict[str, OptionParser] = {
    "FILE_FORMAT": file_format_option,
    "STORAGE_INTEGRATION": name_option,
    "HEADER": boolean_option,
    "OVERWRITE": boolean_option,
    "SINGLE": boolean_option,
    "MAX_FILE_SIZE": integer_option(1, _MAX_FILE_SIZE),
    "DETAILED_OUTPUT": boolean_option,
    "INCLUDE_QUERY_ID": boolean_option,
    "VALIDATION_MODE": choice_option("RETURN_ROWS"),
    **dict.fromkeys(("CREDENTIALS", "ENCRYPTION"), unsupported_option),
}
_LOAD: dict[str, OptionParser] = {
    "FILE_FORMAT": file_format_option,
    "STORAGE_INTEGRATION": name_option,
    "FILES": texts_option,
    "PATTERN": text_option,
    "MATCH_BY_COLUMN_NAME": choice_option("NONE", "CASE_INSENSITIVE", "CASE_SENSITIVE"),
    "ON_ERROR": _keyword_option(_ON_ERROR),
    "SIZE_LIMIT": integer_option(1, 2**63 - 1),
    "FORCE": boolean_option,
    "PURGE": boolean_option,
    "RETURN_FAILED_ONLY": boolean_option,
    "TRUNCATECOLUMNS": boolean_option,
    "ENFORCE_LENGTH": boolean_option,
    "LOAD_UNCERTAIN_FILES": boolean_option,
    "VALIDATION_MODE": _keyword_option(_VALIDATION),
    **dict.fromkeys(
        ("CREDENTIALS", "ENCRYPTION", "INCLUDE_METADATA", "FILE_PROCESSOR", "LOAD_MODE", "CLUSTER_AT_INGEST_TIME"),
        unsupported_option,
    ),
}


def copy_into(stream: TokenStream) -> Statement:
    stream.expect("COPY", "INTO")
    at = stream.sql[stream.position : stream.position + 2]
    return _unload(stream) if at[:1] in ("@", "'") else _load(stream)


def _location(stream: TokenStream) -> ast.Location:
    text = stream.sql[stream.position : stream.position + 2]
    if text[:1] == "'" and text != "'@":
        return ast.ExternalPath(stream.string())
    return stream.stage_path()


def _with_integration(location: ast.Location, options: dict[str, Any]) -> ast.Location:
    """Add the STORAGE_INTEGRATION option to an external path.

    An external path needs an integration: the alternative, CREDENTIALS, is not supported.
    """
    integration = options.pop("STORAGE_INTEGRATION", None)
    if isinstance(location, ast.ExternalPath):
        require_options({"STORAGE_INTEGRATION": integration} if integration else {}, "STORAGE_INTEGRATION")
        return ast.ExternalPath(location.url, integration)
    if integration is not None:
        raise compilation(1420, "22023", "invalid parameter 'STORAGE_INTEGRATION'")
    return location


def _unload(stream: TokenStream) -> Statement:
    location = _location(stream)
    stream.expect("FROM")
    query = stream.parenthesised() if stream.words(1) == ("(",) else f"SELECT * FROM {_name_text(stream)}"
    partition_by = stream.expression_before_options() if stream.accept("PARTITION", "BY") else None
    options = stream.options(_UNLOAD)
    _check_unload(options, partitioned=partition_by is not None)
    location = _with_integration(location, options)
    fields = {name.lower(): value for name, value in options.items()}
    return ast.CopyIntoLocation(location, query, partition_by=partition_by, **fields)


def _check_unload(options: dict[str, Any], *, partitioned: bool) -> None:
    if options.get("INCLUDE_QUERY_ID") and (options.get("OVERWRITE") or options.get("SINGLE")):
        raise compilation(1008, "22023", "INCLUDE_QUERY_ID = TRUE cannot be combined with OVERWRITE or SINGLE")
    if not partitioned:
        return
    for name, value in (("OVERWRITE", True), ("SINGLE", True), ("INCLUDE_QUERY_ID", False)):
        if options.get(name) is value:
            raise compilation(
                1008, "22023", f"{name} = {str(value).upper()} cannot be combined with PARTITION BY in an unload"
            )
    options["INCLUDE_QUERY_ID"] = True


def _name_text(stream: TokenStream) -> str:
    start = stream.position
    stream.name()
    return stream.sql[start : stream.position].strip()


def _load(stream: TokenStream) -> Statement:
    table = stream.name()
    columns = _columns(stream) if stream.words(1) == ("(",) else ()
    stream.expect("FROM")
    query = None
    if stream.words(1) == ("(",):
        query = stream.parenthesised()
        location: ast.Location = ast.ExternalPath("")
    else:
        location = _location(stream)
    options = stream.options(_LOAD)
    _check_load(options, transformed=query is not None)
    if query is None:
        location = _with_integration(location, options)
    return ast.CopyIntoTable(
        table, location, columns, query, **{name.lower(): value for name, value in options.items()}
    )


def _check_load(options: dict[str, Any], *, transformed: bool) -> None:
    if "PATTERN" in options:
        check_pattern(options["PATTERN"])
    if options.get("MATCH_BY_COLUMN_NAME", "NONE") != "NONE" and transformed:
        raise compilation(1008, "22023", "MATCH_BY_COLUMN_NAME is not supported with copy transform")
    if "VALIDATION_MODE" in options and transformed:
        raise compilation(1008, "22023", "VALIDATION_MODE is not supported with copy transform")
    if "STORAGE_INTEGRATION" in options and transformed:
        raise unsupported("STORAGE_INTEGRATION with a transformation; create a stage")


def _columns(stream: TokenStream) -> tuple[str, ...]:
    stream.expect("(")
    found = [stream.identifier()]
    while stream.accept(","):
        found.append(stream.identifier())
    stream.expect(")")
    if len(set(found)) != len(found):
        raise compilation(2025, "42601", f"duplicate column name '{next(n for n in found if found.count(n) > 1)}'")
    return tuple(found)
