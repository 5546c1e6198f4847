"""External functions, as frozen values: out of the grammar, into the handlers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from app.local.snowflake.syntax import Argument, Creation, Name, Statement, Type


@dataclass(frozen=True)
class CreateExternalFunction(Creation):
    arguments: tuple[Argument, ...] = ()
    returns: Type = field(default_factory=lambda: Type("VARIANT"))
    not_null: bool = False
    strict: bool = False
    immutable: bool = False
    secure: bool = False
    api_integration: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    context_headers: tuple[str, ...] = ()
    max_batch_rows: int | None = None
    compression: Literal["NONE", "GZIP", "DEFLATE", "AUTO"] = "AUTO"
    url: str = ""


@dataclass(frozen=True)
class DropFunction(Statement):
    name: Name
    types: tuple[Type, ...]
    if_exists: bool = False


@dataclass(frozen=True)
class DescribeFunction(Statement):
    name: Name
    types: tuple[Type, ...]
