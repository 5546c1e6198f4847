"""One worker process: loads a handler, answers batches, and ends with the session, the server or a cancellation.

Of the server's environment the process gets the time zone and a few variables such as PATH. It ends when its input pipe closes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from snowflake.connector.errors import ProgrammingError

import localcloud
from localcloud.snowflake.failures import failure
from localcloud.snowflake.routines.python.worker import messages

_INTERPRETER_ERROR = 100_357
# The folder from which the worker imports this package.
_ROOT = str(Path(localcloud.__file__).parents[1])


class Log(Protocol):
    """Where a handler's log records go."""

    def level(self) -> int:
        """The lowest of Python's log levels that is kept."""

    def keep(self, records: Sequence[dict[str, Any]]) -> None:
        """Keep records, in their order."""


class WorkerProcess:
    """``name`` and ``handler``: for error texts. ``folder``: the imports; removed with the process.

    ``log``: which of the handler's log records are kept, and where.
    """

    def __init__(self, name: str, handler: str, folder: tempfile.TemporaryDirectory[str], zone: str, log: Log) -> None:
        self._name = name
        self._handler = handler
        self._folder = folder
        self._log = log
        self._lock = threading.Lock()
        self._cancelled = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "localcloud.snowflake.routines.python.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder.name,
            env=_environment(zone),
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        return self._process.pid

    def request(self, header: dict[str, Any], body: bytes = b"") -> messages.Message:
        """Send one message and wait for the reply; one at a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            try:
                messages.write(self._process.stdin, {**header, "log_level": self._log.level()}, body)  # type: ignore[arg-type]
                reply = messages.read(self._process.stdout)  # type: ignore[arg-type]
            except (OSError, ValueError):
                reply = None
        if reply is None:
            raise self._gone()
        self._log.keep(reply[0]["logs"])
        if reply[0]["kind"] == "error":
            raise interpreter_error(f"{reply[0]['text']}", self._name, self._handler)
        return reply

    def _gone(self) -> ProgrammingError:
        if self._cancelled:
            return failure(604, "57014", "SQL execution canceled")
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            code = None
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        return interpreter_error(f"The handler's process {how}.", self._name, self._handler)

    def cancel(self) -> None:
        """End the process; a waiting request raises the error for a cancelled statement."""
        self._cancelled = True
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        with self._lock:
            for stream in (self._process.stdin, self._process.stdout):
                _close(stream)
        self._folder.cleanup()


def interpreter_error(text: str, name: str, handler: str) -> ProgrammingError:
    """Snowflake's error for an exception in the handler."""
    return failure(
        _INTERPRETER_ERROR, "P0000", f"Python Interpreter Error:\n{text}\n in function {name} with handler {handler}"
    )


def _close(stream: Any) -> None:
    try:
        stream.close()
    except OSError:
        # A part of a message was still to be written to a process that has ended.
        return


def _environment(zone: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return {**passed, "TZ": zone, "PYTHONPATH": _ROOT, "HOME": tempfile.gettempdir()}
