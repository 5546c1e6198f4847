"""A server in the benchmark: started once on given cores, sent requests, measured as a tree of processes, stopped.

Servers differ in their command, their protocol and their health check; ``ours`` and ``peers`` define them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.serving.load.exchange import Exchange
from benchmarks.serving.servers import processes
from benchmarks.serving.workload import Cell, Workload

HOST = "127.0.0.1"
START_S = 120.0

#: One thread for each prediction, for all servers: more threads than cores would slow all of them.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


class NotAvailable(Exception):
    """The server cannot take part; the text says why and what to do."""


@dataclass(frozen=True)
class Place:
    """``folder``: for files; ``server_cores``: where servers run; ``load_cores``: where everything else runs."""

    folder: Path
    server_cores: frozenset[int]
    load_cores: frozenset[int]
    workload: Workload


class Server(ABC):
    """``name``: in tables; ``key``: on the command line; ``protocol``, ``settings``: shown with the results."""

    name = key = protocol = settings = ""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.port = free_port()
        self.folder = place.folder / self.key
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments."""

    def environment(self) -> Mapping[str, str]:
        """The program's environment."""
        return clean_environment(self.folder)

    @abstractmethod
    def health(self) -> str:
        """The path that answers 200 once the server is ready."""

    @abstractmethod
    def exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        """The request for ``rows`` in the server's own protocol."""

    def version(self) -> str:
        """The version to show next to its name."""
        return ""

    def roots(self) -> list[int]:
        """The processes whose trees are measured."""
        return [self._process.pid] if self._process else []

    def start(self) -> None:
        """Return once the server is ready. Raises NotAvailable or RuntimeError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command, environment = self.command(), self.environment()
        self._process = processes.start(command, self.folder, environment, set(self.place.server_cores))
        log = self.folder / "output.log"
        processes.wait_until(_probes(self.port, self.health()), self._process, START_S, log)

    def park(self) -> None:
        """Stop its processes where they are."""
        processes.signal_all(processes.tree(self.roots()), signal.SIGSTOP)

    def unpark(self, cores: frozenset[int]) -> None:
        """Resume its processes, on ``cores``."""
        members = processes.tree(self.roots())
        processes.pin(members, set(cores))
        processes.signal_all(members, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self.unpark(self.place.server_cores)
            processes.end(self._process)
            self._process = None


class PackingServer(Server):
    """A server that also accepts gzip bodies."""

    @abstractmethod
    def packed_exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        """The request for ``rows`` with a gzip body."""


def clean_environment(home: Path) -> dict[str, str]:
    """An environment without the user's settings: a proxy, a profile or a thread count would change the results."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **ONE_THREAD, "HOME": str(home), "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _probes(port: int, path: str) -> Iterator[bool]:
    while True:
        connection = HTTPConnection(HOST, port, timeout=2)
        try:
            connection.request("GET", path)
            yield connection.getresponse().status == 200
        except (OSError, HTTPException):
            yield False
        finally:
            connection.close()
