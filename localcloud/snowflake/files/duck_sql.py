"""Quoting of identifiers and literals, and type checks, for DuckDB SQL."""

from __future__ import annotations

_NUMBERS = ("DECIMAL", "BIGINT", "HUGEINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "DOUBLE", "FLOAT", "UINTEGER")


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def is_number(type_: str) -> bool:
    """Whether a DuckDB type stores a Snowflake NUMBER or FLOAT."""
    return type_.startswith(_NUMBERS) and not type_.endswith("]")
