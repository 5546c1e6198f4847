"""Values of an external function between SQL, DuckDB's Arrow columns and JSON, both ways.

In and out as Snowflake documents them: numbers as JSON numbers, texts and moments as strings, OBJECT, ARRAY and VARIANT as
JSON, NULL as null. The surprise: DuckDB functions take no JSON type, and decimals lose digits as floats, so both travel as text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from sqlglot import exp

from app.local.snowflake.catalog import ExternalFunction
from app.local.snowflake.context import context_values
from app.local.snowflake.failures import compilation, failure
from app.local.snowflake.syntax import Type

if TYPE_CHECKING:
    from app.local.snowflake.session import Session

JSON_TYPES = ("OBJECT", "ARRAY", "VARIANT")
_NATIVE = {"FLOAT": "DOUBLE", "BOOLEAN": "BOOLEAN"}
_ARROW = {"DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), "BIGINT": pa.int64(), "VARCHAR": pa.string()}
# Formats of Snowflake's default output parameters.
_FORMATS = {
    "DATE": "%Y-%m-%d",
    "TIME": "%H:%M:%S",
    "TIMESTAMP_NTZ": "%Y-%m-%d %H:%M:%S.%g",
    "TIMESTAMP_LTZ": "%Y-%m-%d %H:%M:%S.%g %z",
    "TIMESTAMP_TZ": "%Y-%m-%d %H:%M:%S.%g %z",
}
_CASTS = {
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP_NTZ": "TIMESTAMPNTZ",
    "TIMESTAMP_LTZ": "TIMESTAMPTZ",
    "TIMESTAMP_TZ": "TIMESTAMPTZ",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "VARCHAR": "VARCHAR",
    "BIGINT": "BIGINT",
}


def duck_type(type_: Type) -> str:
    """The DuckDB type in which a value crosses the function's border."""
    return _NATIVE.get(type_.name, "BIGINT" if _is_bigint(type_) else "VARCHAR")


def _is_bigint(type_: Type) -> bool:
    """Whole numbers of up to 38 digits are BIGINT in this server's tables too (fakesnow's choice)."""
    return type_.name == "NUMBER" and type_.scale == 0 and (type_.precision == 38 or (type_.precision or 0) <= 18)


def sent(argument: exp.Expr, type_: Type) -> exp.Expr:
    """The argument cast to the declared type, and to text where it travels as text."""
    if type_.name in JSON_TYPES:
        return exp.cast(exp.Anonymous(this="TO_JSON", expressions=[argument]), "VARCHAR")
    if type_.name == "NUMBER" and not _is_bigint(type_):
        return exp.cast(_decimal(argument, type_), "VARCHAR")
    if type_.name == "BINARY":
        return exp.Anonymous(this="HEX", expressions=[argument])
    name = "BIGINT" if _is_bigint(type_) else type_.name
    value: exp.Expr = exp.cast(argument, _CASTS[name])
    if type_.name in _FORMATS:
        return exp.Anonymous(
            this="STRFTIME", expressions=[_whole(value, type_), exp.Literal.string(_FORMATS[type_.name])]
        )
    return value


def _whole(value: exp.Expr, type_: Type) -> exp.Expr:
    """STRFTIME takes no TIME, so a time is put on a day."""
    if type_.name != "TIME":
        return value
    return exp.Add(this=exp.cast(exp.Literal.string("1970-01-01"), "DATE"), expression=value)


def _decimal(value: exp.Expr, type_: Type) -> exp.Expr:
    return exp.Cast(this=value, to=exp.DataType.build(f"DECIMAL({type_.precision},{type_.scale})"))


def received(call: exp.Expr, type_: Type) -> exp.Expr:
    """The internal function's answer in the declared type."""
    if type_.name in JSON_TYPES:
        return exp.cast(call, "JSON")
    if type_.name == "NUMBER" and not _is_bigint(type_):
        return _decimal(call, type_)
    if type_.name == "BINARY":
        return exp.Anonymous(this="UNHEX", expressions=[call])
    return exp.cast(call, _CASTS[type_.name]) if type_.name in _FORMATS else call


def to_json(column: pa.ChunkedArray, type_: Type) -> list[Any]:
    """A column's values as orjson takes them."""
    values: list[Any] = column.to_pylist()
    opening = {"OBJECT": "{", "ARRAY": "["}.get(type_.name)
    if opening and any(value is not None and value != "null" and value[:1] != opening for value in values):
        raise compilation(1044, "42P13", f"Invalid argument types for an external function: {type_.name} is expected")
    if type_.name in JSON_TYPES or (type_.name == "NUMBER" and not _is_bigint(type_)):
        return [None if value is None else orjson.Fragment(value) for value in values]
    return values


def parse(body: bytes, type_: Type) -> Any:
    """The reply's JSON; decimals keep their digits where the function returns NUMBER."""
    if type_.name == "NUMBER":
        return json.loads(body, parse_float=Decimal)
    return orjson.loads(body)


def from_json(values: list[Any], type_: Type, name: str) -> pa.Array:
    """The answers as the Arrow column of :func:`duck_type`; a value of another type fails the query."""
    try:
        return pa.array([None if value is None else _value(value, type_) for value in values], _ARROW[duck_type(type_)])
    except (TypeError, ValueError, ArithmeticError, pa.ArrowException) as error:
        raise failure(
            100_335, "22P02", f"Error parsing JSON: Invalid response: external function {name} must return {type_}"
        ) from error


def _value(value: Any, type_: Type) -> Any:
    if type_.name in JSON_TYPES:
        return orjson.dumps(value).decode()
    if type_.name == "BOOLEAN":
        return _boolean(value)
    if isinstance(value, bool):
        raise TypeError("a boolean where a number or text is due")
    if type_.name == "FLOAT":
        return float(value)
    if type_.name == "NUMBER":
        number = Decimal(str(value)).quantize(Decimal(1).scaleb(-(type_.scale or 0)))
        return int(number) if _is_bigint(type_) else str(number)
    if isinstance(value, dict | list):
        raise TypeError("an object where a scalar is due")
    return str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]


def context_headers(function: ExternalFunction, session: Session) -> dict[str, str]:
    """What CONTEXT_HEADERS asks for, by function name, for the running query."""
    now = datetime.now(UTC)
    values = {
        **context_values(session),
        "CURRENT_DATE": f"{now:%Y-%m-%d}",
        "CURRENT_TIME": f"{now:%H:%M:%S}",
        "LOCALTIME": f"{now:%H:%M:%S}",
        "CURRENT_TIMESTAMP": f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d} +0000",
        "LOCALTIMESTAMP": f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d} +0000",
        "CURRENT_SCHEMAS": json.dumps([f"{session.database}.{session.schema}"]),
    }
    return {name: values.get(name) or "" for name in function.definition.context_headers}
