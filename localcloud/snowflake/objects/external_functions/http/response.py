"""Response format of external functions, and conversion of the values to Arrow and SQL types.

DuckDB functions cannot return JSON, and decimals would lose digits as floats, so both are returned as text and cast in
SQL.
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
_TIME_CASTS = {
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP_NTZ": "TIMESTAMPNTZ",
    "TIMESTAMP_LTZ": "TIMESTAMPTZ",
    "TIMESTAMP_TZ": "TIMESTAMPTZ",
}
# Python types of JSON values that need no conversion in a column of this type.
_PLAIN: dict[str, set[type]] = {
    "DOUBLE": {float, int, type(None)},
    "BOOLEAN": {bool, type(None)},
    "BIGINT": {int, type(None)},
    "VARCHAR": {str, type(None)},
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_MAX_EXACT_INTEGER = 2**53
_SCALARS = ("FLOAT", "NUMBER", "BOOLEAN")
# Bytes of scalar values and of the word "data"; without them, a reply consists of brackets and commas.
_SCALAR_BYTES = b"0123456789+-.eE \t\r\nnultrfas"


def is_bigint(type_: Type) -> bool:
    """Whether the server's tables store this type as BIGINT: integers of up to 18 digits, and of 38 (as fakesnow does)."""
    return type_.name == "NUMBER" and type_.scale == 0 and (type_.precision == 38 or (type_.precision or 0) <= 18)


def duck_type(type_: Type) -> str:
    """The DuckDB type that the internal function returns."""
    return _NATIVE.get(type_.name, "BIGINT" if is_bigint(type_) else "VARCHAR")


def arrow_type(type_: Type) -> pa.DataType:
    return _ARROW[duck_type(type_)]


def cast_result(call: exp.Expr, type_: Type) -> exp.Expr:
    """The internal function's result cast to the declared type."""
    if type_.name in _JSON_TYPES:
        return exp.cast(call, "JSON")
    if type_.name == "NUMBER" and not is_bigint(type_):
        return exp.Cast(this=call, to=exp.DataType.build(f"DECIMAL({type_.precision},{type_.scale})"))
    if type_.name == "BINARY":
        return exp.Anonymous(this="UNHEX", expressions=[call])
    return exp.cast(call, _TIME_CASTS[type_.name]) if type_.name in _TIME_CASTS else call


def parse(body: bytes, type_: Type) -> Any:
    """The reply's JSON. Numbers keep all their digits if the function returns NUMBER."""
    return json.loads(body, parse_float=Decimal) if type_.name == "NUMBER" else orjson.loads(body)


def scalars(body: bytes, rows: int, type_: Type) -> list[Any] | None:
    """The values of a valid reply that contains only numbers, booleans and nulls; ``None`` for any other reply.

    Parsing one flat list instead of a list for each row is several times faster, mainly because it gives the garbage
    collector no work.
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
    """The values as the Arrow column of :func:`duck_type`. A value of another type fails the query."""
    duck = duck_type(type_)
    try:
        if (
            type_.name in (*_JSON_TYPES, "BINARY")
            or not set(map(type, values)) <= _PLAIN[duck]
            or _is_inexact(values, duck)
        ):
            values = [None if value is None else _value(value, type_) for value in values]
        return pa.array(values, _ARROW[duck])
    except (TypeError, ValueError, ArithmeticError, KeyError, pa.ArrowException) as error:
        raise failure(
            100_335, "22P02", f"Error parsing JSON: Invalid response: external function {name} must return {type_}"
        ) from error


def _is_inexact(values: list[Any], duck: str) -> bool:
    """Arrow rejects whole numbers that a double does not hold exactly; Snowflake rounds them."""
    return duck == "DOUBLE" and any(type(value) is int and abs(value) > _MAX_EXACT_INTEGER for value in values)


def _value(value: Any, type_: Type) -> Any:
    if type_.name in _JSON_TYPES:
        return orjson.dumps(value).decode()
    if type_.name == "BOOLEAN":
        return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
    if isinstance(value, bool):
        raise TypeError("expected a number or text, got a boolean")
    if type_.name == "FLOAT":
        return float(value)
    if type_.name == "NUMBER":
        number = Decimal(str(value)).quantize(Decimal(1).scaleb(-(type_.scale or 0)))
        return int(number) if is_bigint(type_) else str(number)
    if isinstance(value, dict | list):
        raise TypeError("expected a scalar, got an object or array")
    if type_.name == "BINARY":
        return bytes.fromhex(value).hex()
    return str(value)
