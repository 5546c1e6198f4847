"""How Snowflake reads the times of Parquet files, by physical type, logical type, converted type and USE_LOGICAL_TYPE.

DuckDB always reads logical types. The SQL here turns its values into those of Snowflake's documented table (CREATE FILE
FORMAT, USE_VECTORIZED_SCANNER): without USE_LOGICAL_TYPE, a time whose column has no converted type is an integer.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from localcloud.snowflake.failures import REFUSAL
from localcloud.snowflake.objects.stages.format_options import Format
from localcloud.snowflake.sql.identifiers import quoted, text_literal

NTZ, LTZ, TIME, INTEGER = "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIME", "INTEGER"

#: The largest number of seconds since 1970 that DuckDB's TIMESTAMP holds.
LAST_SECOND = 9_223_372_036_854

_TOO_LATE = (
    REFUSAL
    + "the column {} of a Parquet file as a moment beyond the year 294246: the file gives it no converted type, so that "
    "Snowflake reads the number as seconds since 1970; set USE_LOGICAL_TYPE = TRUE"
)

_COUNTS = {"milliseconds": "epoch_ms", "microseconds": "epoch_us", "nanoseconds": "epoch_ns"}


def kinds(path: Path, chosen: Format) -> dict[str, str]:
    """How each top-level time or timestamp column of the file is read: NTZ, LTZ, TIME or INTEGER."""
    return {name: _kind(column, chosen) for name, column in _columns(path).items()}


def replacements(path: Path, chosen: Format) -> list[str]:
    """``expression AS name`` for each column that DuckDB reads in another way than Snowflake."""
    found = []
    for name, column in _columns(path).items():
        value = quoted(name)
        expression = _value(value, column, _kind(column, chosen))
        if expression != value:
            found.append(f"{expression} AS {value}")
    return found


def integers(path: Path, chosen: Format) -> set[str]:
    """The columns that are read as integers: those without a logical type, and times that are read so."""
    whole = {field.name for field in pq.read_schema(path) if pa.types.is_integer(field.type)}
    return whole | {name for name, kind in kinds(path, chosen).items() if kind == INTEGER}


def moment(value: str, type_: str, name: str) -> str:
    """SQL that reads an integer as seconds since 1970, as a load into a timestamp column does."""
    late = text_literal(_TOO_LATE.format(name))
    seconds = f"CASE WHEN abs({value}) > {LAST_SECOND} THEN error({late}) ELSE make_timestamp({value} * 1000000) END"
    return seconds if type_ == "TIMESTAMP" else f"timezone('UTC', {seconds})"


def _columns(path: Path) -> dict[str, pq.ColumnSchema]:
    schema = pq.ParquetFile(path).schema
    columns = (schema.column(index) for index in range(len(schema)))
    return {column.path: column for column in columns if column.max_repetition_level == 0 and _is_time(column)}


def _is_time(column: pq.ColumnSchema) -> bool:
    return column.physical_type == "INT96" or _logical(column)["Type"] in ("Timestamp", "Time")


def _logical(column: pq.ColumnSchema) -> dict[str, object]:
    found: dict[str, object] = json.loads(column.logical_type.to_json())
    return found


def _kind(column: pq.ColumnSchema, chosen: Format) -> str:
    if column.physical_type == "INT96":
        return LTZ if chosen["USE_VECTORIZED_SCANNER"] else NTZ
    logical = _logical(column)
    is_time, is_utc = logical["Type"] == "Time", bool(logical["isAdjustedToUTC"])
    if chosen["USE_LOGICAL_TYPE"]:
        return TIME if is_time else LTZ if is_utc else NTZ
    if logical["timeUnit"] == "nanoseconds" or column.converted_type == "NONE":
        return INTEGER
    return TIME if is_time else NTZ if is_utc else LTZ


def _value(value: str, column: pq.ColumnSchema, kind: str) -> str:
    """The SQL of a value of the kind. DuckDB reads INT96 and times that are not adjusted to UTC as TIMESTAMP."""
    if column.physical_type == "INT96":
        return f"timezone('UTC', {value})" if kind == LTZ else value
    logical = _logical(column)
    if kind == INTEGER:
        return f"{_COUNTS[str(logical['timeUnit'])]}({value})"
    if kind == TIME:
        return f"CAST({value} AS TIME)"
    if logical["timeUnit"] == "nanoseconds":
        value = f"CAST({value} AS {'TIMESTAMPTZ' if logical['isAdjustedToUTC'] else 'TIMESTAMP'})"
    return value if (kind == LTZ) == bool(logical["isAdjustedToUTC"]) else f"timezone('UTC', {value})"
