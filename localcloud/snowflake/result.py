"""The result of a statement: an Arrow table, Snowflake's column types, the statement type.

In Snowflake's Arrow format a timestamp is a structure of seconds and nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from fakesnow import statement_type
from fakesnow.arrow import to_sf
from fakesnow.rowtype import describe_as_rowtype

from localcloud.snowflake.failures import unsupported

DDL: int = statement_type.DDL
DESCRIBE: int = statement_type.DESCRIBE
SHOW: int = statement_type.SHOW
SCL: int = statement_type.SCL
COPY: int = statement_type.COPY

_INT64 = 2**63
_ARROW = {
    "text": pa.string(),
    "fixed": pa.int64(),
    "real": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp_ltz": pa.timestamp("us", tz="UTC"),
}
_DUCK = {
    "text": "VARCHAR",
    "fixed": "BIGINT",
    "real": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp_ltz": "TIMESTAMP WITH TIME ZONE",
}
# DuckDB types that fakesnow's table lacks, each with a type of that table which Snowflake shows in the same way.
_SAME_AS = {
    "FLOAT": "DOUBLE",
    "SMALLINT": "BIGINT",
    "TINYINT": "BIGINT",
    "UINTEGER": "BIGINT",
    "USMALLINT": "BIGINT",
    "UTINYINT": "BIGINT",
    "UHUGEINT": "HUGEINT",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
}


@dataclass(frozen=True)
class Result:
    """``table``: the rows. ``types``: (column, DuckDB type). ``type_id``: Snowflake's statement type.

    ``nested``: OBJECT or ARRAY by the name of a JSON column, which is a VARIANT otherwise.
    ``reply``: sent instead of rows for PUT and GET, which the client carries out.
    """

    table: pa.Table
    types: tuple[tuple[str, str], ...]
    type_id: int = statement_type.UNKNOWN
    reply: dict[str, Any] | None = None
    nested: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_dml(self) -> bool:
        return self.type_id in statement_type.DML_TYPE_IDS

    def rowtype(self) -> list[dict[str, Any]]:
        """Snowflake's description of each column."""
        columns = [_column(name, type_) for name, type_ in self.types]
        for column, (name, type_) in zip(columns, self.types, strict=True):
            if type_ == "JSON" and name in self.nested:
                column["type"] = self.nested[name].lower()
        return columns


def rows_result(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]], type_id: int) -> Result:
    """A result from rows; ``columns`` are (name, Snowflake wire type)."""
    arrays = [pa.array([row[index] for row in rows], type=_ARROW[type_]) for index, (_, type_) in enumerate(columns)]
    table = pa.Table.from_arrays(arrays, names=[name for name, _ in columns])
    return Result(table, tuple((name, _DUCK[type_]) for name, type_ in columns), type_id)


def status(text: str, type_id: int = DDL) -> Result:
    """A result of one row with one column ``status``."""
    return rows_result([("status", "text")], [[text]], type_id)


def done(type_id: int = DDL) -> Result:
    return status("Statement executed successfully.", type_id)


def _column(name: str, type_: str) -> dict[str, Any]:
    try:
        (info,) = describe_as_rowtype([(name, _SAME_AS.get(type_, type_), None, None, None, None)])
    except NotImplementedError:
        raise unsupported(f"results of DuckDB's type {type_} (column {name})") from None
    if info["type"].startswith("timestamp"):
        info["precision"] = 9
    return dict(info)


def wire_table(result: Result, rowtype: list[dict[str, Any]]) -> pa.Table:
    """The rows in the Arrow types that the connector reads, with the metadata of each column."""
    return to_sf(_narrowed(result.table), rowtype)


def _narrowed(table: pa.Table) -> pa.Table:
    """Whole numbers as integers, and single floats as doubles, as Snowflake sends them."""
    arrays = [_narrowed_column(column) for column in table.columns]
    return pa.Table.from_arrays(arrays, names=table.column_names)


def _moments(column: pa.ChunkedArray) -> pa.Array:
    """Timestamps as the connector reads them: seconds and nanoseconds, with a time zone also the offset in minutes plus 1440.

    fakesnow's own conversion loses NULL, which would arrive as 1970.
    """
    zoned = column.type.tz is not None
    micros = column.cast(pa.timestamp("us", tz="UTC" if zoned else None)).combine_chunks().cast(pa.int64())
    empty = pc.is_null(micros)
    filled = pc.fill_null(micros, 0)
    # Integer division rounds towards zero; timestamps before 1970 need the floor.
    below = pc.if_else(pc.less(filled, 0), 999_999, 0)
    seconds = pc.divide(pc.subtract(filled, below), 1_000_000)
    fraction = pc.multiply(pc.subtract(filled, pc.multiply(seconds, 1_000_000)), 1000).cast(pa.int32())
    parts = {"epoch": seconds, "fraction": fraction}
    if zoned:
        parts["timezone"] = pa.array([1440] * len(micros), pa.int32())
    fields = [pa.field(name, part.type, nullable=False) for name, part in parts.items()]
    return pa.StructArray.from_arrays(list(parts.values()), fields=fields, mask=empty)


def _narrowed_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    type_ = column.type
    if pa.types.is_float32(type_):
        return column.cast(pa.float64())
    if pa.types.is_timestamp(type_):
        return _moments(column)
    if not (pa.types.is_decimal(type_) and type_.scale == 0):
        return column
    bounds = pc.min_max(column).as_py()
    if bounds["min"] is None or (bounds["min"] >= -_INT64 and bounds["max"] < _INT64):
        return column.cast(pa.int64())
    return column
