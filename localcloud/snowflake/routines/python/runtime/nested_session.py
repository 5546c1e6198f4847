"""Nested session: runs the statements of a procedure in the session of its caller.

The CALL holds the session's lock while the procedure runs, so nested statements bypass that lock. They run one at a
time in a dedicated thread; otherwise waiting procedures could use up the server's threads.
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
    """The session interface that the protocol needs. ``owner_rights`` rejects statements that Snowflake forbids in such
    procedures."""

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
        """The result of the procedure's last statement, whose query id must be ``query_id``."""
        assert self._last is not None
        assert self._last[0] == query_id
        return self._last[1]

    def close(self) -> None:
        """Do nothing: the caller's session outlives the procedure's connection."""


@contextmanager
def nested_session(session: Session, *, owner_rights: bool) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """A nested session, and the arguments for ``snowflake.connector.connect`` to use it."""
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
