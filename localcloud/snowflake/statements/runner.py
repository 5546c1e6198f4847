"""Runs the statements of an account's sessions: lock, history, timeout, retries, and the transaction after a failure."""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Callable

import duckdb
import pyarrow as pa
from snowflake.connector.errors import DatabaseError, ProgrammingError
from sqlglot import exp
from sqlglot.errors import SqlglotError

from localcloud.snowflake.failures import INTERNAL, as_written, failure, translate, unsupported
from localcloud.snowflake.functions import context
from localcloud.snowflake.objects.account.catalog import Catalog
from localcloud.snowflake.objects.account.parameters import timeout_s
from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.journal import Writers
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.query_history import QueryHistory, Record
from localcloud.snowflake.sessions.result_cache import ResultCache
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.bindings import Binding
from localcloud.snowflake.sql.identifiers import text_literal
from localcloud.snowflake.sql.statement_names import statement_name
from localcloud.snowflake.statements import savepoints
from localcloud.snowflake.statements.execution import Execution

log = logging.getLogger(__name__)

# When two transactions write the same rows, Snowflake makes the later one wait. DuckDB rejects it, so it is retried this long.
_CONFLICT_LIMIT_S = 20.0

_CANCEL = re.compile(r"\s*(?:SELECT|CALL)\s+SYSTEM\$CANCEL_QUERY\s*\(\s*'([^']*)'\s*\)\s*;?\s*", re.IGNORECASE)

# Called with each statement that has ended, and its error.
Observer = Callable[[str, ProgrammingError | None], None]


class StatementRunner:
    """Implements ``sessions.runner.Runner``. Sessions run concurrently; each session runs one statement at a time."""

    def __init__(self, account: Account, observe: Observer) -> None:
        self._account = account
        self._observe = observe
        self._execution = Execution(self)

    def run(
        self,
        session: Session,
        sql: str,
        bindings: dict[str, Binding] | None = None,
        *,
        query_id: str,
        describe_only: bool = False,
        tag: str | None = None,
    ) -> Result:
        if (cancelling := _CANCEL.fullmatch(sql)) is not None:
            self._account.state(Queries).cancel_early(cancelling[1])
        with session.lock:
            return self._run(session, sql, bindings, query_id, describe_only, tag)

    def run_nested(
        self,
        session: Session,
        sql: str,
        bindings: dict[str, Binding] | None,
        *,
        query_id: str,
        describe_only: bool = False,
        tag: str | None = None,
    ) -> Result:
        outer = session.query_id, session.statement
        try:
            return self._run(session, sql, bindings, query_id, describe_only, tag)
        finally:
            session.query_id, session.statement = outer

    def run_expression(self, session: Session, expression: exp.Expr) -> Result:
        return self._execution.run_expression(session, expression)

    def run_bound(self, session: Session, expression: exp.Expr, rows: pa.Table) -> Result:
        return self._execution.run_bound(session, expression, rows)

    def query_sql(self, session: Session, query: str | exp.Expr) -> str:
        return self._execution.query_sql(session, query)

    def duck_sql(self, session: Session, expression: exp.Expr) -> str:
        return self._execution.duck_sql(session, expression)

    def _run(
        self,
        session: Session,
        sql: str,
        bindings: dict[str, Binding] | None,
        query_id: str,
        describe_only: bool,
        tag: str | None,
    ) -> Result:
        session.query_id, session.statement = query_id, sql
        account = self._account
        record = None if describe_only else self._record(session, sql, tag)
        outcome: Result | ProgrammingError = failure(INTERNAL, "XX000", "The local Snowflake failed on this statement.")
        with (
            account.state(Queries).run(session, timeout_s(session)) as query,
            account.state(Writers).statement(session.id, sql),
        ):
            try:
                _leave_lost_database(session)
                _set_context(session)
                result = self._retried(session, sql, bindings, describe_only)
                account.state(ResultCache).keep(query_id, session.user, result)
                self._observe(sql, None)
                outcome = result
                return result
            except Exception as error:
                shown = query.failure or _as_snowflake(error, sql, session.database)
                savepoints.restore(session, self)
                self._observe(sql, shown)
                outcome = shown
                raise shown from error
            finally:
                account.state(QueryHistory).end(record, outcome)
                session.consumes = False
                session.transaction.statements += 1
                if not session.transaction.open:
                    transaction.release(session)
                session.last_query_id = query_id
                session.cleanup.close()

    def _record(self, session: Session, sql: str, tag: str | None) -> Record:
        warehouse = self._account.state(Catalog).warehouses.get(session.warehouse or "")
        size = str(warehouse.options.get("WAREHOUSE_SIZE", "X-Small")) if warehouse else None
        return self._account.state(QueryHistory).begin(session, sql, tag=tag, warehouse_size=size)

    def _retried(self, session: Session, sql: str, bindings: dict[str, Binding] | None, describe_only: bool) -> Result:
        """Run the statement; outside of a transaction, again after a conflict with another writer."""
        deadline = time.monotonic() + _CONFLICT_LIMIT_S
        for attempt in itertools.count():
            try:
                return self._execution.run(session, sql, bindings, describe_only)
            except (duckdb.TransactionException, ProgrammingError) as error:
                if session.transaction.open or not _is_conflict(error) or time.monotonic() > deadline:
                    raise
                time.sleep(min(0.01 * 2**attempt, 0.5))
        raise AssertionError("unreachable")


def _leave_lost_database(session: Session) -> None:
    """Leave a current database that another session has dropped: DuckDB would reject every statement, USE included."""
    names = session.account.names
    dropped = names.dropped
    if dropped == session.dropped_databases:
        return
    if session.database is not None and not names.has_database(session.database):
        session.leave_database()
    session.dropped_databases = dropped


def _set_context(session: Session) -> None:
    """Give DuckDB the session's time zone, the values of CURRENT_USER() and the like, which views read too, and the query id
    that functions pass on."""
    fields = ", ".join(f"'{name}': {_text(value)}" for name, value in context.context_values(session).items())
    try:
        session.duck.set_time_zone(session.parameters["TIMEZONE"])
        session.duck.execute(f"SET VARIABLE {context.CONTEXT} = {{{fields}}}")
    except duckdb.TransactionException:
        # An aborted transaction takes ROLLBACK only, which needs no context.
        return


def _as_snowflake(error: Exception, sql: str, database: str | None) -> ProgrammingError:
    """Whatever sqlglot, fakesnow, DuckDB or a fault of this server raised, as Snowflake's error with the statement's name."""
    cause = error if isinstance(error, duckdb.Error) else error.__cause__
    if isinstance(cause, duckdb.Error):
        return as_written(translate(cause), sql, database)
    if isinstance(error, ProgrammingError):
        return error
    if isinstance(error, DatabaseError):
        return failure(error.errno or INTERNAL, error.sqlstate or "XX000", error.raw_msg or str(error))
    name = statement_name(sql)
    if isinstance(error, SqlglotError | NotImplementedError):
        return unsupported(
            f"this form of the statement {name}: {str(error).splitlines()[0][:200] if str(error) else name}"
        )
    log.exception("internal error while a statement ran", exc_info=error)
    return failure(INTERNAL, "XX000", f"The local Snowflake failed on this {name} statement; its log says why.")


def _is_conflict(error: Exception) -> bool:
    cause = error if isinstance(error, duckdb.Error) else error.__cause__
    return isinstance(cause, duckdb.TransactionException) and "onflict" in str(cause)


def _text(value: str | None) -> str:
    return "NULL::VARCHAR" if value is None else text_literal(value)
