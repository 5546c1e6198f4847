"""Statements of streams, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateStream(Creation):
    """``table`` is the source table. ``at_stream`` is a stream whose offset is copied; ``clone`` is a stream to copy
    entirely."""

    table: Name | None = None
    at_stream: str | None = None
    clone: Name | None = None
    append_only: bool = False
    show_initial_rows: bool = False


@dataclass(frozen=True)
class AlterStream(Statement):
    """``comment`` is the new comment, or ``None`` for UNSET."""

    name: Name
    comment: str | None
    if_exists: bool = False


@dataclass(frozen=True)
class DescribeStream(Statement):
    name: Name
