"""CREATE, ALTER, DROP, SHOW and DESCRIBE of streams, and what DDL on their tables does to them.

In: statements of the grammar. Out: Snowflake's answers. The first stream on a table starts to track it, which waits for
transactions that have written it, as Snowflake does.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import existing_object, missing_object, unsupported
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.objects.streams import change_log
from localcloud.snowflake.objects.streams import syntax as ast
from localcloud.snowflake.objects.streams.queries import check, found, named
from localcloud.snowflake.objects.streams.state import Stream, Streams, TrackedTable
from localcloud.snowflake.result import DESCRIBE, Result, done, rows_result, status
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name, Path, Show

COLUMNS: Columns = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("owner", "text"), ("comment", "text"), ("table_name", "text"), ("source_type", "text"), ("base_tables", "text")],
    *[("type", "text"), ("stale", "text"), ("mode", "text"), ("stale_after", "timestamp_ltz")],
    *[("invalid_reason", "text"), ("owner_role_type", "text")],
]


def create_stream(session: Session, statement: ast.CreateStream) -> Result:
    streams, path = session.account.state(Streams), session.path(statement.name)
    transaction.commit_before_ddl(session)
    session.account.names.require_schema(path)
    if path in session.temporary or session.account.names.kind(path) is not None:
        raise existing_object(path[2])
    if streams.get(path) is not None and not statement.or_replace:
        if not statement.if_not_exists:
            raise existing_object(path[2])
        return status(f"{path[2]} already exists, statement succeeded.")
    origin = _origin(session, statement)
    table = origin.table if statement.clone and origin else _tracked(session, _table(session, statement))
    number = streams.next_number()
    with streams.version() as version:
        offset = origin.offset if origin else version
        initial = statement.show_initial_rows or offset < 0
        stream = Stream(
            number=number,
            path=path,
            table=table,
            append_only=origin.append_only if statement.clone and origin else statement.append_only,
            owner=session.role,
            comment=statement.comment or "",
            created=streams.clock.now(),
            offset=-1 if initial else offset,
            moment=origin.moment if origin else streams.clock.now(),
            resumes_at=version,
        )
        transaction.atomically(session, lambda: _define(session, stream, initial=initial))
    if (replaced := streams.pop(path)) is not None:
        _forget(session, replaced)
    streams.put(stream)
    return status(f"Stream {path[2]} successfully created.")


def _origin(session: Session, statement: ast.CreateStream) -> Stream | None:
    """The stream whose offset is taken over."""
    if statement.clone is None and statement.at_stream is None:
        return None
    origin = found(session, statement.clone) if statement.clone else named(session, statement.at_stream or "")
    check(session, origin)
    if origin.offset < 0:
        raise unsupported("taking over the offset of a stream whose initial rows are not consumed")
    if statement.table is not None and session.path(statement.table) != origin.table.path:
        raise missing_object(".".join(session.path(statement.table)), "Table")
    return origin


def _table(session: Session, statement: ast.CreateStream) -> Path:
    assert statement.table is not None
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


def _forget(session: Session, stream: Stream) -> None:
    names = stream.table.names
    if session.account.names.has_database(names.database):
        _execute(
            session,
            [
                f"DROP VIEW IF EXISTS {names.view(stream.number)}",
                f"DROP TABLE IF EXISTS {names.initial(stream.number)}",
            ],
        )


def redefine(session: Session, table: TrackedTable) -> None:
    """After ALTER TABLE: the views with the table's columns of now."""
    table.columns = _columns(session, table.path)
    for stream in session.account.state(Streams).on(table):
        _define_view(session, stream, initial=has_initial(session, stream))


def has_initial(session: Session, stream: Stream) -> bool:
    """Whether the stream began with the rows of its creation."""
    names = stream.table.names
    lookup = (names.database, change_log.HIDDEN_SCHEMA, change_log.last_part(names.initial(stream.number)))
    return session.account.names.kind(lookup) is not None


def drop_stream(session: Session, name: Name) -> bool:
    transaction.commit_before_ddl(session)
    stream = session.account.state(Streams).pop(session.path(name))
    if stream is not None:
        _forget(session, stream)
    return stream is not None


def alter_stream(session: Session, statement: ast.AlterStream) -> Result:
    if statement.if_exists and session.account.state(Streams).get(session.path(statement.name)) is None:
        return done()
    found(session, statement.name).comment = statement.comment or ""
    return done()


def streams(session: Session, _show: Show) -> list[list[Any]]:
    return [_row(session, stream) for stream in session.account.state(Streams).all()]


def describe_stream(session: Session, statement: ast.DescribeStream) -> Result:
    return rows_result(COLUMNS, [_row(session, found(session, statement.name))], DESCRIBE)


def _row(session: Session, stream: Stream) -> list[Any]:
    database, schema, name = stream.path
    table, known = ".".join(stream.table.path), session.account.state(Streams)
    stale = known.is_stale(stream)
    return [
        *[stream.created, name, database, schema, stream.owner, stream.comment, table, "Table", table, "DELTA"],
        *["true" if stale else "false", "APPEND_ONLY" if stream.append_only else "DEFAULT"],
        *[known.stale_after(stream), "Base table dropped." if stream.table.dropped else "N/A", "ROLE"],
    ]
