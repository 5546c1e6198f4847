"""Statements of integrations, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateStorageIntegration(Creation):
    role_arn: str = ""
    external_id: str | None = None
    enabled: bool = True
    allowed_locations: tuple[str, ...] = ()
    blocked_locations: tuple[str, ...] = ()


@dataclass(frozen=True)
class CreateApiIntegration(Creation):
    provider: str = ""
    role_arn: str = ""
    api_key: str | None = None
    enabled: bool = True
    allowed_prefixes: tuple[str, ...] = ()
    blocked_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlterIntegration(Statement):
    """``changes`` holds options and values; ``None`` for UNSET."""

    name: Name
    kind: Literal["STORAGE", "API"] | None = None
    if_exists: bool = False
    changes: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class DescribeIntegration(Statement):
    name: Name
    kind: Literal["STORAGE", "API"] | None = None
