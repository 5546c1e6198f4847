"""The session of a procedure's handler: its statements run inside the session that called the procedure.

The CALL holds the session's lock until the procedure ends, so these statements run without it, one at a time in a thread of their
own: in the server's threads, procedures that wait for their statements could take the threads that those need.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from localcloud.snowflake.failures import failure
from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.clients import Clients
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.bindings import Binding


class ServerAddress(State):
    """Where procedures reach the server: host and port."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address


class NestedSession:
    """A client of the session that called. ``owner_rights``: statements that Snowflake denies to such procedures fail."""

    def __init__(self, session: Session, runner: Runner, *, owner_rights: bool) -> None:
        self.session = session
        self.threads: Executor | None = ThreadPoolExecutor(1, thread_name_prefix="snowflake-procedure")
        self._runner = runner
        self._owner_rights = owner_rights
        self._last: tuple[str, Result] | None = None

    def run(
        self,
        sql: str,
        bindings: dict[str, Binding] | None,
        *,
        query_id: str,
        describe_only: bool,
        tag: str | None,
    ) -> Result:
        if self._owner_rights and sql.split()[:1] and sql.split()[0].upper() == "USE":
            raise failure(90_236, "42601", "Stored procedure execution error: Unsupported statement type 'USE'.")
        result = self._runner.run_nested(
            self.session, sql, bindings, query_id=query_id, describe_only=describe_only, tag=tag
        )
        self._last = (query_id, result)
        return result

    def answer_of(self, query_id: str) -> Result:
        """The result of the procedure's last statement."""
        assert self._last is not None
        assert self._last[0] == query_id
        return self._last[1]

    def close(self) -> None:
        """Close the procedure's connection; the session stays open."""
        if self.threads is not None:
            self.threads.shutdown()


@contextmanager
def nested_session(
    session: Session, runner: Runner, *, owner_rights: bool
) -> Iterator[tuple[NestedSession, dict[str, Any]]]:
    """The nested session, and the arguments with which ``snowflake.connector.connect`` opens a connection to it."""
    nested = NestedSession(session, runner, owner_rights=owner_rights)
    token = secrets.token_urlsafe(32)
    clients = session.account.state(Clients)
    clients.add(token, nested)
    host, port = session.account.state(ServerAddress).address
    try:
        yield (
            nested,
            {
                "account": session.account.name,
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
        clients.remove(token)
