"""Effects of DDL on streams and tasks: altered, renamed, replaced and dropped tables, and data retention.

An ALTER of a tracked table is repeated on its hidden tables, so that the change log continues with the new columns.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.objects.store import within
from localcloud.snowflake.objects.streams import change_log
from localcloud.snowflake.objects.streams.state import Streams, TrackedTable
from localcloud.snowflake.objects.streams.statements import has_initial, redefine
from localcloud.snowflake.objects.table_names import dropped_container, path_of
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Path

_RETENTION = ("DATA_RETENTION_TIME_IN_DAYS", "MAX_DATA_EXTENSION_TIME_IN_DAYS")


def followed(session: Session, runner: Runner, expression: exp.Expr) -> Callable[[], None]:
    """A function that applies the statement's effects on streams, to be called after the statement."""
    kind = str(expression.args.get("kind") or "").upper()
    table = expression.find(exp.Table)
    streams = session.account.state(Streams)
    if table is None or kind not in ("TABLE", "VIEW", "SCHEMA", "DATABASE"):
        return lambda: None
    if (container := dropped_container(session, expression)) is not None:
        return lambda: streams.lose(lambda path: within(path, container))
    if kind != "TABLE":
        return lambda: None
    path = path_of(session, table)
    if path is None:
        return lambda: None
    days = _retention(expression)
    if isinstance(expression, exp.Drop) or (isinstance(expression, exp.Create) and expression.args.get("replace")):

        def lose() -> None:
            streams.lose(lambda lost: lost == path)
            streams.set_retention(path, days)

        return lose
    tracked = streams.tracked(path)
    if isinstance(expression, exp.Alter) and tracked is not None:
        return _altered(session, runner, expression.copy(), tracked)
    return lambda: streams.set_retention(path, days) if days else None


def _retention(expression: exp.Expr) -> dict[str, int]:
    found = {item.name.upper(): item.args.get("value") for item in expression.find_all(exp.Property)}
    return {
        name: int(value.name)
        for name in _RETENTION
        if isinstance(value := found.get(name), exp.Literal) and value.is_int
    }


def only_retention(session: Session, expression: exp.Expr) -> bool:
    """Apply an ``ALTER TABLE t SET`` that affects only streams; returns whether the statement was such."""
    actions = expression.args.get("actions") if isinstance(expression, exp.Alter) else None
    table = expression.find(exp.Table)
    if not actions or table is None or not all(isinstance(action, exp.AlterSet) for action in actions):
        return False
    names = {item.name.upper() for item in expression.find_all(exp.Property)}
    path = path_of(session, table)
    if path is None or not names or not names <= {*_RETENTION, "CHANGE_TRACKING"}:
        return False
    session.account.state(Streams).set_retention(path, _retention(expression))
    return True


def _altered(session: Session, runner: Runner, expression: exp.Alter, tracked: TrackedTable) -> Callable[[], None]:
    for action in expression.args["actions"]:
        if isinstance(action, exp.SwapTable):
            raise unsupported("SWAP WITH of a table that has streams")
        if isinstance(action, exp.AlterRename):
            new = path_of(session, action.this)
            assert new is not None
            return lambda: _renamed(session, tracked.path, new)
    return lambda: _repeat(session, runner, expression, tracked)


def _renamed(session: Session, old: Path, new: Path) -> None:
    session.account.state(Streams).rename(old, new)


def _repeat(session: Session, runner: Runner, expression: exp.Alter, tracked: TrackedTable) -> None:
    streams = [stream for stream in session.account.state(Streams).on(tracked) if has_initial(session, stream)]
    for name in (
        tracked.names.rows,
        tracked.names.changes,
        *(tracked.names.initial(stream.number) for stream in streams),
    ):
        hidden = change_log.last_part(name)
        copy = expression.copy()
        table = copy.this
        for key, value in (("this", hidden), ("db", change_log.HIDDEN_SCHEMA), ("catalog", tracked.names.database)):
            table.set(key, exp.to_identifier(value, quoted=True))
        session.duck.execute(runner.duck_sql(session, copy))
    redefine(session, tracked)
