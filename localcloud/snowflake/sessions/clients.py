"""Clients of an account by the token of their HTTP requests: sessions opened by a login, and nested sessions of procedures."""

from __future__ import annotations

import threading
from concurrent.futures import Executor
from typing import Protocol

from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.bindings import Binding


class Client(Protocol):
    """A client that runs statements. ``threads``: runs its statements; ``None`` for the server's threads."""

    session: Session
    threads: Executor | None

    def run(
        self, sql: str, bindings: dict[str, Binding] | None, *, query_id: str, describe_only: bool, tag: str | None
    ) -> Result:
        """Run one statement; see ``Runner.run``."""

    def close(self) -> None: ...


class ClientSession:
    """A session that a client opened by logging in."""

    threads: Executor | None = None

    def __init__(self, session: Session, runner: Runner) -> None:
        self.session = session
        self._runner = runner

    def run(
        self, sql: str, bindings: dict[str, Binding] | None, *, query_id: str, describe_only: bool, tag: str | None
    ) -> Result:
        return self._runner.run(self.session, sql, bindings, query_id=query_id, describe_only=describe_only, tag=tag)

    def close(self) -> None:
        transaction.close(self.session)


class Clients(State):
    """The clients of an account, by token."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def add(self, token: str, client: Client) -> None:
        with self._lock:
            self._clients[token] = client

    def find(self, token: str) -> Client | None:
        with self._lock:
            return self._clients.get(token)

    def remove(self, token: str) -> None:
        """Remove and close the client; an unknown token is ignored."""
        with self._lock:
            client = self._clients.pop(token, None)
        if client is not None:
            client.close()

    def sessions(self) -> list[Session]:
        with self._lock:
            return [client.session for client in self._clients.values()]

    def __len__(self) -> int:
        with self._lock:
            return len(self._clients)

    def close(self) -> None:
        for token in list(self._clients):
            self.remove(token)
