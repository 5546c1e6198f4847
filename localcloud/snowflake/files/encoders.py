"""Encoders of unloaded rows: Parquet, CSV and JSON files with optional compression.

DuckDB formats CSV and JSON lines itself; the buffer of the resulting Arrow column is the content of the file.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from localcloud.snowflake.failures import failure, unsupported
from localcloud.snowflake.files.text_fields import Columns, csv_header, csv_lines, json_lines
from localcloud.snowflake.objects.stages.format_options import Format

# The fastest level; higher levels take more than twice the time for files that are a tenth smaller.
_ZLIB_LEVEL = 1
_EXTENSIONS = {"GZIP": ".gz", "BZ2": ".bz2", "BROTLI": ".br", "ZSTD": ".zst", "DEFLATE": ".deflate", "NONE": ""}


class Sink(Protocol):
    """A file that is being written. ``raw`` counts its bytes before compression."""

    raw: int

    def write(self, table: pa.Table) -> None: ...

    def size(self) -> int: ...

    def close(self) -> None: ...


class Encoder(Protocol):
    """``sql`` is the query whose batches the encoder takes; ``extension`` is that of its files."""

    sql: str
    extension: str

    def open(self, path: Path) -> Sink: ...


def encoder(sql: str, columns: Columns, chosen: Format, *, header: bool) -> Encoder:
    if chosen.type == "PARQUET":
        return ParquetEncoder(sql, columns, chosen, header=header)
    return TextEncoder(sql, columns, chosen, header=header)


class ParquetEncoder:
    def __init__(self, sql: str, columns: Columns, chosen: Format, *, header: bool) -> None:
        _check_types(columns)
        if chosen["COMPRESSION"] == "GZIP":
            raise unsupported("GZIP compression of unloaded Parquet, only SNAPPY and NONE")
        self.sql = sql
        self._compression = "none" if chosen["COMPRESSION"] == "NONE" else "snappy"
        self.extension = ".parquet" if self._compression == "none" else ".snappy.parquet"
        self._types = [type_ for _, type_ in columns]
        self._names = [name if header else f"_COL_{index}" for index, (name, _) in enumerate(columns)]

    def open(self, path: Path) -> Sink:
        return _ParquetSink(path, self._with_parquet_types, self._compression)

    def _with_parquet_types(self, table: pa.Table) -> pa.Table:
        columns = [_plain(column, type_) for column, type_ in zip(table.columns, self._types, strict=True)]
        return pa.Table.from_arrays(columns, names=self._names)


class _ParquetSink:
    def __init__(self, path: Path, shape: Callable[[pa.Table], pa.Table], compression: str) -> None:
        self._file = path.open("wb")
        self._shape = shape
        self._compression = compression
        self._writer: pq.ParquetWriter | None = None
        self.raw = 0

    def write(self, table: pa.Table) -> None:
        shaped = self._shape(table)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, shaped.schema, compression=self._compression)
        self._writer.write_table(shaped)

    def size(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self.raw = self._file.tell()
        self._file.close()


def _check_types(columns: Columns) -> None:
    for name, type_ in columns:
        if type_ == "TIMESTAMP WITH TIME ZONE":
            raise failure(
                100_071,
                "22000",
                "Error encountered when unloading to PARQUET: TIMESTAMP_TZ and LTZ types are not supported for "
                f"unloading to Parquet. Column '{name}' must be cast to TIMESTAMP_NTZ.",
            )


def _plain(column: pa.ChunkedArray, duck_type: str) -> pa.ChunkedArray:
    """Cast to the type that Snowflake unloads to Parquet: FLOAT as DOUBLE, integers as INT64 if they fit, VARIANT as
    text."""
    if pa.types.is_float32(column.type):
        return column.cast(pa.float64())
    if duck_type == "HUGEINT" or pa.types.is_null(column.type):
        return column.cast(pa.decimal128(38, 0) if duck_type == "HUGEINT" else pa.string())
    if pa.types.is_decimal(column.type) and column.type.scale == 0 and column.type.precision <= 18:
        return column.cast(pa.int64())
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    return column


class TextEncoder:
    def __init__(self, sql: str, columns: Columns, chosen: Format, *, header: bool) -> None:
        is_csv = chosen.type == "CSV"
        self.sql = csv_lines(sql, columns, chosen) if is_csv else json_lines(sql, columns)
        self._header = csv_header(columns, chosen).encode() if is_csv and header else b""
        self._compression = "GZIP" if chosen["COMPRESSION"] == "AUTO" else chosen["COMPRESSION"]
        if self._compression == "BROTLI":
            raise unsupported("BROTLI compression of unloaded files")
        given = chosen["FILE_EXTENSION"]
        name = f".{given.lstrip('.')}" if given else f".{chosen.type.lower()}"
        self.extension = name + _EXTENSIONS[self._compression]

    def open(self, path: Path) -> Sink:
        return _TextSink(path, _compressor(self._compression), self._header)


class _TextSink:
    def __init__(self, path: Path, compressor: Any, header: bytes) -> None:
        self._file = path.open("wb")
        self._compressor = compressor
        self.raw = 0
        if header:
            self._put(header)

    def _put(self, data: Any) -> None:
        self.raw += len(data)
        self._file.write(self._compressor.compress(data) if self._compressor else data)

    def write(self, table: pa.Table) -> None:
        for chunk in table.column(0).cast(pa.large_string()).chunks:
            if len(chunk):
                self._put(_content(chunk))

    def size(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if self._compressor:
            self._file.write(self._compressor.flush())
        self._file.close()


def _content(chunk: pa.LargeStringArray) -> memoryview:
    """The concatenated bytes of all values, without a copy. The chunk must not contain nulls."""
    _, offsets, data = chunk.buffers()
    ends = memoryview(offsets).cast("q")
    return memoryview(data)[ends[chunk.offset] : ends[chunk.offset + len(chunk)]]


def _compressor(compression: str) -> Any:
    if compression == "GZIP":
        return zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, 31)
    if compression == "DEFLATE":
        return zlib.compressobj(_ZLIB_LEVEL)
    if compression == "BZ2":
        return bz2.BZ2Compressor()
    return _Zstd() if compression == "ZSTD" else None


class _Zstd:
    """Arrow's zstd with the interface of the standard library's compressors. Each part is a frame; zstd allows
    concatenated frames."""

    def compress(self, data: Any) -> Any:
        return pa.compress(pa.py_buffer(data), codec="zstd", asbytes=True)

    def flush(self) -> bytes:
        return b""
