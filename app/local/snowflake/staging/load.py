"""COPY INTO a table: Parquet files of a stage as rows.

In: ``CopyIntoTable``. Out: rows, a line a file in Snowflake's columns, and the table's load history. The surprise: the history
lies in the same database as the table, so it is written and rolled back with the rows; a file loaded before, same name and
same content, is skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from app.local.snowflake.catalog import Path, Stage
from app.local.snowflake.failures import compilation, failure
from app.local.snowflake.result import COPY, Result, rows_result, status
from app.local.snowflake.staging import syntax as ast
from app.local.snowflake.staging.stages import located, matching, relative
from app.local.snowflake.staging.storage import Location, StoredObject
from app.local.snowflake.streams import tracking

if TYPE_CHECKING:
    from app.local.snowflake.session import Session

COLUMNS = [
    *[("file", "text"), ("status", "text"), ("rows_parsed", "fixed"), ("rows_loaded", "fixed")],
    *[("error_limit", "fixed"), ("errors_seen", "fixed"), ("first_error", "text"), ("first_error_line", "fixed")],
    *[("first_error_character", "fixed"), ("first_error_column_name", "text")],
]
# Snowflake forgets what it loaded after 64 days; a local server does not live as long.


@dataclass(frozen=True)
class _Table:
    """``sql``: the table's name in DuckDB. ``columns``: (name, DuckDB type)."""

    path: Path
    sql: str
    columns: tuple[tuple[str, str], ...]


def copy_into_table(session: Session, statement: ast.CopyIntoTable) -> Result:
    table = _target(session, statement)
    stage, place = located(session, statement.location)
    if (statement.file_format or stage.definition.file_format) is None:
        raise compilation(2, "0A000", "The local Snowflake does not support CSV; give FILE_FORMAT = (TYPE = PARQUET).")
    if statement.match_by_column_name == "NONE" and len(table.columns) != 1:
        raise compilation(
            2,
            "0A000",
            "PARQUET file format can produce one and only one column of type variant, object, or array. "
            "Use MATCH_BY_COLUMN_NAME to load Parquet columns separately.",
        )
    wanted = _wanted(session, statement, place)
    loaded = set() if statement.force else _history(session, table)
    fresh = [item for item in wanted if (item.uri, item.etag) not in loaded]
    if not fresh:
        return status("Copy executed with 0 files processed.", COPY)

    def work() -> list[list[object]]:
        return session.atomically(lambda: _load_all(session, statement, table, stage, fresh))

    rows = tracking.recorded(session, None if table.path in session.temporary else table.path, work, inserts=True)
    if statement.purge:
        session.engine.storage.delete(place.bucket, [item.key for item in fresh])
    return rows_result(COLUMNS, rows, COPY)


def _target(session: Session, statement: ast.CopyIntoTable) -> _Table:
    path = session.path(statement.table)
    local = session.temporary.get(path)
    database, schema, name = ("temp", "main", local) if local else path
    sql = ".".join('"' + part.replace('"', '""') + '"' for part in (database, schema, name))
    try:
        session.duck.execute(f"SELECT * FROM {sql} LIMIT 0")
    except duckdb.CatalogException:
        raise compilation(2003, "02000", f"Table '{'.'.join(path)}' does not exist or not authorized.") from None
    return _Table(path, sql, tuple(session.duck.types))


def _wanted(session: Session, statement: ast.CopyIntoTable, place: Location) -> list[StoredObject]:
    storage = session.engine.storage
    if not statement.files:
        return matching(storage.objects(place), statement.pattern)
    found: list[StoredObject] = []
    for name in statement.files:
        key = place.prefix + name
        exact = [item for item in storage.objects(Location(place.bucket, key)) if item.key == key]
        if not exact:
            raise failure(
                91_016,
                "22000",
                f"Remote file 's3://{place.bucket}/{key}' was not found. "
                "There are several potential causes. The file might not exist.",
            )
        found += exact
    return found


def _history_table(table: _Table) -> str:
    return f'"{table.path[0]}"._fs_information_schema._fs_load_history'


def _history(session: Session, table: _Table) -> set[tuple[str, str]]:
    session.duck.execute(
        f"SELECT FILE_NAME, _ETAG FROM {_history_table(table)} WHERE SCHEMA_NAME = ? AND TABLE_NAME = ?",
        list(table.path[1:]),
    )
    return {(name, etag) for name, etag in session.duck.fetchall()}


def _load_all(
    session: Session, statement: ast.CopyIntoTable, table: _Table, stage: Stage, files: list[StoredObject]
) -> list[list[object]]:
    answer: list[list[object]] = []
    with TemporaryDirectory(prefix="snowsage-load-") as folder:
        for number, item in enumerate(files):
            path = FilePath(folder) / f"{number}.parquet"
            session.engine.storage.download(*_bucket_and_key(item), path)
            count = _load_file(session, statement, table, relative(stage, item), path)
            _remember(session, table, item, count)
            answer.append([relative(stage, item), "LOADED", count, count, 1, 0, None, None, None, None])
    return answer


def _bucket_and_key(item: StoredObject) -> tuple[str, str]:
    return item.uri.removeprefix("s3://").partition("/")[0], item.key


def _load_file(session: Session, statement: ast.CopyIntoTable, table: _Table, shown: str, path: FilePath) -> int:
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise failure(
            100_152, "22000", f"Error parsing the Parquet file '{shown}': it is not a Parquet file."
        ) from error
    source = "'" + str(path).replace("'", "''") + "'"
    targets, values = _matched(statement, table, names)
    if not targets:
        raise failure(
            100_080,
            "22000",
            f"No column of file '{shown}' has the name of a column of the table; see MATCH_BY_COLUMN_NAME.",
        )
    try:
        session.duck.execute(
            f"INSERT INTO {table.sql} ({', '.join(targets)}) SELECT {', '.join(values)} FROM read_parquet({source}) AS rows"
        )
    except duckdb.ConversionException as error:
        raise failure(100_038, "22018", f"{_first_line(error)}\n  File '{shown}'") from error
    (count,) = session.duck.fetchall()[0]
    return int(count)


def _first_line(error: duckdb.Error) -> str:
    """DuckDB's reason without the value, which belongs to the rows and not into a message."""
    return re.sub(r"'[^']*'", "'...'", str(error).split("\n")[0]).removeprefix("Conversion Error: ")


def _matched(statement: ast.CopyIntoTable, table: _Table, names: list[str]) -> tuple[list[str], list[str]]:
    """Target columns and the expressions that fill them; columns on one side only are left out, as in Snowflake."""
    if statement.match_by_column_name == "NONE":
        name, _ = table.columns[0]
        return [_quoted(name)], ["to_json(rows)"]
    fold = str.upper if statement.match_by_column_name == "CASE_INSENSITIVE" else str
    in_file = {fold(name): name for name in names}
    if len(in_file) != len(names):
        raise failure(100_080, "22000", "The file has several columns of the same name; use CASE_SENSITIVE.")
    pairs = [(name, type_, in_file[fold(name)]) for name, type_ in table.columns if fold(name) in in_file]
    targets = [_quoted(name) for name, _, _ in pairs]
    return targets, [_converted(f"rows.{_quoted(found)}", type_) for _, type_, found in pairs]


def _converted(value: str, type_: str) -> str:
    """JSON text of an unloaded VARIANT becomes a VARIANT again only through PARSE_JSON; a load keeps it a string."""
    return f"to_json({value})" if type_ == "JSON" else f"CAST({value} AS {type_})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _remember(session: Session, table: _Table, item: StoredObject, count: int) -> None:
    history = _history_table(table)
    where = "WHERE SCHEMA_NAME = ? AND TABLE_NAME = ? AND FILE_NAME = ?"
    if table.path in session.temporary:
        return
    session.duck.execute(f"DELETE FROM {history} {where}", [*table.path[1:], item.uri])
    session.duck.execute(
        f"INSERT INTO {history} (SCHEMA_NAME, TABLE_NAME, FILE_NAME, LAST_LOAD_TIME, STATUS, ROW_COUNT, ROW_PARSED, "
        "ERROR_COUNT, ERROR_LIMIT, _ETAG) VALUES (?, ?, ?, now(), 'LOADED', ?, ?, 0, 1, ?)",
        [*table.path[1:], item.uri, count, count, item.etag],
    )
