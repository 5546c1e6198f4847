"""Pool of worker processes, one for each function and session, reused across batches and queries.

Each process holds an interpreter with the handler's imports, so the pool is small and evicts the least recently used
idle process.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from localcloud.snowflake.objects.event_tables.state import Events
from localcloud.snowflake.routines.python import types
from localcloud.snowflake.routines.python.runtime import imports
from localcloud.snowflake.routines.python.runtime.fork_server import (
    FUNCTION_LIBRARIES,
    PROCEDURE_LIBRARIES,
    ForkServers,
)
from localcloud.snowflake.routines.python.runtime.worker_process import WorkerProcess
from localcloud.snowflake.routines.python.syntax import Routine
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.session import Session

_MAX_PROCESSES = 8


@dataclass(frozen=True)
class _Log:
    """Connects the log of a session's handler to the account's event table."""

    session: Session
    routine: str

    def level(self) -> int:
        return self.session.account.state(Events).level(self.session)

    def keep(self, records: Sequence[dict[str, Any]]) -> None:
        self.session.account.state(Events).keep(self.session, self.routine, records)


_calls = itertools.count(1)


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    process: WorkerProcess | None = None
    busy: int = 0


class Workers:
    """``_slots``: by session and definition, least recently used first."""

    def __init__(self) -> None:
        self._slots: OrderedDict[tuple[int, int], _Slot] = OrderedDict()
        self._fork_servers = ForkServers()
        self._lock = threading.Lock()

    @contextmanager
    def use(self, session: Session, number: int, routine: Routine) -> Iterator[WorkerProcess]:
        """The process of this function in this session, started if necessary and kept in the pool afterwards."""
        key = (session.id, number)
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            slot.busy += 1
            idle = [found for found in self._slots if self._slots[found].busy == 0]
            surplus = [self._slots.pop(found) for found in idle[: max(0, len(self._slots) - _MAX_PROCESSES)]]
        _close(surplus)
        try:
            with slot.lock:
                if slot.process is not None and not slot.process.alive:
                    slot.process.close()
                    slot.process = None
                if slot.process is None:
                    slot.process = self._start(session, routine, FUNCTION_LIBRARIES)
            session.account.state(Queries).check(session)
            yield slot.process
        finally:
            with self._lock:
                slot.busy -= 1

    @contextmanager
    def dedicated(self, session: Session, routine: Routine) -> Iterator[WorkerProcess]:
        """A process for one call of a procedure."""
        key = (session.id, -next(_calls))
        slot = _Slot(process=self._start(session, routine, PROCEDURE_LIBRARIES), busy=1)
        with self._lock:
            self._slots[key] = slot
        try:
            assert slot.process is not None
            session.account.state(Queries).check(session)
            yield slot.process
        finally:
            with self._lock:
                self._slots.pop(key, None)
            _close([slot])

    def cancel(self, session_id: int) -> None:
        """End the processes that are working for this session."""
        with self._lock:
            busy = [slot for key, slot in self._slots.items() if key[0] == session_id and slot.busy]
        for slot in busy:
            if slot.process is not None:
                slot.process.cancel()

    def forget(self, session_id: int | None = None) -> None:
        """End the processes of one session, or of all sessions."""
        with self._lock:
            keys = [key for key in self._slots if session_id in (None, key[0])]
            gone = [self._slots.pop(key) for key in keys]
        _close(gone)

    def close(self) -> None:
        """End all processes."""
        self.forget()
        self._fork_servers.close()

    def _start(self, session: Session, routine: Routine, libraries: tuple[str, ...]) -> WorkerProcess:
        """A new process with the routine's handler loaded."""
        code = routine.code
        folder = imports.folder(session, code.imports)
        zone = str(session.parameters.get("TIMEZONE") or "Etc/UTC")
        forked = self._fork_servers.fork(libraries, folder.name, zone)
        process = WorkerProcess(routine.name.name, code.handler, forked, folder, _Log(session, routine.name.name))
        try:
            process.request(
                {
                    "kind": "load",
                    "handler": code.handler,
                    "code": code.body,
                    "directory": folder.name,
                    "arguments": [types.as_json(argument.type) for argument in routine.arguments],
                    "returns": types.as_json(routine.returns),
                    "table": [[column.name, types.as_json(column.type)] for column in routine.table or ()],
                    "strict": routine.strict,
                }
            )
        except BaseException:
            process.close()
            raise
        return process


def _close(slots: list[_Slot]) -> None:
    for slot in slots:
        if slot.process is not None:
            slot.process.close()
