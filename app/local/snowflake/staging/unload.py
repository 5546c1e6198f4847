"""COPY INTO a stage: a query's rows as Parquet files on S3.

In: ``CopyIntoLocation``. Out: files named as Snowflake names them, and its result columns. The surprise: the files are made
whole on disk before the first one is uploaded, so that a query which fails halfway leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from app.local.snowflake.failures import compilation, failure
from app.local.snowflake.result import COPY, Result, rows_result
from app.local.snowflake.staging import syntax as ast
from app.local.snowflake.staging.stages import located
from app.local.snowflake.staging.storage import Location

if TYPE_CHECKING:
    from app.local.snowflake.session import Session

SUMMARY = [("rows_unloaded", "fixed"), ("input_bytes", "fixed"), ("output_bytes", "fixed")]
DETAILED = [("FILE_NAME", "text"), ("FILE_SIZE", "fixed"), ("ROW_COUNT", "fixed")]
# A row group, and so the step in which a file's size is looked at.
_BATCH_ROWS = 65_536
_SMALLEST_BATCH_ROWS = 256


def columns_of(statement: ast.CopyIntoLocation) -> list[tuple[str, str]]:
    return DETAILED if statement.detailed_output else SUMMARY


def copy_into_location(session: Session, statement: ast.CopyIntoLocation) -> Result:
    session.consumes = True
    return session.atomically(lambda: _unload(session, statement))


def _unload(session: Session, statement: ast.CopyIntoLocation) -> Result:
    stage, place = located(session, statement.location)
    file_format = statement.file_format or stage.definition.file_format
    if file_format is None:
        raise compilation(2, "0A000", "The local Snowflake does not support CSV; give FILE_FORMAT = (TYPE = PARQUET).")
    sql = session.query_sql(statement.query)
    _check_types(session, sql)
    compression = "none" if file_format.compression == "NONE" else "snappy"
    with TemporaryDirectory(prefix="snowsage-unload-") as folder:
        files = list(_Writer(session, statement, sql, compression, Path(folder)).files())
        names = [_file_name(session, statement, place, number, compression) for number in range(len(files))]
        _make_room(session, statement, place, names)
        for name, (path, _) in zip(names, files, strict=True):
            session.engine.storage.upload(Location(place.bucket, name), path)
        sizes = [path.stat().st_size for path, _ in files]
    return _answer(statement, place, names, sizes, [rows for _, rows in files])


def _answer(
    statement: ast.CopyIntoLocation, place: Location, names: list[str], sizes: list[int], rows: list[int]
) -> Result:
    if statement.detailed_output:
        folder = place.prefix.rpartition("/")[0]
        shown = [name.removeprefix(folder).lstrip("/") for name in names]
        return rows_result(DETAILED, list(zip(shown, sizes, rows, strict=True)), COPY)
    return rows_result(SUMMARY, [[sum(rows), sum(sizes), sum(sizes)]], COPY)


def _check_types(session: Session, sql: str) -> None:
    session.duck.execute(f"SELECT * FROM ({sql}) LIMIT 0")
    for name, type_ in session.duck.types:
        if type_ == "TIMESTAMP WITH TIME ZONE":
            raise failure(
                100_071,
                "22000",
                "Error encountered when unloading to PARQUET: TIMESTAMP_TZ and LTZ types are not supported for "
                f"unloading to Parquet. Column '{name}' must be cast to TIMESTAMP_NTZ.",
            )


def _file_name(
    session: Session, statement: ast.CopyIntoLocation, place: Location, number: int, compression: str
) -> str:
    """``data_0_0_0.snappy.parquet`` under a folder; a path that does not end in / is the beginning of the name."""
    if statement.single:
        return place.prefix + ("data" if place.prefix.endswith("/") or not place.prefix else "")
    stem = "data" if place.prefix.endswith("/") or not place.prefix else ""
    query = f"_{session.query_id}" if statement.include_query_id else ""
    extension = ".snappy.parquet" if compression == "snappy" else ".parquet"
    return f"{place.prefix}{stem}{query}_0_0_{number}{extension}"


def _make_room(session: Session, statement: ast.CopyIntoLocation, place: Location, names: list[str]) -> None:
    """Files that are there already: with OVERWRITE those of the same name are replaced, otherwise they stop the unload."""
    if statement.overwrite or statement.include_query_id or not names:
        return
    if session.engine.storage.objects(place):
        raise failure(
            1030,
            "22000",
            "Files already existing at the unload destination: "
            f"{place.bucket}/{place.prefix}. Use overwrite option to force unloading.",
        )


class _Writer:
    """Writes the query's rows into files of about MAX_FILE_SIZE; ``files`` gives (path, rows)."""

    def __init__(
        self, session: Session, statement: ast.CopyIntoLocation, sql: str, compression: str, folder: Path
    ) -> None:
        self._session = session
        self._statement = statement
        self._sql = sql
        self._compression = compression
        self._folder = folder

    def files(self) -> Iterator[tuple[Path, int]]:
        reader = self._session.duck.reader(self._sql, _BATCH_ROWS)
        types = dict(self._session.duck.types)
        limit = None if self._statement.single else self._statement.max_file_size
        writer: pq.ParquetWriter | None = None
        rows = number = 0
        for batch in reader:
            for part in _parts(self._shaped(batch, types), limit):
                if writer is None:
                    path = self._folder / f"{number}.parquet"
                    sink = path.open("wb")
                    writer = pq.ParquetWriter(sink, part.schema, compression=self._compression)
                writer.write_table(part)
                rows += part.num_rows
                if limit is not None and sink.tell() >= limit:
                    writer.close()
                    sink.close()
                    yield path, rows
                    writer, rows, number = None, 0, number + 1
        if writer is not None:
            writer.close()
            sink.close()
            yield path, rows

    def _shaped(self, batch: pa.RecordBatch, types: dict[str, str]) -> pa.Table:
        table = pa.Table.from_batches([batch])
        names = table.column_names
        if not self._statement.header:
            names = [f"_COL_{index}" for index in range(table.num_columns)]
        columns = [_plain(column, types[name]) for name, column in zip(table.column_names, table.columns, strict=True)]
        return pa.Table.from_arrays(columns, names=names)


def _parts(table: pa.Table, limit: int | None) -> Iterator[pa.Table]:
    """Slices small enough for the size limit to be met about; uncompressed bytes are what can be known beforehand."""
    if not table.num_rows:
        return
    per_row = max(1, table.nbytes // table.num_rows)
    step = table.num_rows if limit is None else max(_SMALLEST_BATCH_ROWS, limit // per_row)
    for start in range(0, table.num_rows, step):
        yield table.slice(start, step)


def _plain(column: pa.ChunkedArray, duck_type: str) -> pa.ChunkedArray:
    """Snowflake's choice of Parquet type: FLOAT is DOUBLE, whole numbers INT64 where they fit, VARIANT is text."""
    if pa.types.is_float32(column.type):
        return column.cast(pa.float64())
    if duck_type == "HUGEINT" or pa.types.is_null(column.type):
        return column.cast(pa.decimal128(38, 0) if duck_type == "HUGEINT" else pa.string())
    if pa.types.is_decimal(column.type) and column.type.scale == 0 and column.type.precision <= 18:
        return column.cast(pa.int64())
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    return column
