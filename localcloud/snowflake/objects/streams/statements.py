"""CREATE, ALTER, DROP, SHOW and DESCRIBE STREAM.

The first stream on a table starts its change tracking, which waits for transactions that are writing the table, as in
Snowflake.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import missing_object, unsupported
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.objects.streams import change_log
from localcloud.snowflake.objects.streams import syntax as ast
from localcloud.snowflake.objects.streams.queries import check, named
from localcloud.snowflake.objects.streams.state import Stream, Streams, TrackedTable
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Creation, Path

COLUMNS: Columns = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("owner", "text"), ("comment", "text"), ("table_name", "text"), ("source_type", "text"), ("base_tables", "text")],
    *[("type", "text"), ("stale", "text"), ("mode", "text"), ("stale_after", "timestamp_ltz")],
    *[("invalid_reason", "text"), ("owner_role_type", "text")],
]


def make(session: Session, statement: ast.CreateStream, path: Path, _runner: Runner) -> Stream:
    origin = named(session, statement.at_stream) if statement.at_stream is not None else None
    if origin is not None:
        _check_origin(session, origin)
        if session.path(statement.table) != origin.table.path:
            raise missing_object(".".join(session.path(statement.table)), "Table")
    table = _tracked(session, _table(session, statement))
    return _made(session, statement, path, table, origin, statement.append_only, statement.show_initial_rows)


def clone(session: Session, origin: Stream, statement: Creation, path: Path) -> Stream:
    """A stream on the same table with the same offset."""
    _check_origin(session, origin)
    return _made(session, statement, path, origin.table, origin, origin.append_only, initial=False)


def _check_origin(session: Session, origin: Stream) -> None:
    """Raise if the offset of ``origin`` cannot be copied."""
    check(session, origin)
    if origin.offset < 0:
        raise unsupported("copying the offset of a stream whose initial rows are not consumed yet")


def _made(
    session: Session,
    statement: Creation,
    path: Path,
    table: TrackedTable,
    origin: Stream | None,
    append_only: bool,
    initial: bool,
) -> Stream:
    streams = session.account.state(Streams)
    with streams.version() as version:
        stream = Stream(
            path=path,
            owner=session.role,
            comment=statement.comment or "",
            created=streams.clock.now(),
            number=streams.next_number(),
            table=table,
            append_only=append_only,
            offset=-1 if initial else (origin.offset if origin else version),
            moment=origin.moment if origin else streams.clock.now(),
            resumes_at=version,
        )
        transaction.atomically(session, lambda: _define(session, stream, initial=initial))
    return stream


def _table(session: Session, statement: ast.CreateStream) -> Path:
    path = session.path(statement.table)
    if path in session.temporary:
        raise unsupported("streams on temporary tables")
    if session.account.names.kind(path) != "TABLE":
        raise missing_object(".".join(path), "Table")
    return path


def _tracked(session: Session, path: Path) -> TrackedTable:
    streams = session.account.state(Streams)
    with streams.starting(session, path) as known:
        if known is not None:
            return known
        names = change_log.Names(path[0], streams.next_number())
        table = TrackedTable(path, names, _columns(session, path))
        transaction.atomically(
            session, lambda: _execute(session, change_log.start_tracking(names, change_log.table(path)))
        )
        streams.track(table)
        return table


def _columns(session: Session, path: Path) -> tuple[str, ...]:
    session.duck.execute(f"SELECT * FROM {change_log.table(path)} LIMIT 0")
    return tuple(name for name, _ in session.duck.types)


def _execute(session: Session, statements: list[str]) -> None:
    for statement in statements:
        session.duck.execute(statement)


def _define(session: Session, stream: Stream, *, initial: bool) -> None:
    names = stream.table.names
    if initial:
        session.duck.execute(f"CREATE TABLE {names.initial(stream.number)} AS SELECT * FROM {names.rows}")
    _define_view(session, stream, initial=initial)


def _define_view(session: Session, stream: Stream, *, initial: bool) -> None:
    names, columns, offset = stream.table.names, stream.table.columns, f"getvariable('{stream.variable}')"
    changes = (change_log.appended if stream.append_only else change_log.net_changes)(names, columns, offset)
    if initial:
        changes = change_log.start_with(names.initial(stream.number), columns, offset, changes)
    session.duck.execute(f"SET VARIABLE {stream.variable} = {stream.offset}::BIGINT")
    session.duck.execute(f"CREATE OR REPLACE VIEW {names.view(stream.number)} AS {changes}")


def release(account: Account, stream: Stream) -> None:
    """Drop the views and tables from which a stream is read."""
    names = stream.table.names
    if account.names.has_database(names.database):
        with account.duck.cursor() as duck:
            duck.execute(f"DROP VIEW IF EXISTS {names.view(stream.number)}")
            duck.execute(f"DROP TABLE IF EXISTS {names.initial(stream.number)}")


def redefine(session: Session, table: TrackedTable) -> None:
    """Recreate the views of the table's streams with its current columns, after ALTER TABLE."""
    table.columns = _columns(session, table.path)
    for stream in session.account.state(Streams).on(table):
        _define_view(session, stream, initial=has_initial(session, stream))


def has_initial(session: Session, stream: Stream) -> bool:
    """Whether the stream was created with SHOW_INITIAL_ROWS."""
    names = stream.table.names
    lookup = (names.database, change_log.HIDDEN_SCHEMA, change_log.last_part(names.initial(stream.number)))
    return session.account.names.kind(lookup) is not None


def row(session: Session, stream: Stream) -> list[Any]:
    database, schema, name = stream.path
    table, known = ".".join(stream.table.path), session.account.state(Streams)
    stale = known.is_stale(stream)
    return [
        *[stream.created, name, database, schema, stream.owner, stream.comment, table, "Table", table, "DELTA"],
        *["true" if stale else "false", "APPEND_ONLY" if stream.append_only else "DEFAULT"],
        *[known.stale_after(stream), "Base table dropped." if stream.table.dropped else "N/A", "ROLE"],
    ]
