"""The body of the procedures that refresh one view: it runs inside Snowflake, so it imports nothing but Python's own modules.

``app.features.routines.procedures`` writes SETTINGS below this text: the feature store's statements, with ``$name`` for values
of the call.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

SETTINGS: dict[str, Any] = {}

#: True only in a session whose time zone is UTC.
_IS_UTC = " AND ".join(
    f"'{day} 00:00:00'::TIMESTAMP_LTZ = '{day} 00:00:00 +00:00'::TIMESTAMP_TZ" for day in ("2000-01-01", "2000-07-01")
)


def refresh(session: Any, as_of: date) -> dict[str, Any]:
    """The handler: write the view's slice at the first moment of ``as_of``, and return what was done.

    A slice of the same definition and the same rows of the sources is found and not written again.
    """
    if not session.sql(f"SELECT {_IS_UTC}").collect()[0][0]:
        raise ValueError("the session's time zone must be UTC: ALTER SESSION SET TIMEZONE = 'UTC'")
    at, known_at = datetime.combine(as_of, time()), datetime.now(UTC).replace(tzinfo=None)
    query, state = at_time(SETTINGS["query"], at), _state(session, at)
    values = {
        "as_of": str(at),
        "known_at": str(known_at),
        "definition": digest(query),
        "sources_sha256": digest(state),
        "sources": json.dumps(state),
    }
    done = {"view": SETTINGS["view"], "as_of": str(at), "rows": 0, "known_at": str(known_at), "written": False}
    for _, when, known, rows, definition, sources, intact, *_ in _run(session, "find", values):
        if intact and (when, definition, sources) == (at, values["definition"], values["sources_sha256"]):
            return {**done, "rows": int(rows), "known_at": str(known)}
    _run(session, "write", values, query)
    counted = _run(session, "count", values)
    rows, entities, nulls = counted[0][2:5] if counted else (0, 0, "{}")
    fault = _fault(int(rows), int(entities), _state(session, at) != state)
    if fault:
        _run(session, "remove", values)
        raise ValueError(f"view {SETTINGS['view']} as of {at}: {fault}")
    row = _filled(SETTINGS["lineage"], {**values, "rows": int(rows), "nulls": json.loads(nulls)})
    _run(session, "record", {**values, "lineage": json.dumps([row])})
    return {**done, "rows": int(rows), "written": True}


def at_time(pieces: list[Any], at: datetime) -> str:
    """A text at a time. A number in it stands for a distance in microseconds, one in a list for a date's distance in days."""
    written = []
    for piece in pieces:
        if isinstance(piece, str):
            written.append(piece)
        elif isinstance(piece, list):
            written.append((at.date() + timedelta(days=piece[0])).isoformat())
        else:
            written.append((at + timedelta(microseconds=piece)).isoformat(sep=" "))
    return "".join(written)


def digest(value: object) -> str:
    """As the features stage identifies queries and states of sources, so that it finds the slice."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _state(session: Any, at: datetime) -> dict[str, Any]:
    """The sources before ``at``, in the form of ``app.features.sources``."""
    found = {row[0]: row for row in session.sql(at_time(SETTINGS["states"], at)).collect()}
    return {
        name: {
            "table": table,
            "rows": int(found[name][2]) if name in found else 0,
            "hash": str(int(found[name][3]) % SETTINGS["modulus"]) if name in found else "0",
            "before": at.isoformat(),
        }
        for name, table in SETTINGS["sources"].items()
    }


def _fault(rows: int, entities: int, changed: bool) -> str:
    if rows != entities:
        return f"{rows} rows for {entities} entities; it must return one row for each"
    if rows == 0:
        return "no rows; the sources have none before that time"
    return "the sources changed while it was computed; call it again" if changed else ""


def _run(session: Any, statement: str, values: dict[str, Any], query: str = "") -> list[Any]:
    text, binds = SETTINGS[statement]
    found: list[Any] = session.sql(text.replace("$query", query), params=_filled(binds, values)).collect()
    return found


def _filled(value: Any, values: dict[str, Any]) -> Any:
    """A value with what its ``$names`` stand for."""
    if isinstance(value, dict):
        return {name: _filled(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    return values[value[1:]] if isinstance(value, str) and value.startswith("$") else value
