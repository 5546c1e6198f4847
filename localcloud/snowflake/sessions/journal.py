"""The journal of a transaction's writes, from which the transaction is restored after a failed statement."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.sessions.state import State

_READS = re.compile(r"\s*(SELECT|WITH|SHOW|DESC|DESCRIBE|USE|BEGIN|START|LIST|LS)\b", re.IGNORECASE)


class Writers(State):
    """Tracks which sessions write and when each wrote last, so that a transaction can detect writes of other sessions."""

    def __init__(self) -> None:
        self._counts = itertools.count(1)
        self._active: dict[int, int] = {}
        self._latest: dict[int, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def statement(self, session_id: int, sql: str) -> Iterator[None]:
        """Track the statement while the session runs it."""
        if _READS.match(sql):
            yield
            return
        with self._lock:
            self._active[session_id] = self._active.get(session_id, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._latest[session_id] = next(self._counts)
                self._active[session_id] -= 1
                if not self._active[session_id]:
                    del self._active[session_id]

    def now(self) -> int:
        with self._lock:
            return next(self._counts)

    def others_since(self, session_id: int, since: int) -> bool:
        """Whether another session is writing, or has written since the count ``since``."""
        with self._lock:
            active = any(other != session_id for other in self._active)
            return active or any(at > since for other, at in self._latest.items() if other != session_id)

    def session_closed(self, session_id: int) -> None:
        with self._lock:
            self._latest.pop(session_id, None)


@dataclass(frozen=True)
class Write:
    """A write that has run. ``schema``: the current database and schema. ``bound``: the rows of its array binding."""

    expression: exp.Expr
    schema: tuple[str | None, str | None]
    bound: pa.Table | None

    @property
    def reads(self) -> bool:
        """Whether its outcome depends on the content of tables."""
        values = isinstance(self.expression, exp.Insert) and isinstance(self.expression.expression, exp.Values)
        return not values and self.bound is None


@dataclass
class Journal:
    """The writes of one transaction.

    ``since``: the count of writes at its start. ``repeatable``: whether running the writes again gives the same rows. ``lost``:
    whether a failed statement has aborted the whole transaction.
    """

    since: int
    writes: list[Write] = field(default_factory=list)
    repeatable: bool = True
    lost: bool = False


@dataclass
class Transaction:
    """``open``: whether a transaction has begun. ``journal``: the writes of one that a client began. ``id``: the number of that
    one. ``statements``: how many of its statements have ended, BEGIN among them.
    """

    open: bool = False
    journal: Journal | None = None
    id: int = 0
    statements: int = 0

    @property
    def lost(self) -> bool:
        return self.journal is not None and self.journal.lost
