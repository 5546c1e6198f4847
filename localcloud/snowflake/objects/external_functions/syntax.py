"""Statements of external functions, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from localcloud.snowflake.sql.syntax import Argument, Creation, Name, Type


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

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(argument.type.name for argument in self.arguments)


# The values to which ALTER FUNCTION ... UNSET resets properties.
UNSET = CreateExternalFunction(Name(""))
