"""One statement, from its text to its result: parsed, rewritten where DuckDB differs, run.

Statements of the project's own grammar go to the handlers of their feature; the rest is parsed by sqlglot, rewritten, and run by
fakesnow's cursor on DuckDB. Handlers run statements of their own through the ``Runner``, so that these too are tracked for
streams, dynamic tables and the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import duckdb
import pyarrow as pa
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.statement_type import statement_type_id
from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects import schema_statements
from localcloud.snowflake.objects.dynamic_tables import refresh
from localcloud.snowflake.objects.streams import change_tracking, source_ddl
from localcloud.snowflake.objects.streams.state import Work
from localcloud.snowflake.result import SCL, Result, done, rows_result
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.bindings import Binding, bind, inlined, rows_of, select_rows
from localcloud.snowflake.sql.syntax import Path
from localcloud.snowflake.statements import dialect, nested_types, rewriting, savepoints
from localcloud.snowflake.statements.features import FEATURES
from localcloud.snowflake.tables import clones, comments, ddl, merge, multi_joined_rows

# Snowflake's type code of a statement that begins or ends a transaction.
_TRANSACTION = 0x5000

_RUNNABLE = (
    *(exp.Query, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter),
    *(exp.TruncateTable, exp.Describe, exp.Show, exp.Comment, exp.Set),
)
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_DEFINES = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Comment)
# The temporary table with the rows of an array binding.
_BOUND = "_BOUND_ROWS"


class Execution:
    """Runs statements. ``runner``: given to the handlers, for statements of their own."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def run(self, session: Session, sql: str, bindings: dict[str, Binding] | None, describe_only: bool) -> Result:
        """Run or only describe one statement of a client."""
        if session.transaction.lost and not parsing.ends_transaction(sql):
            raise transaction.lost()
        sql = parsing.unscoped(sql)
        if parsing.starts_transaction(sql):
            transaction.begin(session)
            return done(_TRANSACTION)
        if not describe_only:
            refresh.refresh_due(session, self._runner)
        if dialect.recognises(sql):
            statement = dialect.parse_statement(inlined(sql, bindings))
            if describe_only:
                return dialect.describe(session, statement, self._runner)
            if session.transaction.journal is not None and parsing.is_copy(sql):
                session.transaction.journal.repeatable = False
            return dialect.run(session, statement, self._runner)
        expression = parsing.parse(parsing.with_variables(sql, session.fakesnow.variables._variables))
        if isinstance(expression, exp.Set):
            session.fakesnow.variables.update_variables(bind(expression, bindings))
            return done(SCL)
        if isinstance(expression, exp.Commit | exp.Rollback):
            transaction.end(session, commit=isinstance(expression, exp.Commit))
            return done(_TRANSACTION)
        if not isinstance(expression, _RUNNABLE) or isinstance(expression, exp.Command):
            raise unsupported(f"the statement {_head(sql)}")
        rows = rows_of(bindings)
        if describe_only:
            return self._describe(session, bind(expression, None))
        if rows is not None:
            return self._run_many(session, expression, rows)
        return self.run_expression(session, bind(expression, bindings))

    def run_expression(self, session: Session, expression: exp.Expr) -> Result:
        """Run a statement in Snowflake's dialect that sqlglot has parsed."""
        session.consumes = isinstance(expression, _WRITES) or (
            isinstance(expression, exp.Create)
            and isinstance(expression.expression, exp.Query)
            and _makes_table(expression)
        )
        target = change_tracking.target(session, expression)
        refresh.guard(session, expression)
        if not isinstance(expression, _DEFINES):
            if isinstance(expression, _WRITES) and not session.parameters["AUTOCOMMIT"]:
                transaction.begin(session)
            return self._journaled(session, expression, lambda: self._run_rewritten(session, expression, target))
        transaction.commit_before_ddl(session)
        if isinstance(expression, exp.Comment):
            return comments.run(session, expression)
        if source_ddl.only_retention(session, expression):
            return done()
        schema_statements.check_table_name(session, expression)
        follow = schema_statements.follow_ddl(session, expression)
        follow_sources = source_ddl.followed(session, self._runner, expression)
        if (ready := ddl.shortcut(session, expression) or clones.run(session, self._runner, expression)) is not None:
            if isinstance(expression, exp.Drop) or expression.args.get("replace"):
                follow_sources()
                follow()
            return ready
        result = self._run_rewritten(session, ddl.prepare(session, self._runner, expression), target)
        follow_sources()
        follow()
        return result

    def _journaled(self, session: Session, expression: exp.Expr, work: Callable[[], Result]) -> Result:
        """Run a write and add it to the journal, from which the transaction is restored after a failed statement."""
        if session.transaction.journal is None or not isinstance(expression, _WRITES):
            return work()
        kept = expression.copy()
        result = work()
        savepoints.note(session, kept)
        return result

    def _run_rewritten(self, session: Session, expression: exp.Expr, target: Path | None) -> Result:
        type_id, inserts = statement_type_id(expression), change_tracking.only_inserts(expression)
        written = expression.copy() if isinstance(expression, exp.Describe | exp.Create | exp.Alter) else expression
        nested = nested_types.of_statement(session, expression)
        expression = rewriting.prepare(expression, session, self._runner)

        def work() -> Result:
            if isinstance(expression, exp.Merge):
                return merge.merge(session, self._runner, expression)
            several = multi_joined_rows.count(session, self._runner, expression)
            result = self._run_prepared(session, expression, type_id)
            nested_types.keep(session, written, nested)
            result = nested_types.shown(session, written, result, nested)
            for feature in FEATURES:
                for change in feature.results:
                    result = change(written, result)
            if several:
                result = multi_joined_rows.with_count(result, several)
            if isinstance(expression, exp.Show):
                return comments.shown(session, expression, result)
            return ddl.finish(session, expression) or result

        together = (
            isinstance(expression, exp.Merge) or expression.args.get("overwrite") or session.states.get(Work).consumed
        )
        if not together:
            return change_tracking.recorded(session, target, work, inserts=inserts)
        return transaction.atomically(session, lambda: change_tracking.recorded(session, target, work, inserts=inserts))

    def _run_prepared(self, session: Session, expression: exp.Expr, type_id: int) -> Result:
        """Run a rewritten statement: fakesnow's transforms, then DuckDB."""
        cursor = _cursor(session)
        cursor.check_db_and_schema(expression)
        for part in cursor._transform_explode(expression):
            transformed = cursor._transform(part, None)
            parsing.reject_losses(transformed)
            cursor._execute(transformed, None)
        return Result(cursor._arrow_table, tuple(session.duck.types), type_id)

    def duck_sql(self, session: Session, expression: exp.Expr) -> str:
        """A rewritten statement in DuckDB's dialect."""
        cursor = _cursor(session)
        cursor.check_db_and_schema(expression)
        transformed = cursor._transform(expression, None)
        parsing.reject_losses(transformed)
        sql: str = transformed.sql(dialect="duckdb")
        return sql

    def query_sql(self, session: Session, query: str | exp.Expr) -> str:
        """Translate a SELECT from Snowflake's dialect to DuckDB's."""
        expression = parsing.parse(query) if isinstance(query, str) else query
        if not isinstance(expression, exp.Query):
            raise compilation(1003, "42000", "syntax error: a query is expected.")
        return self.duck_sql(session, rewriting.prepare(expression, session, self._runner))

    def _describe(self, session: Session, expression: exp.Expr) -> Result:
        type_id = statement_type_id(expression)
        if (columns := merge.result_columns(expression)) is not None:
            return rows_result(columns, [], type_id)
        if not isinstance(expression, exp.Query | exp.Values | exp.Show | exp.Describe):
            return rows_result([("status", "text")], [], type_id)
        if isinstance(expression, exp.Describe):
            result = self.run_expression(session, expression)
            return Result(result.table.slice(0, 0), result.types, type_id)
        nested = nested_types.of_statement(session, expression)
        sql = self.duck_sql(session, rewriting.prepare(expression, session, self._runner))
        session.duck.execute(f"SELECT * FROM ({sql}) LIMIT 0")
        return Result(session.duck.to_arrow_table(), tuple(session.duck.types), type_id, nested=nested)

    def _run_many(self, session: Session, expression: exp.Expr, rows: pa.Table) -> Result:
        """Run an INSERT with an array binding; all rows are inserted, or none."""
        if not isinstance(expression, exp.Insert):
            raise unsupported("array binding in statements other than INSERT")
        return self.run_bound(session, select_rows(expression, f"temp.main.{_BOUND}"), rows)

    def run_bound(self, session: Session, expression: exp.Expr, rows: pa.Table) -> Result:
        """Run a statement that reads the rows of an array binding."""
        session.duck.store(_BOUND, rows, "SELECT *")
        session.bound = rows
        try:
            return self.run_expression(session, expression)
        finally:
            session.bound = None
            with suppress(duckdb.TransactionException):
                session.duck.execute(f"DROP TABLE temp.main.{_BOUND}")


def _cursor(session: Session) -> Any:
    return FakeSnowflakeCursor(session.fakesnow, session.duck)


def _makes_table(expression: exp.Create) -> bool:
    return str(expression.args.get("kind")).upper() == "TABLE"


def _head(sql: str) -> str:
    words = sql.upper().split()
    return " ".join(words[:2])[:60] or "''"
