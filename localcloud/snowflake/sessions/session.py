"""One client's session: who it is, what is current, and the frame around each of its statements.

In: SQL text and bind values. Out: a ``Result``, or the connector's ``ProgrammingError``, written into the history; ``execution``
runs the statement itself, and ``transaction`` says what it leaves behind. The surprise: one session runs one statement at a
time, whoever asks; sessions run side by side.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from fakesnow.conn import FakeSnowflakeConnection
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import INTERNAL, compilation, failure, translate
from localcloud.snowflake.functions import semi_structured_macros
from localcloud.snowflake.objects.catalog import Path
from localcloud.snowflake.objects.streams.state import Work
from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions import context, savepoints
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.transaction import Transaction
from localcloud.snowflake.sql.bindings import Binding
from localcloud.snowflake.sql.syntax import Name
from localcloud.snowflake.statements.runner import Execution

if TYPE_CHECKING:
    from localcloud.snowflake.objects.tasks.state import Run
    from localcloud.snowflake.sessions.account import Engine

# What Snowflake would make the later of two writers wait for, DuckDB refuses; so it is tried again this long.
_CONFLICT_LIMIT_S = 20.0
_session_ids = itertools.count(4_500_000_001)


class Session:
    """``role``, ``warehouse``, ``parameters``: what the session's USE and ALTER SESSION set."""

    def __init__(self, engine: Engine, user: str, duck: DuckConnection, *, role: str, autocommit: bool) -> None:
        self.engine = engine
        self.user = user
        self.role = role
        self.warehouse: str | None = None
        self.id = next(_session_ids)
        self.duck = duck
        duck.execute(semi_structured_macros.CREATE)
        self.names = FakeSnowflakeConnection(
            duck, {}, None, None, create_database=False, create_schema=False, paramstyle="qmark"
        )
        self.parameters: dict[str, Any] = {"AUTOCOMMIT": autocommit, "TIMEZONE": "Etc/UTC"}
        self.temporary: dict[Path, str] = {}
        self.last_query_id = ""
        self.query_id = ""
        self.statement = ""
        self.transaction = Transaction(self)
        self.execution = Execution(self)
        # The rows of the array binding that runs.
        self.bound: pa.Table | None = None
        self.cleanup = ExitStack()
        self.stream_work = Work()
        # Whether the statement that runs moves the offsets of the streams that it reads.
        self.consumes = False
        self.task_run: Run | None = None
        # Whether this session makes the rows of a dynamic table, which nobody else may write.
        self.maintains = False
        self._lock = threading.Lock()

    @property
    def database(self) -> str | None:
        found: str | None = self.names.database
        return found

    @property
    def schema(self) -> str | None:
        found: str | None = self.names.schema
        return found

    def run(
        self,
        sql: str,
        bindings: dict[str, Binding] | None,
        *,
        query_id: str,
        describe_only: bool = False,
        tag: str | None = None,
    ) -> Result:
        """Run one statement; a failure leaves the session usable. ``tag``: its own query tag, instead of the session's."""
        with self._lock:
            return self._run(sql, bindings, query_id, describe_only, tag)

    def run_nested(
        self,
        sql: str,
        bindings: dict[str, Binding] | None,
        *,
        query_id: str,
        describe_only: bool = False,
        tag: str | None = None,
    ) -> Result:
        """Run one statement for a procedure while its CALL, which holds the lock, waits for it."""
        outer = self.query_id, self.statement
        try:
            return self._run(sql, bindings, query_id, describe_only, tag)
        finally:
            self.query_id, self.statement = outer

    def _run(
        self, sql: str, bindings: dict[str, Binding] | None, query_id: str, describe_only: bool, tag: str | None
    ) -> Result:
        self.query_id, self.statement = query_id, sql
        record = None if describe_only else self.engine.history.begin(self, sql, tag)
        outcome: Result | ProgrammingError = failure(INTERNAL, "XX000", "The local Snowflake failed on this statement.")
        with self.engine.query(self) as query, self.engine.writers.statement(self, sql):
            try:
                self._announce()
                result = self._guarded(sql, bindings, describe_only)
                self.engine.results.keep(query_id, self.user, result)
                self.engine.observe(sql, None)
                outcome = result
                return result
            except (duckdb.Error, ProgrammingError) as error:
                told = query.failure or _as_snowflake(error)
                if (journal := self.transaction.journal) is not None:
                    savepoints.restore(self, journal)
                self.engine.observe(sql, told)
                outcome = told
                raise told from error
            finally:
                self.engine.history.end(record, outcome)
                self.consumes = False
                if not self.transaction.open:
                    self.engine.streams.release(self)
                self.last_query_id = query_id
                self.cleanup.close()

    def scratch(self) -> FilePath:
        """A folder that lives as long as the statement that runs."""
        folder = TemporaryDirectory(prefix="scratch-", dir=self.engine.staging.folder)
        return FilePath(self.cleanup.enter_context(folder))

    def drop_view(self, name: str) -> None:
        """Drop a view of the running statement's own; an aborted transaction takes it along anyway."""
        with suppress(duckdb.Error):
            self.duck.execute(f'DROP VIEW IF EXISTS temp.main."{name}"')

    def _announce(self) -> None:
        """Tell DuckDB what CURRENT_USER() and the like answer, also inside views, and which query calls a function."""
        fields = ", ".join(f"'{name}': {_text(value)}" for name, value in context.context_values(self).items())
        try:
            self.duck.execute(f"SET VARIABLE {context.CONTEXT} = {{{fields}}}")
        except duckdb.TransactionException:
            # An aborted transaction takes ROLLBACK only; that needs no context.
            return

    def _guarded(self, sql: str, bindings: dict[str, Binding] | None, describe_only: bool) -> Result:
        deadline = time.monotonic() + _CONFLICT_LIMIT_S
        for attempt in itertools.count():
            try:
                return self.execution.run(sql, bindings, describe_only)
            except (duckdb.TransactionException, ProgrammingError) as error:
                if self.transaction.open or not _is_conflict(error) or time.monotonic() > deadline:
                    raise
                time.sleep(min(0.01 * 2**attempt, 0.5))
        raise AssertionError("unreachable")

    def path(self, name: Name) -> Path:
        """``name`` with this session's database and schema filled in."""
        database, schema = name.database or self.database, name.schema or self.schema
        if database is None:
            raise _no_current("database", "USE DATABASE", 90_105)
        if schema is None:
            raise _no_current("schema", "USE SCHEMA", 90_106)
        return database, schema, name.name

    def use(self, database: str, schema: str | None) -> None:
        """Make them current; the caller has checked that they exist."""
        self.duck.execute(f"SET schema = '{_quoted(database)}.{_quoted(schema or 'main')}'")
        self.names.database, self.names.database_set = database, True
        self.names._schema, self.names.schema_set = schema, schema is not None

    def leave_database(self) -> None:
        """Make nothing current, because the current database is about to go."""
        self.duck.execute("SET schema = 'memory.main'")
        self.names.database = self.names._schema = None
        self.names.database_set = self.names.schema_set = False

    def close(self) -> None:
        with self._lock:
            if self.transaction.open:
                self.transaction.end(commit=False)
            self.duck.close()


def _as_snowflake(error: Exception) -> ProgrammingError:
    cause = error if isinstance(error, duckdb.Error) else error.__cause__
    if isinstance(cause, duckdb.Error):
        return translate(cause)
    assert isinstance(error, ProgrammingError)
    return error


def _is_conflict(error: Exception) -> bool:
    cause = error if isinstance(error, duckdb.Error) else error.__cause__
    return isinstance(cause, duckdb.TransactionException) and "onflict" in str(cause)


def _no_current(what: str, cure: str, code: int) -> ProgrammingError:
    return compilation(
        code,
        "22000",
        f"Cannot perform the statement. This session does not have a current {what}. Call '{cure}', or use a qualified name.",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("'", "''") + '"'


def _text(value: str | None) -> str:
    return "NULL::VARCHAR" if value is None else "'" + value.replace("'", "''") + "'"
