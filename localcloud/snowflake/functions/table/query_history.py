"""QUERY_HISTORY, QUERY_HISTORY_BY_SESSION, .._BY_USER and .._BY_WAREHOUSE of INFORMATION_SCHEMA."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.functions.table import information_schema
from localcloud.snowflake.sessions.query_history import QueryHistory, Record
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session

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


def rewrite(node: exp.Expr, session: Session, runner: Runner) -> exp.Expr:
    """``TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(..))`` as a temporary table; anything else as it is."""
    if (found := information_schema.called(node, _FUNCTIONS)) is None:
        return node
    name, call = found
    narrowed = _FUNCTIONS[name]
    given = information_schema.arguments(session, runner, name, call, (*_COMMON, narrowed) if narrowed else _COMMON)
    return information_schema.answered(session, node, COLUMNS, _rows(session, narrowed, given))


def _rows(session: Session, narrowed: str | None, given: dict[str, Any]) -> list[list[Any]]:
    limit = given.get("result_limit", 100)
    if not 1 <= limit <= 10_000:
        raise compilation(1044, "42P13", "RESULT_LIMIT must be between 1 and 10000.")
    since, until = given.get("end_time_range_start"), given.get("end_time_range_end")
    found = [
        record.row()
        for record in session.account.state(QueryHistory).newest_first()
        if _matches(record, session, narrowed, given)
        and (since is None or record.ended is None or record.ended >= _aware(since))
        and (until is None or (record.ended is not None and record.ended <= _aware(until)))
    ]
    return found[:limit]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _matches(record: Record, session: Session, narrowed: str | None, given: dict[str, Any]) -> bool:
    """The default of the argument is the caller's session, user or warehouse."""
    if narrowed == "SESSION_ID":
        return record.session_id == int(given.get("session_id", session.id))
    if narrowed == "USER_NAME":
        return bool(record.user == given.get("user_name", session.user))
    return narrowed is None or bool(record.warehouse == given.get("warehouse_name", session.warehouse))
