"""CREATE, SHOW and DESCRIBE EVENT TABLE, and ALTER ACCOUNT SET EVENT_TABLE.

The rows are stored in a table of the same name, which DROP TABLE drops.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.objects.event_tables import syntax as ast
from localcloud.snowflake.objects.event_tables.state import Events, EventTable
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.result import Result, done
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Path

COLUMNS: Columns = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("owner", "text"), ("comment", "text"), ("owner_role_type", "text")],
]
# The columns in Snowflake's documentation.
_TABLE = """(
    "TIMESTAMP" TIMESTAMP_NTZ, START_TIMESTAMP TIMESTAMP_NTZ, OBSERVED_TIMESTAMP TIMESTAMP_NTZ, TRACE OBJECT, RESOURCE OBJECT,
    RESOURCE_ATTRIBUTES OBJECT, SCOPE OBJECT, SCOPE_ATTRIBUTES OBJECT, RECORD_TYPE VARCHAR, RECORD OBJECT,
    RECORD_ATTRIBUTES OBJECT, "VALUE" VARIANT, EXEMPLARS ARRAY)"""


def make(session: Session, statement: ast.CreateEventTable, path: Path, runner: Runner) -> EventTable:
    runner.run_expression(session, parsing.parse(f"CREATE OR REPLACE TABLE {quoted(*path)} {_TABLE}"))
    now = session.account.clock.now()
    return EventTable(path=path, owner=session.role, created=now, comment=statement.comment or "")


def set_event_table(session: Session, statement: ast.SetEventTable) -> Result:
    events = session.account.state(Events)
    path = session.path(statement.name) if statement.name else None
    events.active = events.objects.require(session.id, path).path if path is not None else None
    return done()


def row(_session: Session, table: EventTable) -> list[Any]:
    return [table.created, table.path[2], table.path[0], table.path[1], table.owner, table.comment, "ROLE"]
