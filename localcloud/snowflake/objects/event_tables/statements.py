"""CREATE, SHOW and DESCRIBE of event tables, and the account's choice of one.

In: statements of the grammar. Out: Snowflake's answers. The rows lie in a table of the same name, which DROP TABLE drops.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import existing_object, missing_object
from localcloud.snowflake.objects.dynamic_tables.refresh import quoted
from localcloud.snowflake.objects.event_tables import syntax as ast
from localcloud.snowflake.objects.event_tables.state import Events, EventTable
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.result import Result, done, status
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.syntax import Show

COLUMNS: Columns = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("owner", "text"), ("comment", "text"), ("owner_role_type", "text")],
]
#: As the documentation lists them.
_TABLE = """(
    "TIMESTAMP" TIMESTAMP_NTZ, START_TIMESTAMP TIMESTAMP_NTZ, OBSERVED_TIMESTAMP TIMESTAMP_NTZ, TRACE OBJECT, RESOURCE OBJECT,
    RESOURCE_ATTRIBUTES OBJECT, SCOPE OBJECT, SCOPE_ATTRIBUTES OBJECT, RECORD_TYPE VARCHAR, RECORD OBJECT,
    RECORD_ATTRIBUTES OBJECT, "VALUE" VARIANT, EXEMPLARS ARRAY)"""


def create_event_table(session: Session, statement: ast.CreateEventTable, runner: Runner) -> Result:
    transaction.commit_before_ddl(session)
    path, account = session.path(statement.name), session.account
    account.names.require_schema(path)
    if account.names.kind(path) is not None and not statement.or_replace:
        if not statement.if_not_exists:
            raise existing_object(path[2])
        return status(f"{path[2]} already exists, statement succeeded.")
    runner.run_expression(session, parsing.parse(f"CREATE OR REPLACE TABLE {quoted(path)} {_TABLE}"))
    account.state(Events).tables[path] = EventTable(path, session.role, statement.comment or "", account.clock.now())
    return status(f"Event table {path[2]} successfully created.")


def describe_event_table(session: Session, statement: ast.DescribeEventTable, runner: Runner) -> Result:
    path = session.path(statement.name)
    if path not in session.account.state(Events).tables or session.account.names.kind(path) is None:
        raise missing_object(".".join(path), "Event table")
    return runner.run_expression(session, parsing.parse(f"DESCRIBE TABLE {quoted(path)}"))


def set_event_table(session: Session, statement: ast.SetEventTable) -> Result:
    path = session.path(statement.name) if statement.name else None
    if path is not None and (
        path not in session.account.state(Events).tables or session.account.names.kind(path) is None
    ):
        raise missing_object(".".join(path), "Event table")
    session.account.state(Events).active = path
    return done()


def event_tables(session: Session, _show: Show) -> list[list[Any]]:
    found = [
        table
        for path, table in sorted(session.account.state(Events).tables.items())
        if session.account.names.kind(path) is not None
    ]
    return [
        [table.created, table.path[2], table.path[0], table.path[1], table.owner, table.comment, "ROLE"]
        for table in found
    ]
