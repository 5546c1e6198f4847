"""The statements about dynamic tables, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateDynamicTable(Creation):
    """``options``: by name, as written; ``query``: the text after AS."""

    options: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""


@dataclass(frozen=True)
class AlterDynamicTable(Statement):
    name: Name
    action: Literal["REFRESH", "SUSPEND", "RESUME", "SET"]
    if_exists: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DescribeDynamicTable(Statement):
    name: Name
