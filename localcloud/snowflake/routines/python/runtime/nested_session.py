"""A procedure's way back into the session that called it.

In: statements of the procedure's own connection. Out: their results, run inside the caller's session while its CALL waits. The
surprise: the CALL holds the session's lock all the while, so an entry runs beside that lock; it runs one statement at a time
in a thread of its own, or the procedures that wait would use up the server's threads.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from localcloud.snowflake.failures import failure
from localcloud.snowflake.result import Result
from localcloud.snowflake.sql.bindings import Binding

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.session import Session


class Entry:
    """What the protocol asks of a session; ``owner_rights``: the statements that Snowflake keeps from such procedures fail."""

    def __init__(self, session: Session, *, owner_rights: bool) -> None:
        self._session = session
        self._owner_rights = owner_rights
        self.work = ThreadPoolExecutor(1, thread_name_prefix="snowflake-procedure")
        self._last: tuple[str, Result] | None = None

    @property
    def id(self) -> int:
        return self._session.id

    @property
    def user(self) -> str:
        return self._session.user

    @property
    def role(self) -> str:
        return self._session.role

    @property
    def warehouse(self) -> str | None:
        return self._session.warehouse

    @property
    def database(self) -> str | None:
        return self._session.database

    @property
    def schema(self) -> str | None:
        return self._session.schema

    @property
    def parameters(self) -> dict[str, Any]:
        return self._session.parameters

    def run(
        self,
        sql: str,
        bindings: dict[str, Binding] | None,
        *,
        query_id: str,
        describe_only: bool = False,
        tag: str | None = None,
    ) -> Result:
        if self._owner_rights and sql.split()[:1] and sql.split()[0].upper() == "USE":
            raise failure(90_236, "42601", "Stored procedure execution error: Unsupported statement type 'USE'.")
        result = self._session.run_nested(sql, bindings, query_id=query_id, describe_only=describe_only, tag=tag)
        self._last = (query_id, result)
        return result

    def answer_of(self, query_id: str) -> Result:
        """The result of the procedure's last statement, which its table is."""
        assert self._last is not None
        assert self._last[0] == query_id
        return self._last[1]

    def close(self) -> None:
        """The procedure's connection ends; the session does not."""


@contextmanager
def entered(session: Session, *, owner_rights: bool) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """An entry, and what ``snowflake.connector.connect`` needs to use it."""
    entry = Entry(session, owner_rights=owner_rights)
    token = secrets.token_urlsafe(32)
    session.engine.sessions[token] = entry
    host, port = session.engine.python.address
    try:
        yield (
            entry,
            {
                "account": session.engine.account,
                "user": session.user,
                "host": host,
                "port": port,
                "protocol": "http",
                "session_token": token,
                "master_token": secrets.token_urlsafe(32),
                "server_session_keep_alive": True,
                "paramstyle": "qmark",
            },
        )
    finally:
        session.engine.sessions.pop(token, None)
        entry.work.shutdown(wait=True)
