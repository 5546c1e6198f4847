"""Stages and what moves between them and tables, as frozen values: out of the grammar, into the handlers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.local.snowflake.syntax import Creation, Name, StagePath, Statement


@dataclass(frozen=True)
class FileFormat:
    """``type`` is always PARQUET here; ``compression`` is upper case."""

    type: str
    compression: str | None = None


@dataclass(frozen=True)
class CreateStage(Creation):
    url: str = ""
    storage_integration: str = ""
    file_format: FileFormat | None = None
    temporary: bool = False


@dataclass(frozen=True)
class ListStage(Statement):
    location: StagePath
    pattern: str | None = None


@dataclass(frozen=True)
class RemoveStage(Statement):
    location: StagePath
    pattern: str | None = None


@dataclass(frozen=True)
class CopyIntoLocation(Statement):
    """An unload; ``query`` is the SELECT or, for a table, its name as written."""

    location: StagePath
    query: str
    file_format: FileFormat | None = None
    header: bool = False
    overwrite: bool = False
    single: bool = False
    max_file_size: int = 16_777_216
    detailed_output: bool = False
    include_query_id: bool = False


@dataclass(frozen=True)
class CopyIntoTable(Statement):
    table: Name
    location: StagePath
    file_format: FileFormat | None = None
    files: tuple[str, ...] = ()
    pattern: str | None = None
    match_by_column_name: Literal["NONE", "CASE_INSENSITIVE", "CASE_SENSITIVE"] = "NONE"
    on_error: str = "ABORT_STATEMENT"
    force: bool = False
    purge: bool = False
