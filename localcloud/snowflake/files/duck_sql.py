"""Literals and types in DuckDB's SQL."""

from __future__ import annotations

_NUMBERS = ("DECIMAL", "BIGINT", "HUGEINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "DOUBLE", "FLOAT", "UINTEGER")


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def is_number(type_: str) -> bool:
    """Whether a DuckDB type is one of NUMBER's or FLOAT's."""
    return type_.startswith(_NUMBERS) and not type_.endswith("]")
