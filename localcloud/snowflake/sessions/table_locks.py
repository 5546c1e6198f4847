"""Locks of tables: UPDATE, DELETE and MERGE of two transactions in one table run one after the other, as in Snowflake.

DuckDB lets two transactions that do not see each other's rows insert the same key, so a MERGE would not find it. INSERT and COPY
take no lock, in Snowflake neither.
"""

from __future__ import annotations

import threading
import time

from localcloud.snowflake.failures import failure
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path

#: Upper limit of the wait. Snowflake's default for LOCK_TIMEOUT is 12 hours, which is too long for a local server.
LOCK_LIMIT_S = 20.0


class TableLocks(State):
    """Which session's transaction has which table."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: dict[Path, int] = {}

    def hold(self, session: Session, path: Path) -> None:
        """Lock the table until the session's transaction ends. Call it before the transaction first reads the database."""
        limit = min(float(session.parameters.get("LOCK_TIMEOUT", LOCK_LIMIT_S)), LOCK_LIMIT_S)
        deadline = time.monotonic() + limit
        with self._changed:
            while self._holders.get(path, session.id) != session.id:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise failure(
                        625,
                        "57014",
                        f"Statement '{session.query_id}' waited {limit:g} seconds for table '{'.'.join(path)}', which another "
                        "transaction has locked.",
                    )
                self._changed.wait(left)
            self._holders[path] = session.id

    def release(self, session: Session) -> None:
        """Release all locks of the session."""
        with self._changed:
            self._holders = {path: holder for path, holder in self._holders.items() if holder != session.id}
            self._changed.notify_all()
