"""One statement, from its text to its result: parsed, rewritten where DuckDB differs, run.

Statements of the project's own grammar go to the handlers of their feature; the rest is parsed by sqlglot, rewritten, and run by
fakesnow's cursor on DuckDB. Handlers run statements of their own through the ``Runner``, so that these too are tracked for
streams, dynamic tables and the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa
from fakesnow import info_schema
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.statement_type import statement_type_id
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.functions import operands
from localcloud.snowflake.functions.moments import timestamps
from localcloud.snowflake.objects import schema_statements, table_keys
from localcloud.snowflake.objects.account import parameters
from localcloud.snowflake.objects.account.syntax import AlterAccount, AlterRole, AlterUser, AlterWarehouse, Grant
from localcloud.snowflake.objects.dynamic_tables import refresh
from localcloud.snowflake.objects.event_tables.syntax import SetEventTable
from localcloud.snowflake.objects.integrations.syntax import AlterIntegration
from localcloud.snowflake.objects.policies import queries as policies
from localcloud.snowflake.objects.streams import change_tracking, source_ddl
from localcloud.snowflake.objects.streams.state import Work
from localcloud.snowflake.objects.table_names import dropped_container
from localcloud.snowflake.objects.tags import statements as tags
from localcloud.snowflake.result import SCL, Result, done, rows_result
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.definitions import Defined, Definitions
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing, tree
from localcloud.snowflake.sql.bindings import Binding, bind, inlined, rows_of, select_rows
from localcloud.snowflake.sql.statement_names import check_begin, refused
from localcloud.snowflake.sql.syntax import Alter, Creation, Drop, Name, Path, Statement
from localcloud.snowflake.statements import dialect, nested_types, rewriting, savepoints
from localcloud.snowflake.statements.features import FEATURES
from localcloud.snowflake.tables import clones, comments, ddl, letter_case, merge, multi_joined_rows, view_definitions

# Snowflake's type code of a statement that begins or ends a transaction.
_TRANSACTION = 0x5000

_RUNNABLE = (
    *(exp.Query, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter),
    *(exp.TruncateTable, exp.Describe, exp.Show, exp.Comment, exp.Set),
)
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
# They lock their table until the transaction ends.
_LOCKS = (exp.Update, exp.Delete, exp.Merge)
_DEFINES = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Comment)
_DEFINING = (
    Creation,
    Drop,
    Alter,
    AlterUser,
    AlterWarehouse,
    AlterAccount,
    AlterRole,
    AlterIntegration,
    Grant,
    SetEventTable,
)
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
        if not parsing.sets_parameters(sql):
            parameters.require_supported(session)
        sql = parsing.normalised(sql)
        letter_case.declare(session, sql)
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
            result = dialect.run(session, statement, self._runner)
            _keep_definition(session, statement, sql, bindings)
            return result
        expression = parsing.parse(parsing.with_variables(sql, session.fakesnow.variables._variables))
        check_begin(sql)
        timestamps.mapped(expression, str(session.parameters.get("TIMESTAMP_TYPE_MAPPING", "")))
        if isinstance(expression, exp.Set) and expression.expressions:
            session.fakesnow.variables.update_variables(bind(expression, bindings))
            return done(SCL)
        if isinstance(expression, exp.Commit | exp.Rollback):
            transaction.end(session, commit=isinstance(expression, exp.Commit))
            return done(_TRANSACTION)
        if not isinstance(expression, _RUNNABLE) or isinstance(expression, exp.Command | exp.Set):
            raise refused(sql)
        if isinstance(expression, exp.Create):
            expression.meta[view_definitions.TEXT] = sql
        rows = rows_of(bindings)
        if describe_only:
            given = bindings if rows is None else None
            return self._describe(session, bind(expression, given, described=given is None))
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
        if target is not None and isinstance(expression, _LOCKS):
            transaction.lock(session, target)
        if not isinstance(expression, _DEFINES):
            if isinstance(expression, _WRITES) and not session.parameters["AUTOCOMMIT"]:
                transaction.begin(session)
            return self._journaled(session, expression, lambda: self._run_rewritten(session, expression, target))
        ddl.check_name(expression)
        letter_case.check_objects(expression, session)
        policies.check_definition(session, expression)
        transaction.commit_before_ddl(session)
        if (container := dropped_container(session, expression)) is not None:
            session.account.state(Definitions).forget(container)
        if isinstance(expression, exp.Comment):
            return comments.run(session, expression)
        if source_ddl.only_retention(session, expression):
            return done()
        if isinstance(expression, exp.Alter) and table_keys.altered(session, expression):
            return done()
        schema_statements.check_table_name(session, expression)
        follow = schema_statements.follow_ddl(session, expression)
        follow_sources = source_ddl.followed(session, self._runner, expression)
        follow_keys = table_keys.followed(session, expression)
        follow_tags = tags.followed(session, expression)
        if (ready := ddl.shortcut(session, expression) or clones.run(session, self._runner, expression)) is not None:
            if isinstance(expression, exp.Drop) or expression.args.get("replace"):
                follow_sources()
                follow()
            follow_keys()
            follow_tags()
            return ready
        temporary = dict(session.temporary)
        try:
            result = self._run_rewritten(session, ddl.prepare(session, self._runner, expression), target)
        except BaseException:
            # The names of temporary tables that were not created.
            session.temporary = temporary
            raise
        follow_sources()
        follow()
        follow_keys()
        follow_tags()
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
            rows = ddl.rows_to_remove(session, expression)
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
            return replace(
                ddl.finish(session, expression) or result, changed=ddl.changed_rows(session, expression, rows)
            )

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
            transformed = _transformed(cursor, part)
            parsing.reject_losses(transformed)
            metadata = _deferred(session, transformed)
            try:
                cursor._execute(transformed, None)
            except (duckdb.Error, ProgrammingError) as error:
                _explain_unresolved(session, transformed, error)
                raise
            for sql in metadata:
                comments.write_metadata(session, sql)
        return letter_case.shown(Result(cursor._arrow_table, tuple(session.duck.types), type_id))

    def duck_sql(self, session: Session, expression: exp.Expr) -> str:
        """A rewritten statement in DuckDB's dialect."""
        return self._duck_statement(session, expression).sql(dialect="duckdb")

    def _duck_statement(self, session: Session, expression: exp.Expr) -> exp.Expr:
        cursor = _cursor(session)
        cursor.check_db_and_schema(expression)
        transformed = _transformed(cursor, expression)
        parsing.reject_losses(transformed)
        return transformed

    def query_sql(self, session: Session, query: str | exp.Expr) -> str:
        """Translate a SELECT from Snowflake's dialect to DuckDB's."""
        expression = parsing.parse(query) if isinstance(query, str) else query
        if not isinstance(expression, exp.Query):
            raise compilation(1003, "42000", "syntax error: a query is expected.")
        prepared = rewriting.prepare(expression, session, self._runner)
        if isinstance(prepared, exp.Query):
            prepared = letter_case.plain(prepared, session, self._runner)
        return self.duck_sql(session, prepared)

    def _describe(self, session: Session, expression: exp.Expr) -> Result:
        type_id = statement_type_id(expression)
        if (columns := merge.result_columns(expression)) is not None:
            return rows_result(columns, [], type_id, required=True)
        if not isinstance(expression, exp.Query | exp.Values | exp.Show | exp.Describe):
            return rows_result([("status", "text")], [], type_id)
        if isinstance(expression, exp.Describe):
            result = self.run_expression(session, expression)
            return Result(result.table.slice(0, 0), result.types, type_id)
        nested = nested_types.of_statement(session, expression)
        transformed = self._duck_statement(session, rewriting.prepare(expression, session, self._runner))
        try:
            session.duck.execute(_without_rows(transformed))
        except (duckdb.Error, ProgrammingError) as error:
            _explain_unresolved(session, transformed, error)
            raise
        found = Result(session.duck.to_arrow_table(), tuple(session.duck.types), type_id, nested=nested)
        return letter_case.shown(found)

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


def _transformed(cursor: Any, expression: exp.Expr) -> exp.Expr:
    """The statement after fakesnow's transforms, which are applied by our own walk of the tree."""
    steps: tree.Steps = cursor._transform(tree.Steps(), None)
    return steps.run(expression)


def _deferred(session: Session, statement: exp.Expr) -> list[str]:
    """The statements that store a new table's comment and text lengths, taken from fakesnow, which would run them inside the open
    transaction: DuckDB's transactions write to one database, and these are in another."""
    if not session.transaction.open:
        return []
    found, table = [], statement.find(exp.Table)
    comment = statement.args.pop("table_comment", None)
    lengths = statement.args.pop("text_lengths", None)
    if comment:
        found.append(info_schema.insert_table_comment_sql(*_place(session, comment[0]), comment[1]))
    if lengths and table is not None:
        found.append(info_schema.insert_text_lengths_sql(*_place(session, table), lengths))
    return found


def _place(session: Session, table: exp.Table) -> tuple[str, str, str]:
    return table.catalog or session.database or "", table.db or session.schema or "", table.name


def _without_rows(query: exp.Expr) -> str:
    """DuckDB's text of the query without its rows. As a subquery its columns of one name would get different ones."""
    if isinstance(query, exp.Select):
        return query.copy().limit(0).sql(dialect="duckdb")
    return f"SELECT * FROM ({query.sql(dialect='duckdb')}) LIMIT 0"


def _explain_unresolved(session: Session, statement: exp.Expr, error: Exception) -> None:
    """Raise DuckDB's error about the operand whose type it could not find, where ``error`` does not name it."""
    plain = operands.unwrapped(statement) if operands.is_unresolved(error) else None
    if plain is None:
        return
    if session.transaction.open:
        # The error has aborted it; ``savepoints`` restores it afterwards.
        transaction.restart(session)
    session.duck.execute(f"EXPLAIN {plain.sql(dialect='duckdb')}")


def _makes_table(expression: exp.Create) -> bool:
    return str(expression.args.get("kind")).upper() == "TABLE"


def _keep_definition(session: Session, statement: Statement, sql: str, bindings: dict[str, Binding] | None) -> None:
    """Keep the text of a statement that changed objects that DuckDB does not hold."""
    if not isinstance(statement, _DEFINING) or (isinstance(statement, Creation) and statement.temporary):
        return
    name, in_schema = getattr(statement, "name", None), dialect.in_schema(statement)
    container = session.path(name)[:2] if in_schema and isinstance(name, Name) else ()
    text = inlined(sql, bindings)
    kept = Defined(text, session.user, session.role, session.database, session.schema, container)
    session.account.state(Definitions).add(kept)
