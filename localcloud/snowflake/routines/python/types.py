"""Mapping of a handler's SQL types to DuckDB types, worker types and casts around a call.

DuckDB functions cannot take JSON, so VARIANT, OBJECT and ARRAY are passed as text. NUMBER(38,0) is BIGINT, as in the
server's tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Argument, Type

JSON_TYPES = ("OBJECT", "ARRAY", "VARIANT")
_DUCK = {
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "VARCHAR": "VARCHAR",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP_NTZ": "TIMESTAMP",
    "TIMESTAMP_LTZ": "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP_TZ": "TIMESTAMP WITH TIME ZONE",
    "BINARY": "BLOB",
}
_CASTS = {
    **{name: name for name in ("BOOLEAN", "VARCHAR", "DATE", "TIME", "BIGINT")},
    "FLOAT": "DOUBLE",
    "TIMESTAMP_NTZ": "TIMESTAMPNTZ",
    "TIMESTAMP_LTZ": "TIMESTAMPTZ",
    "TIMESTAMP_TZ": "TIMESTAMPTZ",
    "BINARY": "VARBINARY",
}


def is_bigint(type_: Type) -> bool:
    """Whether the server's tables store this type as BIGINT: integers of up to 18 digits, and of 38."""
    return type_.name == "NUMBER" and type_.scale == 0 and (type_.precision == 38 or (type_.precision or 0) <= 18)


def duck_type(type_: Type) -> str:
    """The DuckDB type in which a value is passed to or returned from the function."""
    if type_.name == "NUMBER":
        return "BIGINT" if is_bigint(type_) else f"DECIMAL({type_.precision},{type_.scale})"
    return _DUCK.get(type_.name, "VARCHAR")


def rows_type(columns: Sequence[Argument]) -> str:
    """The DuckDB type of the rows that a table function yields for one input row."""
    fields = ", ".join(f"{quoted(column.name)} {duck_type(column.type)}" for column in columns)
    return f"STRUCT({fields})[]"


def column_type(type_: Type) -> str:
    """The DuckDB type of a column of this type."""
    return "JSON" if type_.name in JSON_TYPES else duck_type(type_)


def as_json(type_: Type) -> dict[str, Any]:
    """The type as the worker reads it."""
    return {"name": type_.name, "precision": type_.precision, "scale": type_.scale, "bigint": is_bigint(type_)}


def cast_argument(argument: exp.Expr, type_: Type) -> exp.Expr:
    """The argument cast to the type in which it is passed."""
    if type_.name in JSON_TYPES:
        return exp.cast(exp.Anonymous(this="TO_JSON", expressions=[argument]), "VARCHAR")
    if type_.name == "NUMBER" and not is_bigint(type_):
        return exp.Cast(this=argument, to=exp.DataType.build(f"DECIMAL({type_.precision},{type_.scale})"))
    return exp.cast(argument, _CASTS["BIGINT" if type_.name == "NUMBER" else type_.name])


def cast_result(call: exp.Expr, type_: Type) -> exp.Expr:
    """The handler's result in the declared type."""
    return exp.cast(call, "JSON") if type_.name in JSON_TYPES else call
