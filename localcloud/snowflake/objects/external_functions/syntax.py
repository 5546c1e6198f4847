"""Statements of external functions, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from localcloud.snowflake.objects.user_functions.syntax import CreateRoutine
from localcloud.snowflake.sql.syntax import Name


@dataclass(frozen=True)
class CreateExternalFunction(CreateRoutine):
    api_integration: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    context_headers: tuple[str, ...] = ()
    max_batch_rows: int | None = None
    compression: Literal["NONE", "GZIP", "DEFLATE", "AUTO"] = "AUTO"
    url: str = ""


# The values to which ALTER FUNCTION ... UNSET resets properties.
UNSET = CreateExternalFunction(Name(""))
