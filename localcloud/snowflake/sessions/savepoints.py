"""A statement that fails inside a transaction takes back itself alone; DuckDB would abort the transaction.

In: the writes of the open transaction. Out: a new DuckDB transaction that holds the same writes. The surprise: they are run
again, so where that could come out otherwise (volatile calls, another session's writes) the transaction stays aborted.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import failure
from localcloud.snowflake.statements.rewriting import table_name

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.session import Session

_READS = re.compile(r"\s*(SELECT|WITH|SHOW|DESC|DESCRIBE|USE|BEGIN|START|LIST|LS)\b", re.IGNORECASE)
# Calls that answer otherwise when they are run again, and what is read from outside the database.
_VOLATILE = re.compile(
    r"\b(RANDOM|RAND|SEQ[1248]|UNIFORM|NORMAL|ZIPF|RANDSTR|UUID_STRING|NEXTVAL|SYSDATE|GETDATE|SYSTIMESTAMP|LOCALTIME\w*|"
    r"CURRENT_(DATE|TIME|TIMESTAMP|TRANSACTION|STATEMENT)|SAMPLE|TABLESAMPLE|RESULT_SCAN|"
    r"LAST_QUERY_ID|INFORMATION_SCHEMA)\b|@|SYSTEM\$",
    re.IGNORECASE,
)
_DEFAULTS = "SELECT bool_or(contains(column_default, '(')) FROM duckdb_columns() WHERE table_name = ?"


class Writers:
    """Which sessions write, and how many writes there were, so that a transaction knows whether it was alone."""

    def __init__(self) -> None:
        self._counts = itertools.count(1)
        self._active: dict[Session, int] = {}
        self._latest: dict[Session, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def statement(self, session: Session, sql: str) -> Iterator[None]:
        if _READS.match(sql):
            yield
            return
        with self._lock:
            self._active[session] = self._active.get(session, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._latest[session] = next(self._counts)
                self._active[session] -= 1
                if not self._active[session]:
                    del self._active[session]

    def now(self) -> int:
        with self._lock:
            return next(self._counts)

    def others_since(self, session: Session, since: int) -> bool:
        """Whether another session writes, or has written since the count ``since``."""
        with self._lock:
            active = any(other is not session for other in self._active)
            return active or any(at > since for other, at in self._latest.items() if other is not session)

    def forget(self, session: Session) -> None:
        with self._lock:
            self._latest.pop(session, None)


@dataclass(frozen=True)
class _Write:
    expression: exp.Expr
    place: tuple[str | None, str | None]
    bound: pa.Table | None

    @property
    def reads(self) -> bool:
        """Whether its outcome depends on what is in the tables."""
        values = isinstance(self.expression, exp.Insert) and isinstance(self.expression.expression, exp.Values)
        return not values and self.bound is None


@dataclass
class Journal:
    """The writes of one transaction. ``repeatable``: whether running them again gives the same rows."""

    since: int
    writes: list[_Write] = field(default_factory=list)
    repeatable: bool = True
    # Whether a failed statement has taken the whole transaction with it.
    lost: bool = False

    def note(self, session: Session, expression: exp.Expr) -> None:
        """Keep a write that has run; ``expression``: as it was before the rewriting."""
        self.repeatable = self.repeatable and _repeatable(session, expression)
        self.writes.append(_Write(expression, (session.database, session.schema), session.bound))


def restore(session: Session, journal: Journal) -> None:
    """After a failure: the transaction as it was before the statement, or ``journal.lost``."""
    if journal.lost or not _aborted(session):
        return
    session.transaction.restart()
    if not journal.repeatable:
        journal.lost = True
        return
    here = (session.database, session.schema)
    # Nothing is kept twice.
    session.transaction.journal = None
    try:
        for write in journal.writes:
            _place(session, write.place)
            _run(session, write)
    except (duckdb.Error, ProgrammingError):
        journal.lost = True
    session.transaction.journal = journal
    _place(session, here)
    reads = any(write.reads for write in journal.writes)
    if reads and session.engine.writers.others_since(session, journal.since):
        journal.lost = True


def _run(session: Session, write: _Write) -> None:
    expression = write.expression.copy()
    if write.bound is None:
        session.execution.run_expression(expression)
    else:
        session.execution.run_bound(expression, write.bound)


def lost() -> ProgrammingError:
    return failure(
        90_232,
        "25000",
        "The local Snowflake cannot go on in this transaction after a failed statement, "
        "because its writes cannot be run again with the same outcome; roll it back.",
    )


def _aborted(session: Session) -> bool:
    try:
        session.duck.execute("SELECT 1").fetchall()
    except duckdb.TransactionException:
        return True
    return False


def _place(session: Session, place: tuple[str | None, str | None]) -> None:
    database, schema = place
    if database is not None and (session.database, session.schema) != place:
        session.use(database, schema)


def _repeatable(session: Session, expression: exp.Expr) -> bool:
    if _VOLATILE.search(expression.sql(dialect="snowflake")):
        return False
    functions = {function.path[2] for function in session.engine.user_functions.all()}
    if any(str(call.this).upper() in functions for call in expression.find_all(exp.Anonymous)):
        return False
    return all(_plain(session, table) for table in expression.find_all(exp.Table))


def _plain(session: Session, table: exp.Table) -> bool:
    """Whether it is no view, which could hide a volatile call, and computes no defaults."""
    name = table_name(table)
    if not name.name:
        return False
    if name.database == "TEMP":
        return True
    path = session.path(name)
    if path not in session.temporary and session.engine.names.kind(path) == "VIEW":
        return False
    (computed,) = session.duck.execute(_DEFAULTS, [name.name]).fetchall()[0]
    return not computed
