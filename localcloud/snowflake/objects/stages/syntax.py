"""Statements of stages and file formats, PUT, GET and COPY INTO, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from localcloud.snowflake.sql.syntax import Creation, Name, StagePath, Statement


@dataclass(frozen=True)
class FileFormat:
    """A file format. ``type`` is in upper case; ``options`` holds the specified options only (``format_options`` has
    the defaults)."""

    type: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NamedFormat:
    """A file format by name, with options that override the format's own."""

    name: Name
    options: Mapping[str, Any] = field(default_factory=dict)


FormatChoice = FileFormat | NamedFormat | None


@dataclass(frozen=True)
class ExternalPath:
    """``'s3://bucket/path'`` in place of a stage."""

    url: str
    storage_integration: str = ""


Location = StagePath | ExternalPath


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
    """``source`` is the client's path with its wildcards. The client transfers the files."""

    source: str
    location: StagePath
    parallel: int = 4
    auto_compress: bool = True
    source_compression: str = "AUTO_DETECT"
    overwrite: bool = False


@dataclass(frozen=True)
class Get(Statement):
    """``target`` is the client's folder."""

    location: StagePath
    target: str
    parallel: int = 10
    pattern: str | None = None


@dataclass(frozen=True)
class CopyIntoLocation(Statement):
    """An unload. ``query`` and ``partition_by`` are SQL texts."""

    location: Location
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
    """A load. ``columns`` are the target columns listed before FROM; ``query`` is the SQL text of a transformation."""

    table: Name
    location: Location
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
