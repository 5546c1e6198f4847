"""A service's reply as an Arrow column, and the SQL that gives it the declared type.

DuckDB functions return no JSON type, and decimals would lose digits as floats: both are returned as text and cast in SQL.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.failures import failure
from localcloud.snowflake.sql.syntax import Type

_JSON_TYPES = ("OBJECT", "ARRAY", "VARIANT")
_NATIVE = {"FLOAT": "DOUBLE", "BOOLEAN": "BOOLEAN"}
_ARROW = {"DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), "BIGINT": pa.int64(), "VARCHAR": pa.string()}
_MOMENTS = {
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP_NTZ": "TIMESTAMPNTZ",
    "TIMESTAMP_LTZ": "TIMESTAMPTZ",
    "TIMESTAMP_TZ": "TIMESTAMPTZ",
}
# What JSON holds where a column of the type needs no look at the single values.
_PLAIN: dict[str, set[type]] = {
    "DOUBLE": {float, int, type(None)},
    "BOOLEAN": {bool, type(None)},
    "BIGINT": {int, type(None)},
    "VARCHAR": {str, type(None)},
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_LARGEST = 2**53
_SCALARS = ("FLOAT", "NUMBER", "BOOLEAN")
# What scalars and the word "data" are made of; what is left of a reply without them is its brackets and commas.
_SCALAR_BYTES = b"0123456789+-.eE \t\r\nnultrfas"


def is_bigint(type_: Type) -> bool:
    """Whole numbers of up to 38 digits are BIGINT in this server's tables too (fakesnow's choice)."""
    return type_.name == "NUMBER" and type_.scale == 0 and (type_.precision == 38 or (type_.precision or 0) <= 18)


def duck_type(type_: Type) -> str:
    """The DuckDB type in which an answer crosses the function's border."""
    return _NATIVE.get(type_.name, "BIGINT" if is_bigint(type_) else "VARCHAR")


def arrow_type(type_: Type) -> pa.DataType:
    return _ARROW[duck_type(type_)]


def received(call: exp.Expr, type_: Type) -> exp.Expr:
    """The internal function's answer in the declared type."""
    if type_.name in _JSON_TYPES:
        return exp.cast(call, "JSON")
    if type_.name == "NUMBER" and not is_bigint(type_):
        return exp.Cast(this=call, to=exp.DataType.build(f"DECIMAL({type_.precision},{type_.scale})"))
    if type_.name == "BINARY":
        return exp.Anonymous(this="UNHEX", expressions=[call])
    return exp.cast(call, _MOMENTS[type_.name]) if type_.name in _MOMENTS else call


def parse(body: bytes, type_: Type) -> Any:
    """The reply's JSON; numbers keep their digits where the function returns NUMBER."""
    return json.loads(body, parse_float=Decimal) if type_.name == "NUMBER" else orjson.loads(body)


def scalars(body: bytes, rows: int, type_: Type) -> list[Any] | None:
    """The values of a right reply that holds nothing but numbers, booleans and nulls; ``None`` for any other reply.

    One flat list instead of a list for each row is several times as fast, most of all because the garbage collector has
    nothing to look at.
    """
    if type_.name not in _SCALARS or body.translate(None, _SCALAR_BYTES) != b'{"d":[%b]}' % b",".join([b"[,]"] * rows):
        return None
    start, end = body.index(b"["), body.rindex(b"]")
    if b'"data"' not in body[:start]:
        return None
    try:
        flat = parse(b"[%b]" % body[start:end].translate(None, b"[]"), type_)
    except ValueError:
        return None
    numbers: list[Any] = flat[::2]
    return flat[1::2] if numbers == list(range(rows)) and set(map(type, numbers)) <= {int} else None


def column(values: list[Any], type_: Type, name: str) -> pa.Array:
    """The answers as the Arrow column of :func:`duck_type`; a value of another type fails the query."""
    duck = duck_type(type_)
    try:
        if type_.name in (*_JSON_TYPES, "BINARY") or not set(map(type, values)) <= _PLAIN[duck] or _huge(values, duck):
            values = [None if value is None else _value(value, type_) for value in values]
        return pa.array(values, _ARROW[duck])
    except (TypeError, ValueError, ArithmeticError, KeyError, pa.ArrowException) as error:
        raise failure(
            100_335, "22P02", f"Error parsing JSON: Invalid response: external function {name} must return {type_}"
        ) from error


def _huge(values: list[Any], duck: str) -> bool:
    """Arrow rejects whole numbers that a double does not hold exactly; Snowflake rounds them."""
    return duck == "DOUBLE" and any(type(value) is int and abs(value) > _LARGEST for value in values)


def _value(value: Any, type_: Type) -> Any:
    if type_.name in _JSON_TYPES:
        return orjson.dumps(value).decode()
    if type_.name == "BOOLEAN":
        return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
    if isinstance(value, bool):
        raise TypeError("a boolean where a number or text is due")
    if type_.name == "FLOAT":
        return float(value)
    if type_.name == "NUMBER":
        number = Decimal(str(value)).quantize(Decimal(1).scaleb(-(type_.scale or 0)))
        return int(number) if is_bigint(type_) else str(number)
    if isinstance(value, dict | list):
        raise TypeError("an object where a scalar is due")
    if type_.name == "BINARY":
        return bytes.fromhex(value).hex()
    return str(value)
