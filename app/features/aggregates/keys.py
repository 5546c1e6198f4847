"""Column names of an entity or a source, as definitions give them."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import CallerError
from app.sql import Name


def key_columns(key: str | Sequence[str]) -> list[str]:
    """``"CUSTOMER_ID"`` or ``["CUSTOMER_ID", "SHOP"]`` as a list. Raises CallerError if it is empty."""
    names = [key] if isinstance(key, str) else list(key)
    if not names:
        raise CallerError("key is empty; name the entity's columns")
    return names


def stored(name: str) -> str:
    """A column's name as Snowflake stores it: upper-cased, or as written in double quotes."""
    return Name.parse(name).last
