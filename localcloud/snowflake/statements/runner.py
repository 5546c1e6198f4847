"""Runs the statements of an account's sessions: lock, history, timeout, retries, and the transaction after a failure."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import duckdb
import pyarrow as pa
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import INTERNAL, failure, translate
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
from localcloud.snowflake.statements import savepoints
from localcloud.snowflake.statements.execution import Execution

# When two transactions write the same rows, Snowflake makes the later one wait. DuckDB rejects it, so it is retried this long.
_CONFLICT_LIMIT_S = 20.0

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
                _set_context(session)
                result = self._retried(session, sql, bindings, describe_only)
                account.state(ResultCache).keep(query_id, session.user, result)
                self._observe(sql, None)
                outcome = result
                return result
            except (duckdb.Error, ProgrammingError) as error:
                shown = query.failure or _as_snowflake(error)
                savepoints.restore(session, self)
                self._observe(sql, shown)
                outcome = shown
                raise shown from error
            finally:
                account.state(QueryHistory).end(record, outcome)
                session.consumes = False
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


def _set_context(session: Session) -> None:
    """Give DuckDB the values of CURRENT_USER() and the like, which views read too, and the query id that functions pass on."""
    fields = ", ".join(f"'{name}': {_text(value)}" for name, value in context.context_values(session).items())
    try:
        session.duck.execute(f"SET VARIABLE {context.CONTEXT} = {{{fields}}}")
    except duckdb.TransactionException:
        # An aborted transaction takes ROLLBACK only, which needs no context.
        return


def _as_snowflake(error: Exception) -> ProgrammingError:
    cause = error if isinstance(error, duckdb.Error) else error.__cause__
    if isinstance(cause, duckdb.Error):
        return translate(cause)
    assert isinstance(error, ProgrammingError)
    return error


def _is_conflict(error: Exception) -> bool:
    cause = error if isinstance(error, duckdb.Error) else error.__cause__
    return isinstance(cause, duckdb.TransactionException) and "onflict" in str(cause)


def _text(value: str | None) -> str:
    return "NULL::VARCHAR" if value is None else text_literal(value)
