"""A session's transaction: begin, commit, roll back, and work that runs atomically.

DuckDB aborts a transaction in which a statement fails; Snowflake does not. The writes of a transaction are therefore kept in a
journal, from which ``statements.savepoints`` restores it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import failure
from localcloud.snowflake.sessions.journal import Journal, Writers
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sessions.table_locks import TableLocks
from localcloud.snowflake.sql.syntax import Path

_T = TypeVar("_T")


class TransactionHooks(State):
    """How a transaction is committed (``commit``), and what is released at its end (``release``)."""

    def __init__(self, commit: Callable[[Session], None], release: Callable[[Session], None]) -> None:
        self.commit = commit
        self.release = release


def begin(session: Session) -> None:
    """Begin a transaction, unless one is open."""
    if not session.transaction.open:
        session.transaction.journal = Journal(session.account.state(Writers).now())
        session.duck.begin()
        session.transaction.open, session.transaction.statements = True, 0
        session.transaction.id = time.time_ns()


def lock(session: Session, path: Path) -> None:
    """Lock a table until the transaction ends. The first statement of a transaction then sees what others have committed."""
    session.account.state(TableLocks).hold(session, path)
    if session.transaction.open and session.transaction.journal is not None and session.transaction.statements == 1:
        session.duck.rollback()
        session.duck.begin()


def restart(session: Session) -> None:
    """Replace the aborted transaction with a new, empty one."""
    _rollback(session)
    session.duck.begin()


def end(session: Session, *, commit: bool) -> None:
    """COMMIT or ROLLBACK; without an open transaction neither is an error."""
    transaction = session.transaction
    if not transaction.open:
        return
    was_lost = transaction.lost
    transaction.journal, transaction.open = None, False
    if commit and not was_lost:
        _commit(session)
    else:
        _rollback(session)
    if commit and was_lost:
        raise lost()


def commit_before_ddl(session: Session) -> None:
    """Commit the open transaction, as DDL does in Snowflake."""
    end(session, commit=True)


def atomically(session: Session, work: Callable[[], _T]) -> _T:
    """Run ``work`` in the open transaction, or in one of its own."""
    transaction = session.transaction
    if transaction.open:
        return work()
    session.duck.begin()
    transaction.open = True
    try:
        answer = work()
    except BaseException:
        transaction.open = False
        _rollback(session)
        raise
    transaction.open = False
    _commit(session)
    return answer


def release(session: Session) -> None:
    """Release the locks of the session's transaction."""
    session.account.state(TableLocks).release(session)
    session.account.state(TransactionHooks).release(session)


def close(session: Session) -> None:
    """End the session: roll back, and release what features keep for it."""
    with session.lock:
        if session.transaction.open:
            end(session, commit=False)
        session.duck.close()
    session.account.session_closed(session.id)


def lost() -> ProgrammingError:
    return failure(
        90_232,
        "25000",
        "The local Snowflake cannot continue this transaction after a failed statement, "
        "because its writes cannot be run again with the same outcome; roll it back.",
    )


def _commit(session: Session) -> None:
    session.account.state(TransactionHooks).commit(session)


def _rollback(session: Session) -> None:
    try:
        session.duck.rollback()
    finally:
        release(session)
