"""One session's transaction: how it begins and ends, and what runs in it whole or not at all.

In: BEGIN, COMMIT, ROLLBACK, and work that must not be seen half done. Out: DuckDB's transaction, and streams whose offsets move
with it. The surprise: DuckDB aborts a transaction in which a statement failed and Snowflake does not, so its writes are kept in a
journal, for ``restoring``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from localcloud.snowflake.sessions import savepoints

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.session import Session

_T = TypeVar("_T")


class Transaction:
    """``open``: whether a transaction has begun. ``journal``: the writes of one that a client began."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.open = False
        self.journal: savepoints.Journal | None = None

    @property
    def lost(self) -> bool:
        """Whether a failed statement has taken the whole transaction with it."""
        return self.journal is not None and self.journal.lost

    def begin(self) -> None:
        """Begin one, unless one is open."""
        if not self.open:
            self.journal = savepoints.Journal(self._session.engine.writers.now())
            self._session.duck.begin()
            self.open = True

    def restart(self) -> None:
        """Leave the aborted transaction for a new one, which has nothing of it."""
        self._rollback()
        self._session.duck.begin()

    def end(self, *, commit: bool) -> None:
        """COMMIT or ROLLBACK; without a transaction neither is an error."""
        if self.open:
            lost = self.lost
            self.journal, self.open = None, False
            (self._commit if commit and not lost else self._rollback)()
            if commit and lost:
                raise savepoints.lost()

    def commit_before_ddl(self) -> None:
        """DDL ends the open transaction by committing it."""
        self.end(commit=True)

    def atomically(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in the open transaction, or in one of its own."""
        if self.open:
            return work()
        self._session.duck.begin()
        self.open = True
        try:
            answer = work()
        except BaseException:
            self.open = False
            self._rollback()
            raise
        self.open = False
        self._commit()
        return answer

    def _commit(self) -> None:
        self._session.engine.streams.commit(self._session)

    def _rollback(self) -> None:
        try:
            self._session.duck.rollback()
        finally:
            self._session.engine.streams.release(self._session)
