"""Event tables of one server, the active one, and storage of log records in it.

Records are written through a separate connection, so they are kept when the logging statement is rolled back. They are
available at once; Snowflake takes several seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import orjson

from localcloud.snowflake.objects.store import SchemaObject, Store
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Path

# Snowflake's log levels as Python log levels. LOG_LEVEL is the lowest level that is recorded.
LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50, "OFF": 1000}

_INSERT = """
INSERT INTO {table}
("TIMESTAMP", OBSERVED_TIMESTAMP, RESOURCE_ATTRIBUTES, SCOPE, RECORD_TYPE, RECORD, RECORD_ATTRIBUTES, "VALUE")
VALUES (to_timestamp($1)::TIMESTAMP, to_timestamp($1)::TIMESTAMP, $2::JSON, $3::JSON, 'LOG', $4::JSON, $5::JSON, $6::JSON)
"""


class EventTable(SchemaObject):
    """A table of log records. The rows are in a table of its name, which DROP TABLE drops."""


class Events(State):
    """``active`` is the path of the account's event table."""

    def __init__(self, objects: Store[EventTable]) -> None:
        self.objects = objects
        self.active: Path | None = None
        self._lock = threading.Lock()

    def level(self, session: Session) -> int:
        """The lowest level recorded for the session; above all levels if no event table is active."""
        wanted = str(session.parameters.get("LOG_LEVEL", "OFF")).upper()
        return LEVELS["OFF"] if self.active is None else LEVELS[wanted]

    def keep(self, session: Session, routine: str, records: Sequence[dict[str, Any]]) -> None:
        """Store the log records of the handler of ``routine``."""
        table = self.active
        if table is None or not records or session.account.names.kind(table) is None:
            return
        resource = {
            **{"db.user": session.user, "snow.database.name": session.database, "snow.schema.name": session.schema},
            **{"snow.executable.name": routine, "snow.query.id": session.query_id, "snow.session.id": session.id},
            **{"snow.session.role.primary.name": session.role, "snow.warehouse.name": session.warehouse},
            "telemetry.sdk.language": "python",
        }
        statement = _INSERT.format(table=quoted(*table))
        with self._lock, session.duck.cursor() as duck:
            duck.executemany(statement, [_values(resource, record) for record in records])


def _values(resource: dict[str, Any], record: dict[str, Any]) -> list[Any]:
    code = {"code.filepath": record["path"], "code.function": record["function"], "code.lineno": record["line"]}
    parts = (resource, {"name": record["logger"]}, {"severity_text": _severity(record["level"])}, code)
    return [record["time"], *(orjson.dumps(part).decode() for part in (*parts, record["message"]))]


def _severity(level: int) -> str:
    return max(
        (name for name, least in LEVELS.items() if least <= level), key=lambda name: LEVELS[name], default="TRACE"
    )
