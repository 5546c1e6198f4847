"""COPY INTO a location: unload the rows of a query into files on a stage.

All files are written to local disk before the first upload, so a query that fails halfway leaves nothing on the stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from localcloud.snowflake.failures import failure
from localcloud.snowflake.files.encoders import Encoder, Sink, encoder
from localcloud.snowflake.files.text_fields import Columns
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import Format, resolved
from localcloud.snowflake.objects.stages.locations import FileLocation, resolve_location
from localcloud.snowflake.result import COPY, Result, rows_result
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import text_literal

SUMMARY = [("rows_unloaded", "fixed"), ("input_bytes", "fixed"), ("output_bytes", "fixed")]
DETAILED = [("FILE_NAME", "text"), ("FILE_SIZE", "fixed"), ("ROW_COUNT", "fixed")]
# One Parquet row group, and so the granularity at which a file's size is checked.
_BATCH_ROWS = 65_536
_MIN_BATCH_ROWS = 256
_PARTITION = "_partition"
_ROWS = "_unload_rows"


@dataclass(frozen=True)
class _File:
    """A finished local file. ``name`` is its object key; ``raw`` and ``size`` are bytes before and after compression."""

    name: str
    path: Path
    rows: int
    raw: int
    size: int


def columns_of(statement: ast.CopyIntoLocation) -> list[tuple[str, str]]:
    return DETAILED if statement.detailed_output else SUMMARY


def copy_into_location(session: Session, statement: ast.CopyIntoLocation, runner: Runner) -> Result:
    session.consumes = True
    return transaction.atomically(session, lambda: _unload(session, runner, statement))


def _unload(session: Session, runner: Runner, statement: ast.CopyIntoLocation) -> Result:
    file_location = resolve_location(session, statement.location)
    chosen = resolved(session, statement.file_format, file_location.file_format)
    sql = runner.query_sql(session, statement.query)
    session.duck.execute(f"SELECT * FROM ({sql}) LIMIT 0")
    columns = list(session.duck.types)
    if statement.validation_mode is not None:
        session.duck.execute(sql)
        return Result(session.duck.to_arrow_table(), tuple(session.duck.types), COPY)
    with TemporaryDirectory(prefix="localcloud-unload-", dir=session.account.folder) as folder:
        job = _Unload(session, runner, statement, file_location, chosen, Path(folder))
        files = list(job.partitioned(columns) if statement.partition_by else job.whole(sql, columns))
        _check_destination(statement, file_location, files)
        for file in files:
            file_location.area.upload(file.name, file.path)
    return _answer(statement, file_location, files)


def _answer(statement: ast.CopyIntoLocation, file_location: FileLocation, files: list[_File]) -> Result:
    if statement.detailed_output:
        folder = file_location.prefix if statement.partition_by else file_location.prefix.rpartition("/")[0]
        rows = [[file.name.removeprefix(folder).lstrip("/"), file.size, file.rows] for file in files]
        return rows_result(DETAILED, rows, COPY)
    total = [sum(file.rows for file in files), sum(file.raw for file in files), sum(file.size for file in files)]
    return rows_result(SUMMARY, [total], COPY)


def _check_destination(statement: ast.CopyIntoLocation, file_location: FileLocation, files: list[_File]) -> None:
    """Raise if the destination holds files, unless OVERWRITE or INCLUDE_QUERY_ID is set. OVERWRITE replaces files of
    the same name."""
    if statement.overwrite or statement.include_query_id or not files:
        return
    if file_location.area.objects(file_location.prefix):
        shown = (
            file_location.shown + file_location.path
            if file_location.is_internal
            else file_location.area.uri(file_location.prefix).removeprefix("s3://")
        )
        raise failure(
            1030,
            "22000",
            f"Files already existing at the unload destination: {shown}. Use overwrite option to force unloading.",
        )


class _Unload:
    """Writes a query's rows into files of about MAX_FILE_SIZE bytes in ``folder``."""

    def __init__(
        self,
        session: Session,
        runner: Runner,
        statement: ast.CopyIntoLocation,
        file_location: FileLocation,
        chosen: Format,
        folder: Path,
    ) -> None:
        self._session = session
        self._runner = runner
        self._statement = statement
        self._file_location = file_location
        self._chosen = chosen
        self._folder = folder
        self._count = 0

    def whole(self, sql: str, columns: Columns) -> Iterator[_File]:
        coder = encoder(sql, columns, self._chosen, header=self._statement.header)
        yield from self._files(coder, self._file_location.prefix)

    def partitioned(self, columns: Columns) -> Iterator[_File]:
        """Write one folder for each value of the PARTITION BY expression, which is evaluated once; NULL becomes
        ``_NULL_``."""
        duck = self._session.duck
        query = f'SELECT *, CAST({self._statement.partition_by} AS VARCHAR) AS "{_PARTITION}" FROM ({self._statement.query})'
        duck.execute(f"CREATE OR REPLACE TEMPORARY TABLE {_ROWS} AS {self._runner.query_sql(self._session, query)}")
        try:
            duck.execute(f"SELECT DISTINCT {_PARTITION} FROM {_ROWS} ORDER BY 1")
            root = self._file_location.prefix
            root += "/" if root and not root.endswith("/") else ""
            for (value,) in duck.fetchall():
                part = f"SELECT * EXCLUDE ({_PARTITION}) FROM {_ROWS} WHERE {_PARTITION} IS NOT DISTINCT FROM "
                part += "NULL" if value is None else text_literal(value)
                coder = encoder(part, columns, self._chosen, header=self._statement.header)
                yield from self._files(coder, f"{root}{'_NULL_' if value is None else value}/")
        finally:
            duck.execute(f"DROP TABLE IF EXISTS {_ROWS}")

    def _files(self, coder: Encoder, prefix: str) -> Iterator[_File]:
        limit = None if self._statement.single else self._statement.max_file_size
        sink: Sink | None = None
        number = rows = 0
        path = self._folder
        for batch in self._session.duck.reader(coder.sql, _BATCH_ROWS):
            for part in _parts(pa.Table.from_batches([batch]), limit):
                if sink is None:
                    path = self._folder / str(self._count)
                    self._count += 1
                    sink = coder.open(path)
                sink.write(part)
                rows += part.num_rows
                if limit is not None and sink.size() >= limit:
                    yield self._closed(sink, self._name(coder, prefix, number), path, rows)
                    sink, rows, number = None, 0, number + 1
        if sink is not None:
            yield self._closed(sink, self._name(coder, prefix, number), path, rows)

    def _closed(self, sink: Sink, name: str, path: Path, rows: int) -> _File:
        sink.close()
        return _File(name, path, rows, sink.raw, path.stat().st_size)

    def _name(self, coder: Encoder, prefix: str, number: int) -> str:
        """File name: ``data_0_0_0.csv.gz`` under a folder; a path that does not end in / is a prefix of the file name."""
        stem = "data" if prefix.endswith("/") or not prefix else ""
        if self._statement.single:
            return prefix + stem
        query = f"_{self._session.query_id}" if self._statement.include_query_id else ""
        return f"{prefix}{stem}{query}_0_0_{number}{coder.extension}"


def _parts(table: pa.Table, limit: int | None) -> Iterator[pa.Table]:
    """Slices small enough to stop near the size limit, estimated from the uncompressed size."""
    if not table.num_rows:
        return
    per_row = max(1, table.nbytes // table.num_rows)
    step = table.num_rows if limit is None else max(_MIN_BATCH_ROWS, limit // per_row)
    for start in range(0, table.num_rows, step):
        yield table.slice(start, step)
