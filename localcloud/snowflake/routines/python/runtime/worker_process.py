"""A worker process: loads a handler, answers batches, and ends with the session, the server, or a cancellation.

The process inherits a few environment variables only, plus the session's time zone. It exits when its input pipe
closes.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import failure
from localcloud.snowflake.routines.python.runtime.fork_server import Forked
from localcloud.snowflake.routines.python.worker import messages

_INTERPRETER_ERROR = 100_357


class Log(Protocol):
    """Destination of a handler's log records."""

    def level(self) -> int:
        """The lowest Python log level to record."""

    def keep(self, records: Sequence[dict[str, Any]]) -> None:
        """Store records, in their order."""


class WorkerProcess:
    """``name`` and ``handler`` appear in error messages. ``folder`` holds the imports and is removed with the process.

    ``log`` receives the handler's log records.
    """

    def __init__(
        self, name: str, handler: str, process: Forked, folder: tempfile.TemporaryDirectory[str], log: Log
    ) -> None:
        self._name = name
        self._handler = handler
        self._process = process
        self._folder = folder
        self._log = log
        self._lock = threading.Lock()
        self._cancelled = False

    @property
    def alive(self) -> bool:
        return self._process.alive

    def request(self, header: dict[str, Any], body: bytes = b"") -> messages.Message:
        """Send a message and wait for the reply. Only one request runs at a time."""
        with self._lock:
            try:
                messages.write(self._process.source, {**header, "log_level": self._log.level()}, body)
                reply = messages.read(self._process.target)
            except (OSError, ValueError):
                reply = None
        if reply is None:
            raise self._process_error()
        self._log.keep(reply[0]["logs"])
        if reply[0]["kind"] == "error":
            raise interpreter_error(f"{reply[0]['text']}", self._name, self._handler)
        return reply

    def _process_error(self) -> ProgrammingError:
        if self._cancelled:
            return failure(604, "57014", "SQL execution canceled")
        code = self._process.wait(5)
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        return interpreter_error(f"The handler's process {how}.", self._name, self._handler)

    def cancel(self) -> None:
        """End the process. A waiting request raises the error of a cancelled statement."""
        self._cancelled = True
        self.close()

    def close(self) -> None:
        self._process.kill()
        with self._lock:
            for stream in (self._process.source, self._process.target):
                _close(stream)
        self._folder.cleanup()


def interpreter_error(text: str, name: str, handler: str) -> ProgrammingError:
    """An error in the handler, in Snowflake's wording."""
    return failure(
        _INTERPRETER_ERROR, "P0000", f"Python Interpreter Error:\n{text}\n in function {name} with handler {handler}"
    )


def _close(stream: Any) -> None:
    try:
        stream.close()
    except OSError:
        # Closing flushes the rest of a message to a process that has ended.
        return
