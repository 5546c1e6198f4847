"""Running statements, which can be cancelled by their id and end at their timeout."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import failure
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State, States


@dataclass
class Query:
    """A running statement.

    ``failure``: the error that the client gets, set by a function that DuckDB calls; the type of an exception is lost on its way
    through DuckDB. ``states``: what features keep for the query, used under ``lock``; closed at its end.
    """

    session: Session
    query_id: str
    failure: ProgrammingError | None = None
    states: States = field(default_factory=States)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, error: ProgrammingError) -> None:
        """Set the failure, unless an earlier one is set."""
        self.failure = self.failure or error

    def cancel(self) -> None:
        self._end(failure(604, "57014", "SQL execution canceled"))

    def time_out(self, limit_s: int | None) -> None:
        text = f"Statement reached its statement or warehouse timeout of {limit_s} second(s) and was canceled."
        self._end(failure(630, "57014", text))

    def _end(self, error: ProgrammingError) -> None:
        self.fail(error)
        self.ended.set()
        self.session.duck.interrupt()
        self.session.account.query_cancelled(self.session.id)


class Queries(State):
    """The running statements of an account, by query id."""

    def __init__(self) -> None:
        self._running: dict[str, Query] = {}
        # Cancelled before the statement that asks for it has begun.
        self._early: set[str] = set()

    @contextmanager
    def run(self, session: Session, limit_s: int | None) -> Iterator[Query]:
        """Register the session's statement while it runs; after ``limit_s`` seconds it is cancelled."""
        query = Query(session, session.query_id)
        self._running[query.query_id] = query
        timer = threading.Timer(limit_s, query.time_out, [limit_s]) if limit_s else None
        if timer:
            timer.daemon = True
            timer.start()
        try:
            yield query
        finally:
            if timer:
                timer.cancel()
            for state in query.states:
                state.close()
            del self._running[query.query_id]

    def __getitem__(self, query_id: str) -> Query:
        return self._running[query_id]

    def __iter__(self) -> Iterator[Query]:
        return iter(list(self._running.values()))

    @contextmanager
    def function_call(self, query_id: str) -> Iterator[Query]:
        """The query that calls a function. An error in the block becomes the query's failure, because DuckDB loses the type of
        an exception that a function raises."""
        query = self[query_id]
        try:
            yield query
        except ProgrammingError as error:
            query.fail(error)
            raise

    def wait(self, session: Session, seconds: float) -> None:
        """Wait, or raise the failure of the session's statement as soon as it is cancelled."""
        self[session.query_id].ended.wait(seconds)
        self.check(session)

    def check(self, session: Session) -> None:
        """Raise the failure of the session's statement, if it was cancelled."""
        query = self._running.get(session.query_id)
        if query is not None and query.failure is not None:
            raise query.failure

    def cancel_early(self, query_id: str) -> None:
        """Cancel one statement before ``cancel`` is called for it, which has to wait for the session's running statement."""
        query = self._running.get(query_id)
        if query is not None:
            self._early.add(query_id)
            query.cancel()

    def cancel(self, query_id: str) -> str:
        """Cancel one statement; the result is Snowflake's answer."""
        query = self._running.get(query_id)
        if query is not None:
            query.cancel()
        elif query_id in self._early:
            self._early.discard(query_id)
        else:
            return "Identified SQL statement is not currently executing."
        return f"query [{query_id}] terminated."

    def cancel_session(self, session_id: int, *, but: Session) -> None:
        """Cancel the statements of a session, except ``but``."""
        for query in self:
            if query.session.id == session_id and query.session is not but:
                query.cancel()

    def cancel_all(self) -> None:
        for query in self:
            query.cancel()
