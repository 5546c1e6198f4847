"""The statements about streams, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateStream(Creation):
    """``table`` is read from; ``at_stream`` names a stream whose offset is taken over; ``clone`` one that is copied whole."""

    table: Name | None = None
    at_stream: str | None = None
    clone: Name | None = None
    append_only: bool = False
    show_initial_rows: bool = False


@dataclass(frozen=True)
class AlterStream(Statement):
    """``comment``: the new one, ``None`` for UNSET."""

    name: Name
    comment: str | None
    if_exists: bool = False


@dataclass(frozen=True)
class DescribeStream(Statement):
    name: Name
