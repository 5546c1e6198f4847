"""What was run, by whom, how long and how it ended: QUERY_HISTORY and its narrower forms.

In: the beginning and the end of each statement. Out: the rows of the table functions. The surprise: the statement that asks is in
its own answer, as RUNNING; and the history is bounded by a number of statements, not by Snowflake's seven days.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.functions import table_functions
from localcloud.snowflake.result import Result

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.session import Session

_KEPT = 10_000
_TIME = "timestamp_ltz"
COLUMNS = [
    *[("QUERY_ID", "text"), ("QUERY_TEXT", "text"), ("DATABASE_NAME", "text"), ("SCHEMA_NAME", "text")],
    *[("QUERY_TYPE", "text"), ("SESSION_ID", "fixed"), ("USER_NAME", "text"), ("ROLE_NAME", "text")],
    *[("WAREHOUSE_NAME", "text"), ("WAREHOUSE_SIZE", "text"), ("WAREHOUSE_TYPE", "text"), ("CLUSTER_NUMBER", "fixed")],
    *[("QUERY_TAG", "text"), ("EXECUTION_STATUS", "text"), ("ERROR_CODE", "text"), ("ERROR_MESSAGE", "text")],
    *[("START_TIME", _TIME), ("END_TIME", _TIME), ("TOTAL_ELAPSED_TIME", "fixed"), ("BYTES_SCANNED", "fixed")],
    ("ROWS_PRODUCED", "fixed"),
]
_COMMON = (
    *("END_TIME_RANGE_START", "END_TIME_RANGE_END", "RESULT_LIMIT"),
    "INCLUDE_CLIENT_GENERATED_STATEMENT",
)
# Each function with the argument that narrows it.
_FUNCTIONS = {
    "QUERY_HISTORY": None,
    "QUERY_HISTORY_BY_SESSION": "SESSION_ID",
    "QUERY_HISTORY_BY_USER": "USER_NAME",
    "QUERY_HISTORY_BY_WAREHOUSE": "WAREHOUSE_NAME",
}
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
    """One statement; ``ended`` is empty while it runs."""

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
    """Snowflake's word for the kind of statement, from its first words."""
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


class QueryHistory:
    """The newest statements of one server; the oldest are forgotten."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def begin(self, session: Session, sql: str, tag: str | None) -> Record:
        """``tag``: the statement's own, ``None`` for the session's."""
        warehouse = session.engine.catalog.warehouses.get(session.warehouse or "")
        record = Record(
            query_id=session.query_id,
            text=sql,
            session_id=session.id,
            user=session.user,
            role=session.role,
            warehouse=session.warehouse,
            warehouse_size=str(warehouse.options.get("WAREHOUSE_SIZE", "X-Small")) if warehouse else None,
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
        """What still runs, then what ended, the newest first."""
        with self._lock:
            records = list(self._records)
        return sorted(records, key=lambda one: (one.ended is None, one.ended or one.started), reverse=True)


def _rows_produced(result: Result) -> int:
    if not result.is_dml:
        return int(result.table.num_rows)
    return sum(value for row in result.table.to_pylist() for value in row.values() if isinstance(value, int))


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """``TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(..))`` as a temporary table; anything else as it is."""
    if (found := table_functions.called(node, _FUNCTIONS)) is None:
        return node
    name, call = found
    narrowed = _FUNCTIONS[name]
    given = table_functions.arguments(session, name, call, (*_COMMON, narrowed) if narrowed else _COMMON)
    return table_functions.answered(session, node, COLUMNS, _rows(session, narrowed, given))


def _rows(session: Session, narrowed: str | None, given: dict[str, Any]) -> list[list[Any]]:
    limit = given.get("result_limit", 100)
    if not 1 <= limit <= 10_000:
        raise compilation(1044, "42P13", "RESULT_LIMIT must be between 1 and 10000.")
    since, until = given.get("end_time_range_start"), given.get("end_time_range_end")
    found = [
        record.row()
        for record in session.engine.history.newest_first()
        if _matches(record, session, narrowed, given)
        and (since is None or record.ended is None or record.ended >= _aware(since))
        and (until is None or (record.ended is not None and record.ended <= _aware(until)))
    ]
    return found[:limit]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _matches(record: Record, session: Session, narrowed: str | None, given: dict[str, Any]) -> bool:
    """Without its argument a narrower function is about the session, user or warehouse that asks."""
    if narrowed == "SESSION_ID":
        return record.session_id == int(given.get("session_id", session.id))
    if narrowed == "USER_NAME":
        return bool(record.user == given.get("user_name", session.user))
    return narrowed is None or bool(record.warehouse == given.get("warehouse_name", session.warehouse))
