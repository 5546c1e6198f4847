"""The statements of an account: who ran them, when, and how they ended.

The history holds the newest 10,000 statements; Snowflake's holds those of seven days.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State

_KEPT = 10_000
_LEADING = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|//[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)
_CREATE = re.compile(
    r"CREATE\s+(?:OR\s+(?:REPLACE|ALTER)\s+)?(?:(?:SCOPED|TEMP|TEMPORARY|TRANSIENT|VOLATILE|LOCAL|GLOBAL|SECURE)\s+)*"
    r"(?P<kind>TABLE|VIEW|SCHEMA|DATABASE|ROLE|USER|SEQUENCE|STREAM|TASK)\b",
    re.IGNORECASE,
)
_AS_SELECT = re.compile(r"\bAS\s*\(?\s*(?:SELECT|WITH|VALUES)\b", re.IGNORECASE)
_WORDS = {
    **dict.fromkeys(("WITH", "VALUES"), "SELECT"),
    **dict.fromkeys(("START", "BEGIN"), "BEGIN_TRANSACTION"),
    **{"DESC": "DESCRIBE", "PUT": "PUT_FILES", "GET": "GET_FILES", "TRUNCATE": "TRUNCATE_TABLE", "LS": "LIST_FILES"},
    **{"LIST": "LIST_FILES", "RM": "REMOVE_FILES", "REMOVE": "REMOVE_FILES"},
}


@dataclass
class Record:
    """One statement; ``ended`` is ``None`` while it runs."""

    query_id: str
    text: str
    session_id: int
    user: str
    role: str
    warehouse: str | None
    warehouse_size: str | None
    database: str | None
    schema: str | None
    tag: str
    started: datetime
    ended: datetime | None = None
    rows: int | None = None
    error: ProgrammingError | None = None

    def row(self) -> list[Any]:
        elapsed = round(((self.ended or datetime.now(UTC)) - self.started).total_seconds() * 1000)
        state = "RUNNING" if self.ended is None else "SUCCESS" if self.error is None else "FAILED_WITH_ERROR"
        failed = (f"{self.error.errno:06d}", self.error.raw_msg) if self.error is not None else (None, None)
        return [
            *[self.query_id, self.text, self.database, self.schema, query_type(self.text), self.session_id, self.user],
            *[self.role, self.warehouse, self.warehouse_size, "STANDARD" if self.warehouse else None],
            *[1 if self.warehouse else None, self.tag, state, *failed, self.started, self.ended, elapsed, None],
            self.rows,
        ]


def query_type(sql: str) -> str:
    """QUERY_TYPE, from the statement's first words."""
    text = sql[_LEADING.match(sql).end() :]  # type: ignore[union-attr]
    word = (re.match(r"\w*", text) or [""])[0].upper()
    if word == "CREATE" and (created := _CREATE.match(text)) is not None:
        kind = created["kind"].upper()
        return "CREATE_TABLE_AS_SELECT" if kind == "TABLE" and _AS_SELECT.search(text) else f"CREATE_{kind}"
    if word == "COPY" and re.match(r"COPY\s+INTO\s+['@]", text, re.IGNORECASE):
        return "UNLOAD"
    if word == "ALTER" and re.match(r"ALTER\s+SESSION\b", text, re.IGNORECASE):
        return "ALTER_SESSION"
    return _WORDS.get(word, word or "UNKNOWN")


class QueryHistory(State):
    """The newest statements."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def begin(self, session: Session, sql: str, *, tag: str | None, warehouse_size: str | None) -> Record:
        """``tag``: the statement's own, ``None`` for the session's."""
        record = Record(
            query_id=session.query_id,
            text=sql,
            session_id=session.id,
            user=session.user,
            role=session.role,
            warehouse=session.warehouse,
            warehouse_size=warehouse_size,
            database=session.database,
            schema=session.schema,
            tag=str(session.parameters.get("QUERY_TAG") or "") if tag is None else str(tag),
            started=datetime.now(UTC),
        )
        with self._lock:
            self._records.append(record)
        return record

    def end(self, record: Record | None, outcome: Result | ProgrammingError) -> None:
        if record is None:
            return
        with self._lock:
            if isinstance(outcome, Result):
                record.rows = _rows_produced(outcome)
            else:
                record.error = outcome
            record.ended = datetime.now(UTC)

    def newest_first(self) -> list[Record]:
        """Running statements, then those that have ended, newest first."""
        with self._lock:
            records = list(self._records)
        return sorted(records, key=lambda one: (one.ended is None, one.ended or one.started), reverse=True)


def _rows_produced(result: Result) -> int:
    if not result.is_dml:
        return int(result.table.num_rows)
    return sum(value for row in result.table.to_pylist() for value in row.values() if isinstance(value, int))
