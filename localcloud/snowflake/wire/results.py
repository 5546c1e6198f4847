"""Encoding of a result in a statement's reply: the first rows in the reply, the others in chunks.

The result of DML is sent as JSON, that of a query as Arrow, unless the session asks for JSON. In JSON every value is a text;
timestamps are seconds since 1970.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from fakesnow.arrow import to_ipc

from localcloud.snowflake.result import Result, wire_table

# Maximum number of rows in a reply; the other rows are sent in chunks.
_INLINE_BYTES = 128 * 2**10
_PIECE_BYTES = 16 * 2**20
_COUNTS = {
    "number of rows inserted": "numRowsInserted",
    "number of rows updated": "numRowsUpdated",
    "number of rows deleted": "numRowsDeleted",
    "number of multi-joined rows updated": "numDmlDuplicates",
}
_UTC = "1440"

Keep = Callable[[bytes], str]


def encode(result: Result, keep: Keep, *, as_json: bool) -> dict[str, Any]:
    """The part of the reply's ``data`` with rows and types. ``keep`` stores a chunk and returns its URL."""
    if result.reply is not None:
        return result.reply
    rowtype = result.rowtype()
    table = wire_table(result, rowtype)
    head, pieces = _pieces(table)
    data: dict[str, Any] = {"rowtype": rowtype, "total": table.num_rows, "returned": table.num_rows}
    if result.is_dml or as_json:
        data |= {"queryResultFormat": "json", "rowset": _rowset(head, rowtype)}
        encoded = [orjson.dumps(_rowset(piece, rowtype))[1:-1] for piece in pieces]
    else:
        rows = b64encode(to_ipc(head)).decode() if head.num_rows else ""
        data |= {"queryResultFormat": "arrow", "rowsetBase64": rows}
        encoded = [to_ipc(piece).to_pybytes() for piece in pieces]
    if pieces:
        data["chunks"] = [_described(keep(text), piece, text) for piece, text in zip(pieces, encoded, strict=True)]
        # The connector computes the number of rows inside the reply as the total minus those of the chunks.
        data["chunkHeaders"] = {}
    if result.is_dml and any((changed := statistics(result)).values()):
        data["stats"] = changed
    return data


def statistics(result: Result) -> dict[str, int]:
    """The numbers of rows that DML changed, from the columns of its result."""
    found = dict.fromkeys(_COUNTS.values(), 0)
    for row in result.table.to_pylist():
        found |= {_COUNTS[name]: int(count or 0) for name, count in row.items() if name in _COUNTS}
    return found


def _pieces(table: pa.Table) -> tuple[pa.Table, list[pa.Table]]:
    size = table.nbytes
    if size <= _INLINE_BYTES:
        return table, []
    inline = max(1, table.num_rows * _INLINE_BYTES // size)
    step = max(1, table.num_rows * _PIECE_BYTES // size)
    starts = range(inline, table.num_rows, step)
    return table.slice(0, inline), [table.slice(start, step).combine_chunks() for start in starts]


def _described(url: str, piece: pa.Table, encoded: bytes) -> dict[str, Any]:
    return {
        "url": url,
        "rowCount": piece.num_rows,
        "uncompressedSize": len(encoded),
        "compressedSize": len(encoded),
    }


def _rowset(table: pa.Table, rowtype: list[dict[str, Any]]) -> list[list[str | None]]:
    texts = [_texts(column, type_) for column, type_ in zip(table.columns, rowtype, strict=True)]
    return [list(row) for row in zip(*texts, strict=True)]


def _texts(column: pa.ChunkedArray, type_: dict[str, Any]) -> list[str | None]:
    """A column's values as texts of Snowflake's JSON."""
    kind = type_["type"]
    if kind.startswith("timestamp"):
        return [_moment(value, zoned=kind == "timestamp_tz") for value in column.to_pylist()]
    if kind == "time":
        return [None if value is None else f"{value // 10**9}.{value % 10**9:09d}" for value in column.to_pylist()]
    if kind == "date":
        return _plain(column.cast(pa.int32()))
    if kind == "boolean":
        return _plain(pc.if_else(column, "1", "0"))
    if kind == "binary":
        return [None if value is None else value.hex().upper() for value in column.to_pylist()]
    return _plain(column)


def _plain(column: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else str(value) for value in column.to_pylist()]


def _moment(value: dict[str, int] | None, *, zoned: bool) -> str | None:
    """Seconds since 1970 with nine decimals, followed by the time zone of a TIMESTAMP_TZ."""
    if value is None:
        return None
    nanoseconds = value["epoch"] * 10**9 + value["fraction"]
    sign = "-" if nanoseconds < 0 else ""
    text = f"{sign}{abs(nanoseconds) // 10**9}.{abs(nanoseconds) % 10**9:09d}"
    return f"{text} {value.get('timezone', _UTC)}" if zoned else text
