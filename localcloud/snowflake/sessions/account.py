"""One account: its DuckDB instance, its clock, and the state of every feature.

An account knows no feature. Each feature defines its own ``State``; the server registers them in the order in which they depend
on each other.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from localcloud.snowflake.clock import Clock
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.name_lookup import NameLookup
from localcloud.snowflake.sessions.state import State, States

_S = TypeVar("_S", bound=State)


class Account:
    """``duck``: the connection from which each session gets its own.
    ``folder``: for files of stages and of running statements; removed when the account is closed.
    """

    def __init__(self, name: str, duck: DuckConnection, *, clock: Clock) -> None:
        self.name = name
        self.duck = duck
        self.clock = clock
        # The parameters of sessions that neither the session nor its user sets.
        self.parameters: dict[str, Any] = {"AUTOCOMMIT": True, "TIMEZONE": "Etc/UTC"}
        self.names = NameLookup(duck.cursor())
        self._folder = TemporaryDirectory(prefix="localcloud-account-")
        self.folder = Path(self._folder.name)
        self._states = States()

    def add(self, state: _S) -> _S:
        """Register a feature's state."""
        return self._states.put(state)

    def state(self, kind: type[_S]) -> _S:
        """The registered state of this type."""
        found = self._states.find(kind)
        if found is None:
            raise LookupError(f"{kind.__name__} is not registered with the account")
        return found

    def states(self) -> list[State]:
        """All states, in the order of their registration."""
        return list(self._states)

    def session_closed(self, session_id: int) -> None:
        for state in self._states:
            state.session_closed(session_id)

    def query_cancelled(self, session_id: int) -> None:
        for state in self._states:
            state.query_cancelled(session_id)

    def close(self) -> None:
        for state in reversed(list(self._states)):
            state.close()
        self.names.close()
        self.duck.close()
        self._folder.cleanup()
