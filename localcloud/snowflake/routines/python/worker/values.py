"""Conversion between Arrow columns and the Python values that Snowflake documents for handlers.

SQL types are dictionaries: ``{"name": "NUMBER", "precision": 38, "scale": 0, "bigint": true}``. A SQL NULL in a VARIANT
is an object with ``is_sql_null``, because ``None`` is JSON's null. TIMESTAMP_LTZ values are naive, in the session's
time zone (the process's ``TZ``).
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import pyarrow as pa

# Enough for 38 digits before the decimal point and 38 after it.
_EXACT = Context(prec=76)
_JSON = ("VARIANT", "OBJECT", "ARRAY")
_ARROW = {
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TIMESTAMP_LTZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP_TZ": pa.timestamp("us", "UTC"),
    "BINARY": pa.binary(),
}
SqlType = dict[str, Any]


class SqlNull:
    """SQL NULL in a VARIANT argument."""

    is_sql_null = True


_SQL_NULL = SqlNull()


def arrow_type(type_: SqlType) -> pa.DataType:
    if type_["name"] == "NUMBER":
        return pa.int64() if type_["bigint"] else pa.decimal128(type_["precision"], type_["scale"])
    return _ARROW.get(type_["name"], pa.string())


def to_python(column: pa.Array, type_: SqlType) -> list[Any]:
    """A column's values as the handler's arguments."""
    name = type_["name"]
    if name == "TIMESTAMP_LTZ":
        return [None if value is None else value.astimezone().replace(tzinfo=None) for value in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    if name in _JSON:
        missing = _SQL_NULL if name == "VARIANT" else None
        return [missing if value is None else json.loads(value) for value in values]
    if name == "NUMBER" and type_["scale"] == 0 and not type_["bigint"]:
        return [None if value is None else int(value) for value in values]
    return values


def to_column(values: list[Any], type_: SqlType) -> pa.Array:
    """The handler's results as a column. Raises ``TypeError`` for a value that does not fit."""
    try:
        return pa.array([_answer(value, type_) for value in values], arrow_type(type_))
    except (pa.ArrowException, ArithmeticError, ValueError, TypeError, AttributeError) as error:
        raise TypeError(f"cannot convert the handler's result to {shown(type_)}: {error}") from None


def shown(type_: SqlType) -> str:
    return f"NUMBER({type_['precision']},{type_['scale']})" if type_["name"] == "NUMBER" else str(type_["name"])


def _answer(value: Any, type_: SqlType) -> Any:
    if value is None or isinstance(value, SqlNull):
        return None
    name = type_["name"]
    if name in _JSON:
        return to_json(value, name)
    if type(value).__module__ == "numpy":
        value = value.item()
    if name == "NUMBER":
        return _number(value, type_)
    if name == "FLOAT" and isinstance(value, Decimal):
        return float(value)
    if name == "TIMESTAMP_LTZ":
        return value.astimezone(UTC)
    if name == "TIMESTAMP_TZ" and value.tzinfo is None:
        raise TypeError("a datetime without a time zone")
    if name == "TIMESTAMP_NTZ" and value.tzinfo is not None:
        raise TypeError("a datetime with a time zone")
    if name == "DATE" and isinstance(value, datetime):
        return value.date()
    return value


def _number(value: Any, type_: SqlType) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(f"a value of type {type(value).__name__}")
    if type_["bigint"] and isinstance(value, int):
        return value
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    rounded = exact.quantize(Decimal(1).scaleb(-type_["scale"]), ROUND_HALF_UP, _EXACT)
    return int(rounded) if type_["bigint"] else rounded


def to_json(value: Any, name: str) -> str:
    """A VARIANT, OBJECT or ARRAY value as JSON text."""
    if name == "OBJECT" and not isinstance(value, dict):
        raise TypeError(f"a value of type {type(value).__name__}")
    if name == "ARRAY" and not isinstance(value, list | tuple):
        raise TypeError(f"a value of type {type(value).__name__}")
    return json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, SqlNull):
        return None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if type(value).__module__ == "numpy":
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__}")
