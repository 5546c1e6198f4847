"""Streams of one server: tracked tables, offsets, and locks of readers and writers.

Sessions wait where Snowflake would lock, and offsets advance exactly with a commit. Versions are assigned during the
commit, one commit at a time: versions assigned earlier could become visible out of order, and a stream would skip one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb

from localcloud.snowflake.clock import Clock
from localcloud.snowflake.failures import failure
from localcloud.snowflake.objects.store import SchemaObject, Store
from localcloud.snowflake.objects.streams import change_log
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path

# Upper limit of the wait for a lock. Snowflake's default for LOCK_TIMEOUT is 12 hours, which is too long for a local
# server.
LOCK_LIMIT_S = 20.0
DEFAULT_RETENTION_DAYS = 1
DEFAULT_EXTENSION_DAYS = 14


@dataclass(eq=False)
class TrackedTable:
    """``path`` is the table's current path. ``dropped`` stays true once the table was dropped or replaced."""

    path: Path
    names: change_log.Names
    columns: tuple[str, ...]
    dropped: bool = False


@dataclass(eq=False, kw_only=True)
class Stream(SchemaObject):
    """``offset`` is the version up to which the stream was consumed, or -1 if its initial rows were not consumed yet."""

    number: int
    table: TrackedTable
    append_only: bool
    offset: int
    moment: datetime
    resumes_at: int
    holder: Session | None = None

    @property
    def variable(self) -> str:
        return f"localcloud_stream_{self.number}"


@dataclass
class Work:
    """State of a session's transaction: written tables, consumed streams, and the number of its statements."""

    written: set[Path] = field(default_factory=set)
    staged: dict[int, TrackedTable] = field(default_factory=dict)
    consumed: set[int] = field(default_factory=set)
    statements: int = 0


class Streams(State):
    """Registry of tracked tables and streams. Public methods are thread-safe."""

    def __init__(self, clock: Clock, objects: Store[Stream]) -> None:
        self.clock = clock
        self.objects = objects
        self._changed = threading.Condition(objects.lock)
        self._committing = threading.RLock()
        self._tables: dict[Path, TrackedTable] = {}
        self._views: dict[Path, frozenset[Stream]] = {}
        self._retention: dict[Path, dict[str, int]] = {}
        self._writers: Counter[Path] = Counter()
        self._starting: set[Path] = set()
        self._version = 0
        self._numbers = 0

    def next_number(self) -> int:
        with self._changed:
            self._numbers += 1
            return self._numbers

    def begin_write(self, session: Session, path: Path) -> TrackedTable | None:
        """Register a write of the table in the session's transaction; returns the tracked table if it has streams."""
        with self._changed:
            self._wait(session, lambda: path not in self._starting)
            if path not in session.states.get(Work).written:
                session.states.get(Work).written.add(path)
                self._writers[path] += 1
            return self._tables.get(path)

    @contextmanager
    def starting(self, session: Session, path: Path) -> Iterator[TrackedTable | None]:
        """The tracked table, or ``None`` once no other transaction is writing the table and the caller may start
        tracking it."""
        with self._changed:
            self._wait(session, lambda: path not in self._starting)
            if (known := self._tables.get(path)) is None:
                self._starting.add(path)
        if known is not None:
            yield known
            return
        try:
            with self._changed:
                self._wait(session, lambda: self._writers[path] == 0)
            yield None
        finally:
            with self._changed:
                self._starting.discard(path)
                self._changed.notify_all()

    def _wait(self, session: Session, ready: Callable[[], bool]) -> None:
        limit = min(float(session.parameters.get("LOCK_TIMEOUT", LOCK_LIMIT_S)), LOCK_LIMIT_S)
        deadline = time.monotonic() + limit
        while not ready():
            if not self._changed.wait(max(0.0, deadline - time.monotonic())) and not ready():
                raise failure(
                    625,
                    "57014",
                    f"Statement '{session.query_id}' waited {limit:g} seconds for a table or stream that another transaction "
                    "has locked.",
                )

    def track(self, table: TrackedTable) -> None:
        with self._changed:
            self._tables[table.path] = table

    def tracked(self, path: Path) -> TrackedTable | None:
        with self._changed:
            return self._tables.get(path)

    def lose(self, matches: Callable[[Path], bool]) -> None:
        """Remove tables that were dropped or replaced; their streams can no longer be read."""
        with self._changed:
            for path in [path for path in self._tables if matches(path)]:
                self._tables.pop(path).dropped = True
            for path in [path for path in self._retention if matches(path)]:
                del self._retention[path]

    def rename(self, old: Path, new: Path) -> None:
        with self._changed:
            if (table := self._tables.pop(old, None)) is not None:
                table.path = new
                self._tables[new] = table
            if old in self._retention:
                self._retention[new] = self._retention.pop(old)

    def set_retention(self, path: Path, days: dict[str, int]) -> None:
        with self._changed:
            self._retention.setdefault(path, {}).update(days)

    def stale_after(self, stream: Stream) -> datetime:
        """The time at which the stream becomes stale. Snowflake extends a short retention for streams, so the longer
        period counts."""
        with self._changed:
            days = self._retention.get(stream.table.path, {})
        kept = max(
            days.get("DATA_RETENTION_TIME_IN_DAYS", DEFAULT_RETENTION_DAYS),
            days.get("MAX_DATA_EXTENSION_TIME_IN_DAYS", DEFAULT_EXTENSION_DAYS),
        )
        return stream.moment + timedelta(days=kept)

    def is_stale(self, stream: Stream) -> bool:
        return stream.table.dropped or self.clock.now() > self.stale_after(stream)

    def renew(self, stream: Stream) -> None:
        """Move the stream's staleness forward, as a check of an empty stream does."""
        with self._changed:
            stream.moment = self.clock.now()

    def on(self, table: TrackedTable) -> list[Stream]:
        return [stream for stream in self.objects.all() if stream.table is table]

    def remember_view(self, path: Path, streams: frozenset[Stream]) -> None:
        with self._changed:
            self._views.pop(path, None)
            if streams:
                self._views[path] = streams

    def behind(self, path: Path) -> frozenset[Stream]:
        """The stream of that name, or the streams that a view reads."""
        with self._changed:
            if (stream := self.objects.at(path)) is not None:
                return frozenset({stream})
            return self._views.get(path, frozenset())

    def hold(self, session: Session, stream: Stream) -> None:
        """Lock the stream for the session until its transaction ends."""
        with self._changed:
            self._wait(session, lambda: stream.holder in (None, session))
            stream.holder = session

    @contextmanager
    def version(self) -> Iterator[int]:
        """The latest version; blocks commits in the meantime."""
        with self._committing:
            yield self._version

    def commit(self, session: Session) -> None:
        """Publish the transaction's changes, commit, and advance the offsets of the streams that it consumed."""
        try:
            upto = {stream.number: _newest(session, stream) for stream in self._consumed(session)}
            self._publish(session)
            with self._changed:
                for stream in self._consumed(session):
                    self._advance(stream, upto[stream.number])
        except BaseException:
            # If DuckDB rejected the commit, there is no transaction to roll back.
            with suppress(duckdb.TransactionException):
                session.duck.rollback()
            raise
        finally:
            self.release(session)

    def _publish(self, session: Session) -> None:
        staged = session.states.get(Work).staged
        if not staged:
            session.duck.commit()
            return
        with self._committing:
            self._version += 1
            for table in staged.values():
                for statement in change_log.publish(table.names, self._version):
                    session.duck.execute(statement)
            session.duck.commit()

    def _consumed(self, session: Session) -> list[Stream]:
        return [stream for stream in self.objects.all() if stream.number in session.states.get(Work).consumed]

    def _advance(self, stream: Stream, upto: int) -> None:
        """Advance the offset. After its initial rows, a stream continues from the version at which it was created."""
        stream.offset = stream.resumes_at if stream.offset < 0 else max(stream.offset, upto)
        stream.moment = self.clock.now()

    def release(self, session: Session) -> None:
        """Release the locks and the state of a transaction that has ended."""
        with self._changed:
            for path in session.states.get(Work).written:
                self._writers[path] -= 1
            for stream in self.objects.all():
                if stream.holder is session:
                    stream.holder = None
            session.states.put(Work())
            self._changed.notify_all()


def _newest(session: Session, stream: Stream) -> int:
    """The latest version visible to the session's transaction."""
    session.duck.execute(change_log.newest(stream.table.names))
    return int(session.duck.fetchall()[0][0])
