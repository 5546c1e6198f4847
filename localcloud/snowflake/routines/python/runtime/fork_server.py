"""Starts processes of handlers by forking programs that have imported the handlers' libraries.

A fork server is a program (``worker/__main__``) that is started for the first handler with the same libraries and ends with
:meth:`ForkServers.close`, or with this process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import localcloud

_PROGRAM = "localcloud.snowflake.routines.python.worker"
# The folder from which the program imports this package.
_ROOT = str(Path(localcloud.__file__).parents[1])
#: Only a stopped fork server takes as long.
_KILL_S = 5.0
_PASSED = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
#: Imported for all handlers, and for those that get a session.
FUNCTION_LIBRARIES = ("pyarrow.compute", "pandas")
PROCEDURE_LIBRARIES = (*FUNCTION_LIBRARIES, "snowflake.snowpark")


@dataclass
class Forked:
    """A process: its standard streams, and the lifeline that holds it alive and reports its exit status."""

    source: BinaryIO
    target: BinaryIO
    lifeline: socket.socket
    status: int | None = None

    @property
    def alive(self) -> bool:
        return self.wait(0) is None

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, negative for a signal; None if the process still runs after ``timeout_s``."""
        if self.status is None:
            self.lifeline.settimeout(timeout_s)
            with suppress(BlockingIOError, TimeoutError, OSError):
                text = self.lifeline.recv(16)
                self.status = int(text) if text else -signal.SIGKILL
        return self.status

    def kill(self) -> None:
        """End the process, and wait until it has ended."""
        with suppress(OSError):
            self.lifeline.shutdown(socket.SHUT_WR)
        self.wait(_KILL_S)
        self.lifeline.close()


class ForkServers:
    """The fork servers of one local Snowflake, by the libraries that they have imported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[tuple[str, ...], _ForkServer] = {}

    def fork(self, libraries: tuple[str, ...], folder: str, zone: str) -> Forked:
        """A new process in ``folder``; ``zone``: its time zone."""
        with self._lock:
            server = self._servers.get(libraries)
            if server is None or not server.alive:
                server = self._servers[libraries] = _ForkServer(libraries)
        return server.fork(folder, {**_environment(), "TZ": zone})

    def close(self) -> None:
        with self._lock:
            servers, self._servers = self._servers, {}
        for server in servers.values():
            server.close()


class _ForkServer:
    def __init__(self, libraries: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._control, inherited = socket.socketpair()
        with inherited:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _PROGRAM, str(inherited.fileno()), *libraries],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=[inherited.fileno()],
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, folder: str, environment: Mapping[str, str]) -> Forked:
        """Raises OSError if the program has ended."""
        message = json.dumps({"folder": folder, "environment": environment}).encode()
        child_source, source = os.pipe()
        target, child_target = os.pipe()
        lifeline, child_lifeline = socket.socketpair()
        try:
            with self._lock:
                socket.send_fds(self._control, [message], [child_source, child_target, child_lifeline.fileno()])
                # One message is under way at a time: a stream keeps no boundaries.
                if not self._control.recv(1):
                    raise ConnectionResetError("the fork server has ended")
        finally:
            child_lifeline.close()
            os.close(child_source)
            os.close(child_target)
        return Forked(os.fdopen(source, "wb"), os.fdopen(target, "rb"), lifeline)

    def close(self) -> None:
        """End the program, which ends its processes."""
        self._control.close()
        self._process.wait()


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**passed, "PYTHONPATH": _ROOT, "HOME": tempfile.gettempdir()}
