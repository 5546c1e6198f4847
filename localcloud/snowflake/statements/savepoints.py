"""The transaction after a failed statement: the writes before it stay, as in Snowflake.

DuckDB aborts the transaction, so a new one is begun in which the writes run again. Where that could have another outcome (volatile
calls, writes of another session), the transaction stays aborted.
"""

from __future__ import annotations

import re

import duckdb
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.user_functions.feature import FUNCTION
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.journal import Write, Writers
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import table_name

# Calls whose results change when they run again, and reads from outside the database.
_VOLATILE = re.compile(
    r"\b(RANDOM|RAND|SEQ[1248]|UNIFORM|NORMAL|ZIPF|RANDSTR|UUID_STRING|(GET)?NEXTVAL|SYSDATE|GETDATE|SYSTIMESTAMP|LOCALTIME\w*|"
    r"CURRENT_(DATE|TIME|TIMESTAMP|TRANSACTION|STATEMENT)|SAMPLE|TABLESAMPLE|RESULT_SCAN|"
    r"LAST_QUERY_ID|INFORMATION_SCHEMA)\b|@|SYSTEM\$",
    re.IGNORECASE,
)
_DEFAULTS = (
    "SELECT bool_or(contains(column_default, '(')) FROM duckdb_columns() "
    "WHERE database_name = ? AND schema_name = ? AND table_name = ?"
)


def note(session: Session, expression: exp.Expr) -> None:
    """Add a write that has run to the transaction's journal. ``expression``: before its rewriting."""
    journal = session.transaction.journal
    if journal is not None:
        journal.repeatable = journal.repeatable and _repeatable(session, expression)
        journal.writes.append(Write(expression, (session.database, session.schema), session.bound))


def restore(session: Session, runner: Runner) -> None:
    """Restore the transaction after a failed statement to its state before that statement, or set ``Journal.lost``."""
    journal = session.transaction.journal
    if journal is None or journal.lost or not _aborted(session):
        return
    transaction.restart(session)
    if not journal.repeatable:
        journal.lost = True
        return
    here = (session.database, session.schema)
    # Without a journal, the repeated writes are not recorded twice.
    session.transaction.journal = None
    try:
        for write in journal.writes:
            _use(session, write.schema)
            _run(session, runner, write)
    except (duckdb.Error, ProgrammingError):
        journal.lost = True
    session.transaction.journal = journal
    _use(session, here)
    reads = any(write.reads for write in journal.writes)
    if reads and session.account.state(Writers).others_since(session.id, journal.since):
        journal.lost = True


def _run(session: Session, runner: Runner, write: Write) -> None:
    expression = write.expression.copy()
    if write.bound is None:
        runner.run_expression(session, expression)
    else:
        runner.run_bound(session, expression, write.bound)


def _aborted(session: Session) -> bool:
    try:
        session.duck.execute("SELECT 1").fetchall()
    except duckdb.TransactionException:
        return True
    return False


def _use(session: Session, current: tuple[str | None, str | None]) -> None:
    database, schema = current
    if database is not None and (session.database, session.schema) != current:
        session.use(database, schema)


def _repeatable(session: Session, expression: exp.Expr) -> bool:
    if _VOLATILE.search(expression.sql(dialect="snowflake")):
        return False
    functions = {function.path[2] for function in session.account.state(SchemaObjects).of(FUNCTION).all()}
    if any(str(call.this).upper() in functions for call in expression.find_all(exp.Anonymous)):
        return False
    return all(_plain(session, table) for table in expression.find_all(exp.Table))


def _plain(session: Session, table: exp.Table) -> bool:
    """Whether the name is that of a table without computed defaults. A view may contain a volatile call."""
    name = table_name(table)
    if not name.name:
        return False
    if name.database == "TEMP":
        return True
    path = session.path(name)
    local = session.temporary.get(path)
    if local is None and session.account.names.kind(path) == "VIEW":
        return False
    (computed,) = session.duck.execute(_DEFAULTS, ["temp", "main", local] if local else list(path)).fetchall()[0]
    return not computed
