"""One client's session: its names, its transaction, and the way of a statement to the code that runs it.

In: SQL text and bind values. Out: a ``Result``, or the connector's ``ProgrammingError``. Statements of the project's own
grammar go to a handler in ``statements``; the rest is parsed by sqlglot, rewritten and run by fakesnow's cursor on DuckDB.
The surprise: one session runs one statement at a time, whoever asks; sessions run side by side.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.statement_type import statement_type_id
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from app.local.snowflake import context, dialect, macros, nested_types, parsing, restoring, rewrite
from app.local.snowflake.bindings import Binding, bind, inlined, rows_of, select_rows
from app.local.snowflake.catalog import Path
from app.local.snowflake.duck import DuckConnection
from app.local.snowflake.dynamic import refresh
from app.local.snowflake.failures import INTERNAL, compilation, failure, translate, unsupported
from app.local.snowflake.result import SCL, Result, done, rows_result
from app.local.snowflake.statements import clones, comments, ddl, dml, multijoined
from app.local.snowflake.streams import tables, tracking
from app.local.snowflake.streams.state import Work
from app.local.snowflake.syntax import Name

if TYPE_CHECKING:
    from app.local.snowflake.engine import Engine
    from app.local.snowflake.tasks.state import Run

# What Snowflake would make the later of two writers wait for, DuckDB refuses; so it is tried again this long.
_CONFLICT_LIMIT_S = 20.0
_RUNNABLE = (
    *(exp.Query, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter),
    *(exp.TruncateTable, exp.Describe, exp.Show, exp.Comment, exp.Set),
)
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_DEFINES = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Comment)
# Where the rows of an array binding wait to be inserted.
_BOUND = "_BOUND_ROWS"
_T = TypeVar("_T")
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
        duck.execute(macros.CREATE)
        self.names = FakeSnowflakeConnection(
            duck, {}, None, None, create_database=False, create_schema=False, paramstyle="qmark"
        )
        self.parameters: dict[str, Any] = {"AUTOCOMMIT": autocommit, "TIMEZONE": "Etc/UTC"}
        self.temporary: dict[Path, str] = {}
        self.last_query_id = ""
        self.query_id = ""
        self.statement = ""
        self.in_transaction = False
        self.journal: restoring.Journal | None = None
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
                if self.journal is not None:
                    restoring.restore(self, self.journal)
                self.engine.observe(sql, told)
                outcome = told
                raise told from error
            finally:
                self.engine.history.end(record, outcome)
                self.consumes = False
                if not self.in_transaction:
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
                return self._dispatch(sql, bindings, describe_only)
            except (duckdb.TransactionException, ProgrammingError) as error:
                if self.in_transaction or not _is_conflict(error) or time.monotonic() > deadline:
                    raise
                time.sleep(min(0.01 * 2**attempt, 0.5))
        raise AssertionError("unreachable")

    def _dispatch(self, sql: str, bindings: dict[str, Binding] | None, describe_only: bool) -> Result:
        if self.journal is not None and self.journal.lost and not parsing.ends_transaction(sql):
            raise restoring.lost()
        sql = parsing.unscoped(sql)
        if parsing.starts_transaction(sql):
            return self.begin()
        if not describe_only:
            refresh.refresh_due(self)
        if dialect.recognises(sql):
            statement = dialect.parse_statement(inlined(sql, bindings))
            if describe_only:
                return dialect.describe(self, statement)
            if self.journal is not None and parsing.loads(sql):
                self.journal.repeatable = False
            return dialect.run(self, statement)
        expression = parsing.parse(parsing.with_variables(sql, self.names.variables._variables))
        if isinstance(expression, exp.Set):
            self.names.variables.update_variables(bind(expression, bindings))
            return done(SCL)
        if isinstance(expression, exp.Commit | exp.Rollback):
            return self.end(commit=isinstance(expression, exp.Commit))
        if not isinstance(expression, _RUNNABLE) or isinstance(expression, exp.Command):
            raise unsupported(f"the statement {_head(sql)}")
        rows = rows_of(bindings)
        if describe_only:
            return self._describe(bind(expression, None))
        if rows is not None:
            return self._run_many(expression, rows)
        return self.run_expression(bind(expression, bindings))

    def run_expression(self, expression: exp.Expr) -> Result:
        """Run a statement that sqlglot parsed, in the dialect of Snowflake."""
        self.consumes = isinstance(expression, _WRITES) or (
            isinstance(expression, exp.Create)
            and isinstance(expression.expression, exp.Query)
            and _makes_table(expression)
        )
        target = tracking.target(self, expression)
        refresh.guard(self, expression)
        if not isinstance(expression, _DEFINES):
            if isinstance(expression, _WRITES) and not self.parameters["AUTOCOMMIT"]:
                self._begin_if_needed()
            return self._journaled(expression, lambda: self._run_rewritten(expression, target))
        self.commit_before_ddl()
        if isinstance(expression, exp.Comment):
            return comments.run(self, expression)
        if tables.only_retention(self, expression):
            return done()
        followed = tables.followed(self, expression)
        if (ready := ddl.shortcut(self, expression) or clones.run(self, expression)) is not None:
            if isinstance(expression, exp.Drop) or expression.args.get("replace"):
                followed()
                refresh.forget_lost(self)
            return ready
        result = self._run_rewritten(ddl.prepare(self, expression), target)
        followed()
        refresh.forget_lost(self)
        return result

    def _journaled(self, expression: exp.Expr, work: Callable[[], Result]) -> Result:
        """Run a write and keep it, so that the transaction outlives the failure of a later statement."""
        journal = self.journal
        if journal is None or not isinstance(expression, _WRITES):
            return work()
        kept = expression.copy()
        result = work()
        journal.note(self, kept)
        return result

    def _run_rewritten(self, expression: exp.Expr, target: Path | None) -> Result:
        type_id, inserts = statement_type_id(expression), tracking.only_inserts(expression)
        written = expression.copy() if isinstance(expression, exp.Describe | exp.Create | exp.Alter) else expression
        nested = nested_types.of_statement(self, expression)
        expression = rewrite.prepare(expression, self)

        def work() -> Result:
            if isinstance(expression, exp.Merge):
                return dml.merge(self, expression)
            several = multijoined.count(self, expression)
            result = self.run_prepared(expression, type_id)
            nested_types.keep(self, written, nested)
            result = nested_types.shown(self, written, result, nested)
            if several:
                result = multijoined.reported(result, several)
            if isinstance(expression, exp.Show):
                return comments.shown(self, expression, result)
            return ddl.finish(self, expression) or result

        together = isinstance(expression, exp.Merge) or expression.args.get("overwrite") or self.stream_work.consumed
        if not together:
            return tracking.recorded(self, target, work, inserts=inserts)
        return self.atomically(lambda: tracking.recorded(self, target, work, inserts=inserts))

    def run_prepared(self, expression: exp.Expr, type_id: int) -> Result:
        """The part after the rewriting: fakesnow's transforms, DuckDB, the answer as Snowflake words it."""
        cursor = self._cursor()
        cursor.check_db_and_schema(expression)
        for part in cursor._transform_explode(expression):
            transformed = cursor._transform(part, None)
            parsing.refuse_losses(transformed)
            cursor._execute(transformed, None)
        return Result(cursor._arrow_table, tuple(self.duck.types), type_id)

    def duck_sql(self, expression: exp.Expr) -> str:
        """A rewritten statement in DuckDB's dialect."""
        cursor = self._cursor()
        cursor.check_db_and_schema(expression)
        transformed = cursor._transform(expression, None)
        parsing.refuse_losses(transformed)
        sql: str = transformed.sql(dialect="duckdb")
        return sql

    def query_sql(self, query: str) -> str:
        """A SELECT of Snowflake's dialect in DuckDB's."""
        expression = parsing.parse(query)
        if not isinstance(expression, exp.Query):
            raise compilation(1003, "42000", "syntax error: a query is expected.")
        return self.duck_sql(rewrite.prepare(expression, self))

    def _describe(self, expression: exp.Expr) -> Result:
        type_id = statement_type_id(expression)
        if (columns := dml.result_columns(expression)) is not None:
            return rows_result(columns, [], type_id)
        if not isinstance(expression, exp.Query | exp.Values | exp.Show | exp.Describe):
            return rows_result([("status", "text")], [], type_id)
        if isinstance(expression, exp.Describe):
            result = self.run_expression(expression)
            return Result(result.table.slice(0, 0), result.types, type_id)
        nested = nested_types.of_statement(self, expression)
        sql = self.duck_sql(rewrite.prepare(expression, self))
        self.duck.execute(f"SELECT * FROM ({sql}) LIMIT 0")
        return Result(self.duck.to_arrow_table(), tuple(self.duck.types), type_id, nested=nested)

    def _run_many(self, expression: exp.Expr, rows: pa.Table) -> Result:
        """An array binding: one statement, many rows, all or none of them."""
        if not isinstance(expression, exp.Insert):
            raise unsupported("array binding in statements other than INSERT")
        return self.run_bound(select_rows(expression, f"temp.main.{_BOUND}"), rows)

    def run_bound(self, expression: exp.Expr, rows: pa.Table) -> Result:
        """Run a statement that reads the rows of an array binding."""
        self.duck.store(_BOUND, rows, "SELECT *")
        self.bound = rows
        try:
            return self.run_expression(expression)
        finally:
            self.bound = None
            with suppress(duckdb.TransactionException):
                self.duck.execute(f"DROP TABLE temp.main.{_BOUND}")

    def _cursor(self) -> Any:
        return FakeSnowflakeCursor(self.names, self.duck)

    def begin(self) -> Result:
        self._begin_if_needed()
        return done(0x5000)

    def _begin_if_needed(self) -> None:
        if not self.in_transaction:
            self.journal = restoring.Journal(self.engine.writers.now())
            self.duck.begin()
            self.in_transaction = True

    def restart(self) -> None:
        """Leave the aborted transaction for a new one, which has nothing of it."""
        self._rollback()
        self.duck.begin()

    def end(self, *, commit: bool) -> Result:
        """COMMIT or ROLLBACK; without a transaction neither is an error."""
        if self.in_transaction:
            journal, self.journal, self.in_transaction = self.journal, None, False
            lost = journal is not None and journal.lost
            (self._commit if commit and not lost else self._rollback)()
            if commit and lost:
                raise restoring.lost()
        return done(0x5000)

    def commit_before_ddl(self) -> None:
        """DDL ends the open transaction by committing it."""
        self.end(commit=True)

    def atomically(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in the open transaction, or in one of its own."""
        if self.in_transaction:
            return work()
        self.duck.begin()
        self.in_transaction = True
        try:
            answer = work()
        except BaseException:
            self.in_transaction = False
            self._rollback()
            raise
        self.in_transaction = False
        self._commit()
        return answer

    def _commit(self) -> None:
        self.engine.streams.commit(self)

    def _rollback(self) -> None:
        try:
            self.duck.rollback()
        finally:
            self.engine.streams.release(self)

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
            if self.in_transaction:
                self.end(commit=False)
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


def _makes_table(expression: exp.Create) -> bool:
    return str(expression.args.get("kind")).upper() == "TABLE"


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


def _head(sql: str) -> str:
    words = sql.upper().split()
    return " ".join(words[:2])[:60] or "''"
