"""Refresh of dynamic tables, and protection of their rows from other writes.

A refresh is an INSERT OVERWRITE in its own session with the role of the table's owner, so it appears in the query
history.
"""

from __future__ import annotations

import uuid

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.dynamic_tables.state import DynamicTable, DynamicTables
from localcloud.snowflake.objects.streams import change_tracking
from localcloud.snowflake.objects.table_names import path_of
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import OWN, Session
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Path


class Refreshing:
    """Marks a session that writes the rows of a dynamic table, which no other session may write."""


def _refreshes(session: Session) -> bool:
    return session.states.find(Refreshing) is not None


def run_as_owner(session: Session, runner: Runner, table: DynamicTable, sql: str) -> None:
    """Run a statement as the table's owner, in the database and schema in which the table's query was defined."""
    own = Session(session.account, "SYSTEM", table.owner, OWN)
    try:
        own.states.put(Refreshing())
        own.use(*table.home)
        own.warehouse = table.warehouse
        runner.run(own, sql, query_id=str(uuid.uuid4()))
    finally:
        transaction.close(own)


def refresh(session: Session, runner: Runner, table: DynamicTable) -> None:
    """Refresh the table after the dynamic tables that it reads. Errors are raised to the caller."""
    for one in session.account.state(DynamicTables).with_upstream(table):
        with one.lock:
            moment = session.account.clock.now()
            run_as_owner(session, runner, one, f"INSERT OVERWRITE INTO {quoted(*one.path)} {one.query}")
            one.refreshed, one.failures = moment, 0


def refresh_due(session: Session, runner: Runner) -> None:
    """Refresh all tables that are due before a statement runs. A failed refresh keeps the old rows; five in a row
    suspend the table."""
    if session.transaction.open or _refreshes(session):
        return
    for table in session.account.state(DynamicTables).take_due():
        try:
            refresh(session, runner, table)
        except ProgrammingError:
            table.failed(session.account.clock.now())


def guard(session: Session, expression: exp.Expr) -> None:
    """Reject DML and DDL on a dynamic table."""
    if _refreshes(session) or session.account.state(DynamicTables).objects.empty:
        return
    written = change_tracking.target(session, expression)
    if written is not None:
        _refuse(session, written, "DML")
    elif isinstance(expression, exp.Alter | exp.Drop) and str(expression.args.get("kind")).upper() == "TABLE":
        table = expression.find(exp.Table)
        path = path_of(session, table) if table is not None else None
        if path is not None:
            _refuse(session, path, f"{expression.key.upper()} TABLE")


def _refuse(session: Session, path: Path, what: str) -> None:
    if path not in session.temporary and session.account.state(DynamicTables).objects.at(path) is not None:
        raise compilation(2, "0A000", f"{what} is not allowed on the dynamic table '{path[2]}'.")
