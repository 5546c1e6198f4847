"""Statements of streams, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field

from localcloud.snowflake.sql.syntax import Creation, Name


@dataclass(frozen=True)
class CreateStream(Creation):
    """``table`` is the source table. ``at_stream`` is a stream whose offset is copied."""

    table: Name = field(default_factory=lambda: Name(""))
    at_stream: str | None = None
    append_only: bool = False
    show_initial_rows: bool = False
