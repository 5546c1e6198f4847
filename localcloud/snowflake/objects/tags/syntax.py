"""Statements of tags, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateTag(Creation):
    allowed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Assignment:
    """Values of tags for an object, or for one of its columns; ``None`` for UNSET."""

    tags: tuple[tuple[Name, str | None], ...]
    column: str | None = None


@dataclass(frozen=True)
class SetTags(Statement):
    """``ALTER kind name SET TAG ..`` or ``UNSET TAG ..``, also of columns."""

    kind: str
    name: Name
    assignments: tuple[Assignment, ...]
    if_exists: bool = False
