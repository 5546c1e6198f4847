"""Streams in queries: each is replaced by a view over its table's change log, starting at the stream's offset.

The views read the offset from a session variable, so user views over streams work too, and each transaction keeps a
fixed offset.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation, failure
from localcloud.snowflake.objects.streams import change_log
from localcloud.snowflake.objects.streams.state import Stream, Streams, Work
from localcloud.snowflake.objects.table_names import path_of
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.tokens import TokenStream


def rewrite_tables(expression: exp.Expr, session: Session) -> None:
    """Replace the names of streams with their views, and set the offset variables."""
    streams = session.account.state(Streams)
    if streams.objects.empty:
        return
    defined = expression.this.find(exp.Table) if isinstance(expression, exp.Create) else None
    local = {cte.alias_or_name.upper() for cte in expression.find_all(exp.CTE)}
    seen: set[Stream] = set()
    for table in list(expression.find_all(exp.Table)):
        if table is defined or (not table.args.get("db") and table.name.upper() in local):
            continue
        path = path_of(session, table)
        found = streams.behind(path) if path else frozenset()
        seen |= found
        if path is not None and (stream := streams.objects.at(path)) is not None:
            _refuse_writing(table, stream)
            _point(table, stream)
    if defined is not None and expression.args.get("kind") == "VIEW" and (path := path_of(session, defined)):
        streams.remember_view(path, frozenset(seen))
    for stream in seen:
        use(session, stream)


def _refuse_writing(table: exp.Table, stream: Stream) -> None:
    if (
        table.parent is not None
        and table.arg_key == "this"
        and isinstance(table.parent, exp.Insert | exp.Update | exp.Delete | exp.Merge | exp.Schema)
    ):
        raise compilation(2, "0A000", f"Object '{stream.path[2]}' is a stream and cannot be the target of DML.")


def _point(table: exp.Table, stream: Stream) -> None:
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(stream.path[2], quoted=True))
    view = change_log.last_part(stream.table.names.view(stream.number))
    for key, value in (("this", view), ("db", change_log.HIDDEN_SCHEMA), ("catalog", stream.table.names.database)):
        table.set(key, exp.to_identifier(value, quoted=True))
    table.set("alias", alias)


def use(session: Session, stream: Stream) -> None:
    """Fix the offset for the statement and the rest of its transaction. Raises for a stream that cannot be read."""
    streams = session.account.state(Streams)
    check(session, stream)
    if session.transaction.open or session.consumes:
        streams.hold(session, stream)
    if session.consumes:
        session.states.get(Work).consumed.add(stream.number)
    session.duck.execute(f"SET VARIABLE {stream.variable} = {stream.offset}::BIGINT")


def check(session: Session, stream: Stream) -> None:
    if stream.table.dropped:
        table = ".".join(stream.table.path)
        raise compilation(2003, "02000", f"Base table '{table}' dropped, cannot read from stream '{stream.path[2]}'.")
    if session.account.state(Streams).is_stale(stream):
        raise failure(
            707,
            "02000",
            f"Stream '{stream.path[2]}' has become stale: time travel data is not available for table "
            f"{'.'.join(stream.table.path)}. Recreate the stream.",
        )


def named(session: Session, text: str) -> Stream:
    """The stream named by a function's argument."""
    return session.account.state(Streams).objects.require(session.id, session.path(TokenStream(text).name()))


def has_data(call: exp.Anonymous, session: Session) -> exp.Expr:
    """SYSTEM$STREAM_HAS_DATA. As in Snowflake, it prevents an empty stream from becoming stale."""
    stream = named(session, _argument(call))
    check(session, stream)
    session.duck.execute(f"SET VARIABLE {stream.variable} = {stream.offset}::BIGINT")
    session.duck.execute(f"SELECT EXISTS (SELECT 1 FROM {stream.table.names.view(stream.number)})")
    answer = bool(session.duck.fetchall()[0][0])
    if not answer and not session.transaction.open:
        session.account.state(Streams).renew(stream)
    return exp.Boolean(this=answer)


def table_timestamp(call: exp.Anonymous, session: Session) -> exp.Expr:
    """SYSTEM$STREAM_GET_TABLE_TIMESTAMP: the time of the offset in nanoseconds."""
    stream = named(session, _argument(call))
    return exp.Literal.number(int(stream.moment.timestamp() * 1_000_000) * 1000)


def _argument(call: exp.Anonymous) -> str:
    """The only argument, a text."""
    if len(call.expressions) != 1 or not call.expressions[0].is_string:
        raise compilation(1044, "42P13", f"Invalid argument types for function '{str(call.this).upper()}'")
    name: str = call.expressions[0].name
    return name
