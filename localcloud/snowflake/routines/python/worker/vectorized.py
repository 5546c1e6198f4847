"""Conversion between Arrow columns and pandas, for vectorized handlers.

Integers become pandas' ``Int64``, which can hold NULL, and DataFrame columns are numbered from 0, as in Snowflake.
Loaded only for vectorized functions, because it imports pandas.
"""

from __future__ import annotations

from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc

from localcloud.snowflake.routines.python.worker import values
from localcloud.snowflake.routines.python.worker.values import SqlType

_DTYPES = {"BOOLEAN": "boolean", "VARCHAR": "string", "FLOAT": "float64"}


def dataframe(columns: list[pa.Array], types: list[SqlType], rows: int) -> pd.DataFrame:
    """The batch as the handler's argument."""
    series = {index: _series(column, type_) for index, (column, type_) in enumerate(zip(columns, types, strict=True))}
    return pd.DataFrame(series, index=pd.RangeIndex(rows))


def _series(column: pa.Array, type_: SqlType) -> pd.Series[Any]:
    name = type_["name"]
    if name == "NUMBER":
        if type_["scale"]:
            return column.cast(pa.float64()).to_pandas()
        return pd.Series(column.cast(pa.int64()).to_pylist(), dtype="Int64")
    if name in _DTYPES:
        return pd.Series(column.to_pandas(), dtype=_DTYPES[name])
    if name in ("DATE", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ"):
        return _timestamps(column, name)
    if name == "TIME":
        return column.cast(pa.int64()).cast(pa.duration("us")).cast(pa.duration("ns")).to_pandas()
    return pd.Series(values.to_python(column, type_), dtype="object")


def _timestamps(column: pa.Array, name: str) -> pd.Series[Any]:
    if name == "TIMESTAMP_LTZ":
        column = pa.array(values.to_python(column, {"name": name}), pa.timestamp("us"))
    found: pd.Series[Any] = column.cast(
        pa.timestamp("ns", column.type.tz if name == "TIMESTAMP_TZ" else None)
    ).to_pandas()
    return found


def column(answer: Any, type_: SqlType, rows: int) -> pa.Array:
    """The handler's result as a column of ``rows`` values; NaN and NA become NULL."""
    if isinstance(answer, pd.DataFrame):
        raise TypeError("the handler returned a DataFrame; a vectorized function must return a Series or an array")
    series = pd.Series(answer)
    if len(series) != rows:
        raise TypeError(f"the handler returned {len(series)} values for a batch of {rows} rows")
    if type_["name"] in ("VARIANT", "OBJECT", "ARRAY", "TIMESTAMP_LTZ", "BINARY") or series.dtype == object:
        return values.to_column([None if _missing(value) else value for value in series], type_)
    try:
        return _cast(pa.Array.from_pandas(series), type_)
    except pa.ArrowException as error:
        raise TypeError(f"cannot convert the handler's result to {values.shown(type_)}: {error}") from None


def _missing(value: Any) -> bool:
    return not isinstance(value, list | dict | tuple) and bool(pd.isna(value))


def _cast(found: pa.Array, type_: SqlType) -> pa.Array:
    wanted = values.arrow_type(type_)
    if type_["name"] == "NUMBER" and pa.types.is_floating(found.type):
        found = pc.round(found, ndigits=type_["scale"], round_mode="half_towards_infinity")
    if pa.types.is_string(found.type) != (type_["name"] == "VARCHAR") and not pa.types.is_large_string(found.type):
        raise pa.ArrowInvalid(f"values of type {found.type}")
    if pa.types.is_large_string(found.type) and type_["name"] != "VARCHAR":
        raise pa.ArrowInvalid("texts")
    if type_["name"] == "BOOLEAN" and not pa.types.is_boolean(found.type):
        raise pa.ArrowInvalid(f"values of type {found.type}")
    if type_["name"] == "TIME":
        return found.cast(pa.duration("us")).cast(pa.int64()).cast(wanted)
    return found.cast(wanted, safe=type_["name"] not in ("DATE", "TIMESTAMP_NTZ", "TIMESTAMP_TZ"))
