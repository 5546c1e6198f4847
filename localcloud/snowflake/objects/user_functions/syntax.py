"""What all kinds of functions have in common, as frozen values: out of the grammar, into the handlers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localcloud.snowflake.sql.syntax import Name, Statement, Type


@dataclass(frozen=True)
class DropFunction(Statement):
    name: Name
    types: tuple[Type, ...]
    if_exists: bool = False


@dataclass(frozen=True)
class DescribeFunction(Statement):
    name: Name
    types: tuple[Type, ...]


@dataclass(frozen=True)
class AlterFunction(Statement):
    """``changes``: property to value, ``None`` where UNSET takes it back; or a new name."""

    name: Name
    types: tuple[Type, ...]
    if_exists: bool = False
    changes: tuple[tuple[str, Any], ...] = ()
    new_name: Name | None = None
