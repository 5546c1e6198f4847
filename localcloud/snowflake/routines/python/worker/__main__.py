"""The fork server: imports the libraries of handlers once, then forks one process for each handler.

Importing pandas takes half a second and Snowpark another one and a half; a fork takes milliseconds. The server sends
one message for each process over the inherited socket: environment and working directory, with three descriptors:
input, output and a *lifeline*. The process ends when the server closes the lifeline; when it ends by itself, its exit
status is written there. This program ends, with all its processes, when the socket closes.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any

_MAX_MESSAGE_BYTES = 1 << 16


class _ForkServer:
    """``_lifelines``: by process id."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lifelines: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._wakeup, woken = socket.socketpair()
        self._wakeup.setblocking(False)
        woken.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno())
        self._woken = woken
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    if not self._fork():
                        return
                elif key.fileobj is self._wakeup:
                    self._wakeup.recv(4096)
                    self._reap()
                elif key.data in self._lifelines:
                    os.kill(key.data, signal.SIGKILL)
                    self._selector.unregister(key.fileobj)

    def end(self) -> None:
        for process in self._lifelines:
            os.kill(process, signal.SIGKILL)

    def _fork(self) -> bool:
        """Fork the process of the next message; False if the socket was closed."""
        message, descriptors, _, _ = socket.recv_fds(self._control, _MAX_MESSAGE_BYTES, 3)
        if not message:
            return False
        source, target, lifeline = descriptors
        process = os.fork()
        if process == 0:
            self._become(json.loads(message), source, target, lifeline)
        os.close(source)
        os.close(target)
        self._lifelines[process] = socket.socket(fileno=lifeline)
        self._selector.register(self._lifelines[process], selectors.EVENT_READ, process)
        self._control.sendall(b"+")
        return True

    def _become(self, start: dict[str, Any], source: int, target: int, lifeline: int) -> None:
        """In the new process: run the handler's main loop, and never return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(source, 0)
            os.dup2(target, 1)
            for descriptor in (
                source,
                target,
                lifeline,
                self._control.fileno(),
                *map(socket.socket.fileno, self._own()),
            ):
                os.close(descriptor)
            os.environ.clear()
            os.environ.update(start["environment"])
            time.tzset()
            os.chdir(start["folder"])
            _seed()
            from localcloud.snowflake.routines.python.worker.main import main

            main()
            code = 0
        finally:
            os._exit(code)

    def _own(self) -> list[socket.socket]:
        return [self._wakeup, self._woken, *self._lifelines.values()]

    def _reap(self) -> None:
        """Report the exit status of processes that have ended."""
        while self._lifelines:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            lifeline = self._lifelines.pop(process)
            if lifeline in self._selector.get_map():
                self._selector.unregister(lifeline)
            with suppress(OSError):  # the server has closed it, and waits for no status
                lifeline.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            lifeline.close()


def _seed() -> None:
    """Give the process random numbers of its own; Python does so for ``random``."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        with suppress(ImportError):
            importlib.import_module(name)
    server = _ForkServer(control)
    try:
        server.run()
    finally:
        server.end()


if __name__ == "__main__":
    main()
