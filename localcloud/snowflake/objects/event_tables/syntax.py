"""The statements about event tables, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateEventTable(Creation):
    """CREATE EVENT TABLE."""


@dataclass(frozen=True)
class SetEventTable(Statement):
    """ALTER ACCOUNT SET EVENT_TABLE; ``None`` for UNSET."""

    name: Name | None
