"""The control channel between the supervisor and a worker: a socket pair, one end of which is the worker's standard input.

The worker reports once that it listens, and from then on that it is alive. The supervisor sends commands to drain or stop; when the
channel ends, the supervisor has ended, for any reason. Commands are sent instead of signals, because a service manager may signal
all processes itself, and a second signal means a faster stop. A signal to a worker alone has the meaning that it has for a service
of one process; the supervisor then starts another worker.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from app.errors import CallerError
from app.serve.process.worker_config import NOT_BY_HAND, WorkerConfig
from app.settings import ServeSettings

#: Commands: answer for ``lame_duck_s`` more; stop listening; drop the running requests.
DRAIN, STOP, DROP = b"l", b"s", b"d"
LISTENS = b"!"
#: A worker's sign of life, from its event loop.
ALIVE = b"."
#: Seconds beyond a request's: for the server to finish it, and for the application to write its last captured rows.
_END_S = 20.0


def end_s(settings: ServeSettings) -> float:
    """Seconds from the end of listening until a worker must have ended."""
    return settings.budget_s + _END_S


class ControlChannel:
    """The worker's end. ``draining``: whether this worker is draining; ``end_s``: how long it may take to end."""

    def __init__(self, post: WorkerConfig, draining: Callable[[], bool], end_s: float) -> None:
        """Raises CallerError if there is no supervisor at the other end."""
        self._post, self._draining, self._end_s = post, draining, end_s
        try:
            # On a copy: standard input itself stays open until the process has ended.
            self._socket = socket.socket(fileno=os.dup(0))
        except OSError as error:
            raise CallerError(NOT_BY_HAND) from error

    def follow(self) -> None:
        """Start to follow the supervisor's commands."""
        threading.Thread(target=self._follow, name="supervisor", daemon=True).start()

    def report_listening(self) -> None:
        """Report that the worker listens."""
        with suppress(OSError):  # the supervisor is gone, which the other direction shows
            self._socket.send(LISTENS)

    async def report_alive(self, every_s: float) -> None:
        """Give signs of life, until cancelled. On the event loop, because a loop that hangs answers no request."""
        while True:
            with suppress(OSError):  # the supervisor is gone, or stopped and its buffer is full
                self._socket.send(ALIVE, socket.MSG_DONTWAIT)
            await asyncio.sleep(every_s)

    def _follow(self) -> None:
        while command := self._next():
            self._do(command)
        # At once, because the port is needed when the service is started again.
        self._do(STOP)
        shutil.rmtree(self._post.folder, ignore_errors=True)
        time.sleep(self._end_s)
        os._exit(1)

    def _next(self) -> bytes:
        try:
            return self._socket.recv(1)
        except OSError:
            return b""

    def _do(self, command: bytes) -> None:
        """Send this process the signal for a command: a first SIGTERM, a first SIGINT or a second SIGTERM, a second SIGINT."""
        if command == DROP:
            os.kill(os.getpid(), signal.SIGINT)
        elif command == STOP:
            os.kill(os.getpid(), signal.SIGTERM if self._draining() else signal.SIGINT)
        elif not self._draining():
            os.kill(os.getpid(), signal.SIGTERM)
