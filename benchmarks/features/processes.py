"""A worker in a process of its own: its wall time, and the CPU time and memory of its whole tree."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from benchmarks.serving.servers import processes

ROOT = Path(__file__).parents[2]
WORKERS = Path(__file__).parent / "workers"
_POLL_S = 0.5


@dataclass(frozen=True)
class Cost:
    """``peak_gib``: the largest resident set of the tree while the command ran, with the data that it was loaded with."""

    wall_s: float
    cpu_s: float
    peak_gib: float


class Failed(RuntimeError):
    """The worker ended: over its memory, over its time, or with an error. The text says which."""


class Worker:
    """Runs ``script`` by ``python``; a context. ``most_gib``: more memory, or ``most_s`` more time, ends it."""

    def __init__(
        self, python: Path, script: str, job: Mapping[str, Any], folder: Path, most_gib: float, most_s: float
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "output.log"
        self._most_gib, self._deadline = most_gib, time.monotonic() + most_s
        self._ended_for = ""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "FEAST_USAGE": "False"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), str(WORKERS / script), json.dumps({**job, "folder": str(folder)})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=environment,
                text=True,
                start_new_session=True,
            )
        self.version = ""

    def __enter__(self) -> Worker:
        self._guard = threading.Thread(target=self._watch, daemon=True)
        self._guard.start()
        try:
            self.version = self._answer()["version"]
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def call(self, command: str) -> tuple[Cost, dict[str, Any]]:
        """Run one command. Raises Failed if the worker ends."""
        assert self._process.stdin is not None
        members = processes.tree([self._process.pid])
        processes.forget_peaks(members)
        used, started = processes.cpu_s(members), time.perf_counter()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        told = self._answer()
        wall = time.perf_counter() - started
        members = processes.tree([self._process.pid])
        return Cost(wall, processes.cpu_s(members) - used, processes.peak_mib(members) / 1024), told

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return dict(json.loads(line))
        self._process.wait()
        lines = self._log.read_text(errors="replace").splitlines()
        told = [line for line in lines if "Error" in line or "Exception" in line]
        raise Failed(self._ended_for or (told[-1].strip()[:200] if told else f"exit code {self._process.returncode}"))

    def _watch(self) -> None:
        """End the worker at its limits, so that the machine stays usable."""
        while self._process.poll() is None:
            members = processes.tree([self._process.pid])
            if _resident_gib(members) > self._most_gib:
                self._ended_for = f"over {self._most_gib:g} GiB"
            elif time.monotonic() > self._deadline:
                self._ended_for = "not done in its time"
            if self._ended_for:
                processes.signal_all(members, signal.SIGKILL)
                return
            time.sleep(_POLL_S)

    def _stop(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        processes.end(self._process)


def _resident_gib(members: Sequence[psutil.Process]) -> float:
    total = 0
    for process in members:
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total / 2**30
