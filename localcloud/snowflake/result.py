"""The result of a statement: an Arrow table, Snowflake's column types, the statement type.

In Snowflake's Arrow format a NUMBER is a whole number of its smallest unit where that has 64 bits, and a timestamp of at most six
decimals, too; other timestamps are structures of seconds and nanoseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
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

#: The end of a noted type of a column that cannot be NULL.
REQUIRED = " NOT NULL"

#: DuckDB's type of TIMESTAMP_LTZ and TIMESTAMP_TZ.
ZONED = "TIMESTAMP WITH TIME ZONE"

_INT64 = 2**63
_ARROW = {
    "text": pa.string(),
    "fixed": pa.int64(),
    "number": pa.decimal128(38, 0),  # beyond 64 bits
    "real": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp_ltz": pa.timestamp("us", tz="UTC"),
}
_DUCK = {
    "text": "VARCHAR",
    "fixed": "BIGINT",
    "number": "DECIMAL(38,0)",
    "real": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp_ltz": ZONED,
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
# A column of ``Result.nested``.
_NOTED = re.compile(r"(?P<kind>[A-Z_]*)(?:\((?P<size>\d+)\))?(?P<required> NOT NULL)?")
# The wire types that a noted type is one of, by DuckDB's type.
_KINDS = {
    "JSON": ("array", "object"),
    ZONED: ("timestamp_ltz", "timestamp_tz"),
    "TIMESTAMP": ("timestamp_ntz",),
    "TIME": ("time",),
    "VARCHAR": ("varchar",),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), ("number",)),
}
_LARGEST_TEXT = 16_777_216
_MOMENTS = ("time", "timestamp_ntz", "timestamp_ltz", "timestamp_tz")
# Up to this scale a timestamp is a whole number, and a TIMESTAMP_TZ one with its offset.
_NUMBER_SCALE, _ZONED_NUMBER_SCALE = 6, 3


@dataclass(frozen=True)
class Result:
    """``table``: the rows. ``types``: (column, DuckDB type). ``type_id``: Snowflake's statement type.

    ``nested``: what the DuckDB type does not say, by column: OBJECT, ARRAY or the kind of timestamp, a size, NOT NULL, as
    ``statements.nested_types`` writes it.
    ``reply``: sent instead of rows for PUT and GET, which the client carries out.
    ``changed``: the numbers of rows that a statement changed, where its rows do not say them.
    """

    table: pa.Table
    types: tuple[tuple[str, str], ...]
    type_id: int = statement_type.UNKNOWN
    reply: dict[str, Any] | None = None
    nested: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_dml(self) -> bool:
        return self.type_id in statement_type.DML_TYPE_IDS

    def rowtype(self) -> list[dict[str, Any]]:
        """Snowflake's description of each column."""
        return [_noted(_column(name, type_), type_, self.nested.get(name, "")) for name, type_ in self.types]


def rows_result(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]], type_id: int, *, required: bool = False
) -> Result:
    """A result from rows; ``columns`` are (name, Snowflake wire type), ``required``: they are NOT NULL."""
    arrays = [pa.array([row[index] for row in rows], type=_ARROW[type_]) for index, (_, type_) in enumerate(columns)]
    table = pa.Table.from_arrays(arrays, names=[name for name, _ in columns])
    noted = {name: "TIMESTAMP_LTZ" if type_ == "timestamp_ltz" else "" for name, type_ in columns}
    nested = {name: f"{kind}{REQUIRED if required else ''}" for name, kind in noted.items() if kind or required}
    return Result(table, tuple((name, _DUCK[type_]) for name, type_ in columns), type_id, nested=nested)


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


def _noted(column: dict[str, Any], type_: str, noted: str) -> dict[str, Any]:
    """The description with what is known in addition to DuckDB's type."""
    found = _NOTED.fullmatch(noted)
    if found is None:
        return column
    column["nullable"] = found["required"] is None
    kind, size = found["kind"].lower(), found["size"]
    if kind not in _KINDS.get(type_, ()):
        return column
    if kind == "varchar":
        return column if size is None else column | _text_sizes(int(size))
    if kind == "number":
        return column if size is None else column | {"precision": int(size)}
    column["type"] = kind
    return column if size is None else column | {"scale": int(size)}


def _text_sizes(length: int) -> dict[str, int]:
    return {"length": length, "byteLength": min(4 * length, _LARGEST_TEXT)}


def wire_table(result: Result, rowtype: list[dict[str, Any]]) -> pa.Table:
    """The rows in the Arrow types that the connector reads, with the metadata of each column."""
    table = to_sf(_narrowed(result.table, rowtype), rowtype)
    for at, column in enumerate(rowtype):
        if column["type"] == "timestamp_tz":
            length = "8" if column["scale"] <= _ZONED_NUMBER_SCALE else "16"
            field = table.schema.field(at)
            table = table.set_column(
                at, field.with_metadata({**field.metadata, "byteLength": length}), table.column(at)
            )
    return table


def _narrowed(table: pa.Table, rowtype: list[dict[str, Any]]) -> pa.Table:
    """Whole numbers as integers, and single floats as doubles, as Snowflake sends them."""
    arrays = [_narrowed_column(column, type_) for column, type_ in zip(table.columns, rowtype, strict=True)]
    return pa.Table.from_arrays(arrays, names=table.column_names)


def _moments(column: pa.ChunkedArray, kind: str, scale: int) -> pa.Array:
    """Timestamps as the connector reads them: whole numbers, or seconds and nanoseconds, and for a TIMESTAMP_TZ the offset in
    minutes plus 1440.

    fakesnow's own conversion loses NULL, which would arrive as 1970.
    """
    zone = column.type.tz
    micros = column.cast(pa.timestamp("us", tz=zone)).combine_chunks().cast(pa.int64())
    empty = pc.is_null(micros)
    filled = pc.fill_null(micros, 0)
    if kind != "timestamp_tz" and scale <= _NUMBER_SCALE:
        return pc.if_else(empty, pa.scalar(None, pa.int64()), _floored(filled, 10 ** (6 - scale)))
    parts: dict[str, pa.Array] = {}
    if scale <= _ZONED_NUMBER_SCALE:
        parts["epoch"] = _floored(filled, 10 ** (6 - scale))
    else:
        parts["epoch"] = _floored(filled, 1_000_000)
        fraction = pc.subtract(filled, pc.multiply(parts["epoch"], 1_000_000))
        step = 10 ** max(0, 6 - scale)
        parts["fraction"] = pc.multiply(pc.multiply(_floored(fraction, step), step), 1000).cast(pa.int32())
    if kind == "timestamp_tz":
        parts["timezone"] = pc.add(_offsets(filled, zone or "UTC"), pa.scalar(1440, pa.int32()))
    fields = [pa.field(name, part.type, nullable=False) for name, part in parts.items()]
    return pa.StructArray.from_arrays(list(parts.values()), fields=fields, mask=empty)


def _floored(numbers: pa.Array, unit: int) -> pa.Array:
    """Integer division rounds towards zero; timestamps before 1970 need the floor."""
    if unit == 1:
        return numbers
    below = pc.if_else(pc.less(numbers, 0), unit - 1, 0)
    return pc.divide(pc.subtract(numbers, below), unit)


def _offsets(micros: pa.Array, zone: str) -> pa.Array:
    """The minutes between UTC and the zone's wall clock at each moment."""
    wall = pc.local_timestamp(micros.cast(pa.timestamp("us", tz=zone))).cast(pa.int64())
    return pc.divide(pc.subtract(wall, micros), 60_000_000).cast(pa.int32())


def _narrowed_column(column: pa.ChunkedArray, described: dict[str, Any]) -> pa.ChunkedArray:
    type_, kind, scale = column.type, described["type"], described["scale"]
    if pa.types.is_float32(type_):
        return column.cast(pa.float64())
    if pa.types.is_timestamp(type_):
        return _moments(column, kind, scale)
    if pa.types.is_time(type_) and kind == "time":
        return _times(column, scale)
    return _unscaled(column) if pa.types.is_decimal128(type_) else column


def _times(column: pa.ChunkedArray, scale: int) -> pa.ChunkedArray:
    """Times of day as a whole number of the scale's unit."""
    nanoseconds = column.cast(pa.time64("ns")).cast(pa.int64())
    return nanoseconds if scale == 9 else pc.divide(nanoseconds, 10 ** (9 - scale))


def _unscaled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimals as whole numbers of the smallest unit, unless one of them takes more than 64 bits."""
    chunks = []
    for chunk in filter(len, column.chunks):
        halves = np.frombuffer(chunk.buffers()[1], dtype=np.int64).reshape(-1, 2)[
            chunk.offset : chunk.offset + len(chunk)
        ]
        missing = chunk.is_null().to_numpy(zero_copy_only=False)
        if not ((halves[:, 1] == halves[:, 0] >> 63) | missing).all():
            return column
        chunks.append(pa.array(halves[:, 0], mask=missing))
    return pa.chunked_array(chunks, type=pa.int64())
