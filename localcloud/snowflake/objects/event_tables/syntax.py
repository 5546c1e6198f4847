"""Statements of event tables, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateEventTable(Creation):
    """CREATE EVENT TABLE."""


@dataclass(frozen=True)
class SetEventTable(Statement):
    """ALTER ACCOUNT SET EVENT_TABLE, or UNSET if ``name`` is ``None``."""

    name: Name | None
