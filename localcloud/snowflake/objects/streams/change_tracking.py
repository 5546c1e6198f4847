"""Change tracking: DML on a table with streams records its changes in the same transaction.

Statements are not rewritten. The rows before and after a statement are compared by DuckDB's row ids, which are stable
within a transaction. For tables without streams the cost is a dictionary lookup.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlglot import exp

from localcloud.snowflake.failures import INTERNAL, failure
from localcloud.snowflake.objects.streams import change_log
from localcloud.snowflake.objects.streams.state import Streams, TrackedTable, Work
from localcloud.snowflake.objects.table_names import path_of
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Path

_T = TypeVar("_T")


def target(session: Session, expression: exp.Expr) -> Path | None:
    """The permanent table that a DML statement writes. Call it before any rewriting."""
    if isinstance(expression, exp.TruncateTable):
        found = expression.expressions[0]
    elif isinstance(expression, exp.Insert | exp.Update | exp.Delete | exp.Merge):
        found = expression.this
    else:
        return None
    table = found.find(exp.Table) if isinstance(found, exp.Expr) else None
    return path_of(session, table) if table is not None else None


def only_inserts(expression: exp.Expr) -> bool:
    return isinstance(expression, exp.Insert) and not expression.args.get("overwrite")


def recorded(session: Session, path: Path | None, work: Callable[[], _T], *, inserts: bool) -> _T:
    """Run ``work``, which writes the table, and record the changes. ``inserts`` means that it only inserts rows."""
    if path is None:
        return work()
    table = session.account.state(Streams).begin_write(session, path)
    if table is None:
        return work()
    return transaction.atomically(session, lambda: _record(session, table, work, inserts=inserts))


def _record(session: Session, table: TrackedTable, work: Callable[[], _T], *, inserts: bool) -> _T:
    source, duck = change_log.table(table.path), session.duck
    last = -1
    if inserts:
        last = int(duck.execute(f"SELECT coalesce(max(rowid), -1) FROM {source}").fetchall()[0][0])
    else:
        _run(session, change_log.snapshot(source))
    result = work()
    kept = session.states.get(Work)
    _run(
        session,
        change_log.inserted(table.names, source, last)
        if inserts
        else change_log.changed(table.names, source, table.columns),
    )
    if not inserts and duck.execute(change_log.LOST).fetchall()[0][0]:
        raise failure(INTERNAL, "XX000", "The local Snowflake lost track of the rows of a table with streams.")
    _run(session, change_log.stage(table.names, kept.statements, deletes=not inserts))
    _run(session, [f"DROP TABLE IF EXISTS {name}" for name in change_log.SCRATCH])
    kept.statements += 1
    kept.staged[table.names.number] = table
    return result


def _run(session: Session, statements: list[str]) -> None:
    for statement in statements:
        session.duck.execute(statement)
