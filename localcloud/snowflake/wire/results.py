"""Encoding of a result in a statement's reply: the first rows in the reply, the others in chunks.

The result of DML is sent as JSON, that of a query as Arrow, unless the session asks for JSON. In JSON every value is a text;
timestamps are seconds since 1970.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from fakesnow.arrow import to_ipc

from localcloud.snowflake.result import COPY, Result, wire_table
from localcloud.snowflake.wire.json_layout import laid_out

# Maximum number of rows in a reply; the other rows are sent in chunks.
_INLINE_BYTES = 128 * 2**10
# Each chunk is twice as large as the one before, up to a limit.
_FIRST_CHUNK_BYTES, _CHUNK_BYTES = 2**19, 16 * 2**20
_COUNTS = {
    "number of rows inserted": "numRowsInserted",
    "number of rows updated": "numRowsUpdated",
    "number of rows deleted": "numRowsDeleted",
    "number of multi-joined rows updated": "numDmlDuplicates",
    "rows_loaded": "numRowsInserted",
}
_UTC = "1440"

Keep = Callable[[bytes], str]


def encode(result: Result, keep: Keep, *, as_json: bool, indent: int) -> dict[str, Any]:
    """The part of the reply's ``data`` with rows and types.

    ``keep`` stores a chunk and returns its URL. ``indent``: JSON_INDENT.
    """
    if result.reply is not None:
        return result.reply
    rowtype = result.rowtype()
    table = laid_out(wire_table(result, rowtype), rowtype, indent)
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
    if any((changed := statistics(result)).values()):
        data["stats"] = changed
    return data


def statistics(result: Result) -> dict[str, int]:
    """The numbers of rows that a statement changed; those of DML and COPY are in the columns of the result."""
    found = {**dict.fromkeys(_COUNTS.values(), 0), **result.changed}
    counted = result.is_dml or result.type_id == COPY
    for name in result.table.column_names if counted else ():
        if name in _COUNTS:
            found[_COUNTS[name]] = int(pc.sum(result.table.column(name)).as_py() or 0)
    return found


def _pieces(table: pa.Table) -> tuple[pa.Table, list[pa.Table]]:
    size = table.nbytes
    if size <= _INLINE_BYTES:
        return table, []
    at = max(1, table.num_rows * _INLINE_BYTES // size)
    head, pieces, bytes_ = table.slice(0, at), [], _FIRST_CHUNK_BYTES
    while at < table.num_rows:
        rows = max(1, table.num_rows * bytes_ // size)
        pieces.append(table.slice(at, rows).combine_chunks())
        at, bytes_ = at + rows, min(2 * bytes_, _CHUNK_BYTES)
    return head, pieces


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
    kind, scale = type_["type"], type_["scale"]
    if kind.startswith("timestamp"):
        return [_moment(value, scale, zoned=kind == "timestamp_tz") for value in column.to_pylist()]
    if kind == "time" or (kind == "fixed" and scale and pa.types.is_integer(column.type)):
        return [None if value is None else _decimal(value, scale) for value in column.to_pylist()]
    if kind == "date":
        return _plain(column.cast(pa.int32()))
    if kind == "boolean":
        return _plain(pc.if_else(column, "1", "0"))
    if kind == "binary":
        return [None if value is None else value.hex().upper() for value in column.to_pylist()]
    return _plain(column)


def _plain(column: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else str(value) for value in column.to_pylist()]


def _moment(value: dict[str, int] | int | None, scale: int, *, zoned: bool) -> str | None:
    """Seconds since 1970 with the column's decimals, followed by the time zone of a TIMESTAMP_TZ."""
    if value is None:
        return None
    if isinstance(value, int):
        return _decimal(value, scale)
    whole = value["epoch"] * 10**9 + value["fraction"] if "fraction" in value else value["epoch"]
    text = _decimal(whole // 10 ** (9 - scale) if "fraction" in value else whole, scale)
    return f"{text} {value.get('timezone', _UTC)}" if zoned else text


def _decimal(number: int, scale: int) -> str:
    """A whole number of units as a decimal with ``scale`` digits after the point."""
    return f"{Decimal(number).scaleb(-scale):f}"
