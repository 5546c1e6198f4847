"""Statements of dynamic tables, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.snowflake.sql.syntax import Creation


@dataclass(frozen=True)
class CreateDynamicTable(Creation):
    """``options`` by name, as written; ``query`` is the text after AS."""

    options: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
