"""Refresh of dynamic tables, and protection of their rows from other writes.

A refresh is an INSERT OVERWRITE in its own session with the role of the table's owner, so it appears in the query
history.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.dynamic_tables.state import DynamicTable
from localcloud.snowflake.objects.store import Path
from localcloud.snowflake.objects.streams import change_tracking
from localcloud.snowflake.sql.identifiers import quoted

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.session import Session


def run_as_owner(session: Session, table: DynamicTable, sql: str) -> None:
    """Run a statement as the table's owner, in the database and schema in which the table's query was defined."""
    own = session.engine.system_session(table.owner)
    try:
        own.maintains = True
        own.use(*table.home)
        own.warehouse = table.warehouse
        own.run(sql, None, query_id=str(uuid.uuid4()))
    finally:
        own.close()


def refresh(session: Session, table: DynamicTable) -> None:
    """Refresh the table after the dynamic tables that it reads. Errors are raised to the caller."""
    for one in session.engine.dynamic.with_upstream(table):
        with one.lock:
            moment = session.engine.clock.now()
            run_as_owner(session, one, f"INSERT OVERWRITE INTO {quoted(*one.path)} {one.query}")
            one.refreshed, one.failures = moment, 0


def refresh_due(session: Session) -> None:
    """Refresh all tables that are due before a statement runs. A failed refresh keeps the old rows; five in a row
    suspend the table."""
    if session.transaction.open or session.maintains:
        return
    for table in session.engine.dynamic.take_due():
        try:
            refresh(session, table)
        except ProgrammingError:
            table.failed(session.engine.clock.now())


def guard(session: Session, expression: exp.Expr) -> None:
    """Reject DML and DDL on a dynamic table."""
    if session.maintains or session.engine.dynamic.objects.empty:
        return
    written = change_tracking.target(session, expression)
    if written is not None:
        _refuse(session, written, "DML")
    elif isinstance(expression, exp.Alter | exp.Drop) and str(expression.args.get("kind")).upper() == "TABLE":
        table = expression.find(exp.Table)
        path = change_tracking.path_of(session, table) if table is not None else None
        if path is not None:
            _refuse(session, path, f"{expression.key.upper()} TABLE")


def _refuse(session: Session, path: Path, what: str) -> None:
    if path not in session.temporary and session.engine.dynamic.objects.at(path) is not None:
        raise compilation(2, "0A000", f"{what} is not allowed on the dynamic table '{path[2]}'.")
