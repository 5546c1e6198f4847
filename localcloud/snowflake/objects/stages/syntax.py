"""Stages, file formats and what moves between stages and tables, as frozen values: out of the grammar, into the handlers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from localcloud.snowflake.sql.syntax import Creation, Name, StagePath, Statement


@dataclass(frozen=True)
class FileFormat:
    """``type`` in upper case; ``options``: those that were written, see ``formats`` for what the others are."""

    type: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NamedFormat:
    """A file format by its name, with options that override its own."""

    name: Name
    options: Mapping[str, Any] = field(default_factory=dict)


FormatChoice = FileFormat | NamedFormat | None


@dataclass(frozen=True)
class ExternalPath:
    """``'s3://bucket/path'`` in the place of a stage."""

    url: str
    storage_integration: str = ""


Place = StagePath | ExternalPath


@dataclass(frozen=True)
class CreateStage(Creation):
    """``url`` and ``storage_integration`` are empty for an internal stage."""

    url: str = ""
    storage_integration: str = ""
    file_format: FormatChoice = None
    directory: bool = False
    encryption: str | None = None


@dataclass(frozen=True)
class CreateFileFormat(Creation):
    format: FileFormat = FileFormat("CSV")


@dataclass(frozen=True)
class ListStage(Statement):
    location: StagePath
    pattern: str | None = None


@dataclass(frozen=True)
class RemoveStage(Statement):
    location: StagePath
    pattern: str | None = None


@dataclass(frozen=True)
class Put(Statement):
    """``source``: the client's path, with its wildcards; the client does the transfer."""

    source: str
    location: StagePath
    parallel: int = 4
    auto_compress: bool = True
    source_compression: str = "AUTO_DETECT"
    overwrite: bool = False


@dataclass(frozen=True)
class Get(Statement):
    """``target``: the client's folder."""

    location: StagePath
    target: str
    parallel: int = 10
    pattern: str | None = None


@dataclass(frozen=True)
class CopyIntoLocation(Statement):
    """An unload; ``query`` is the SELECT or, for a table, its name as written. ``partition_by``: an expression as written."""

    location: Place
    query: str
    file_format: FormatChoice = None
    header: bool = False
    overwrite: bool = False
    single: bool = False
    max_file_size: int = 16_777_216
    detailed_output: bool = False
    include_query_id: bool = False
    partition_by: str | None = None
    validation_mode: str | None = None


@dataclass(frozen=True)
class CopyIntoTable(Statement):
    """A load. ``columns``: the target columns named before FROM; ``query``: the SELECT of a transformation, as written."""

    table: Name
    location: Place
    columns: tuple[str, ...] = ()
    query: str | None = None
    file_format: FormatChoice = None
    files: tuple[str, ...] = ()
    pattern: str | None = None
    match_by_column_name: Literal["NONE", "CASE_INSENSITIVE", "CASE_SENSITIVE"] = "NONE"
    on_error: str = "ABORT_STATEMENT"
    size_limit: int | None = None
    force: bool = False
    purge: bool = False
    return_failed_only: bool = False
    truncatecolumns: bool = False
    enforce_length: bool = True
    validation_mode: str | None = None
    load_uncertain_files: bool = False
