"""CREATE, SHOW and DESCRIBE of event tables, and the account's choice of one.

In: statements of the grammar. Out: Snowflake's answers. The rows lie in a table of the same name, which DROP TABLE drops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcloud.snowflake.failures import existing_object, missing_object
from localcloud.snowflake.objects.dynamic_tables.refresh import quoted
from localcloud.snowflake.objects.event_tables import syntax as ast
from localcloud.snowflake.objects.event_tables.state import EventTable
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.result import Result, done, status
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.syntax import Show

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.session import Session

COLUMNS: Columns = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("owner", "text"), ("comment", "text"), ("owner_role_type", "text")],
]
#: As the documentation lists them.
_TABLE = """(
    "TIMESTAMP" TIMESTAMP_NTZ, START_TIMESTAMP TIMESTAMP_NTZ, OBSERVED_TIMESTAMP TIMESTAMP_NTZ, TRACE OBJECT, RESOURCE OBJECT,
    RESOURCE_ATTRIBUTES OBJECT, SCOPE OBJECT, SCOPE_ATTRIBUTES OBJECT, RECORD_TYPE VARCHAR, RECORD OBJECT,
    RECORD_ATTRIBUTES OBJECT, "VALUE" VARIANT, EXEMPLARS ARRAY)"""


def create_event_table(session: Session, statement: ast.CreateEventTable) -> Result:
    session.transaction.commit_before_ddl()
    path, engine = session.path(statement.name), session.engine
    engine.names.require_schema(path)
    if engine.names.kind(path) is not None and not statement.or_replace:
        if not statement.if_not_exists:
            raise existing_object(path[2])
        return status(f"{path[2]} already exists, statement succeeded.")
    session.execution.run_expression(parsing.parse(f"CREATE OR REPLACE TABLE {quoted(path)} {_TABLE}"))
    engine.events.tables[path] = EventTable(path, session.role, statement.comment or "", engine.clock.now())
    return status(f"Event table {path[2]} successfully created.")


def describe_event_table(session: Session, statement: ast.DescribeEventTable) -> Result:
    path = session.path(statement.name)
    if path not in session.engine.events.tables or session.engine.names.kind(path) is None:
        raise missing_object(".".join(path), "Event table")
    return session.execution.run_expression(parsing.parse(f"DESCRIBE TABLE {quoted(path)}"))


def set_event_table(session: Session, statement: ast.SetEventTable) -> Result:
    path = session.path(statement.name) if statement.name else None
    if path is not None and (path not in session.engine.events.tables or session.engine.names.kind(path) is None):
        raise missing_object(".".join(path), "Event table")
    session.engine.events.active = path
    return done()


def event_tables(session: Session, _show: Show) -> list[list[Any]]:
    found = [
        table
        for path, table in sorted(session.engine.events.tables.items())
        if session.engine.names.kind(path) is not None
    ]
    return [
        [table.created, table.path[2], table.path[0], table.path[1], table.owner, table.comment, "ROLE"]
        for table in found
    ]
