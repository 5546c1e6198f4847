"""The supervisor: starts the workers, replaces those that die or hang, and has them drain; it answers no request itself.

SIGTERM and SIGINT are passed on with the meaning that they have for one process. While a worker listens, others that die are
replaced, with growing delays. If none listens and one has repeatedly failed to start, all end, with its exit code.

Workers get commands over their control channel. When it ends, this process was killed.
"""

from __future__ import annotations

import logging
import math
import os
import select
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app import log, settings
from app.errors import CallerError, PermanentError, SnowsageError
from app.serve.process import control_channel
from app.serve.process.shared_port import DISTRIBUTES, SharedPort
from app.serve.process.worker_config import WorkerConfig
from app.settings import ServeSettings

#: Failed starts of one worker in a row after which the service ends, if no other worker listens.
FAILED_STARTS = 3
#: Seconds until a worker is restarted: the first delay, which doubles, and its bound; a worker that lived this long resets it.
_RESTART_S, _MAX_RESTART_S, _STABLE_S = 0.5, 30.0, 60.0
#: Characters of the folder's name, so that a socket's path stays below the 104 that all systems allow.
_MAX_FOLDER_CHARS = 90

_logger = logging.getLogger(__name__)


@dataclass
class _Worker:
    """One worker and its process, if it runs."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    channel: socket.socket | None = None
    listens: bool = False
    started_at: float = 0.0
    heard_at: float = 0.0  # the last sign of life, once it listens
    start_at: float = 0.0
    deaths: int = 0  # in a row, each after less than _STABLE_S
    failed_starts: int = 0  # in a row


class Supervisor:
    """``count`` workers. ``command``: starts one, without its configuration. For the main thread, which gets the signals.

    ``error_kind``: the kind of error for an exit code of the command.
    """

    def __init__(
        self,
        chosen: ServeSettings,
        count: int,
        command: Sequence[str],
        error_kind: Callable[[int], type[SnowsageError]],
        distributes: bool = DISTRIBUTES,
    ) -> None:
        """Takes the port. Raises CallerError if it cannot."""
        self._settings, self._command, self._error_kind = chosen, command, error_kind
        self._port = SharedPort(chosen.serve_host, chosen.serve_port, distributes)
        self._workers = [_Worker(number) for number in range(1, count + 1)]
        self._selector = selectors.DefaultSelector()
        self._folder = ""
        self._logged_address = False
        self._leaving = 0  # the first signal, 0 before there is one
        self._kill_at = math.inf
        self._fault: SnowsageError | None = None

    def run(self) -> None:
        """Run until a signal; a SIGTERM then ends this process, too. Raises SnowsageError if no worker can be started."""
        signals, wakes = socket.socketpair()
        with self._port, self._selector, signals, wakes:
            signals.setblocking(False)
            wakes.setblocking(False)
            signal.set_wakeup_fd(wakes.fileno())
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, lambda *_: None)  # each arrives at `signals` as its number
            self._selector.register(signals, selectors.EVENT_READ, lambda: self._on_signals(signals))
            self._folder = _private_folder()
            try:
                self._supervise()
            finally:
                shutil.rmtree(self._folder, ignore_errors=True)
                signal.set_wakeup_fd(-1)
        if self._fault:
            raise self._fault
        log.event(_logger, logging.INFO, "stopped")
        if self._leaving == signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    def _supervise(self) -> None:
        while not self._leaving or any(worker.process for worker in self._workers):
            now = time.monotonic()
            for worker in self._workers:
                if worker.process and self._kill_at <= now:
                    worker.process.kill()
                elif worker.process and self._silent_at(worker) <= now:
                    self._kill_silent(worker, worker.process)
                elif not worker.process and not self._leaving and worker.start_at <= now:
                    self._start(worker)
            for key, _ in self._selector.select(self._until_next()):
                key.data()

    def _until_next(self) -> float | None:
        """Seconds until the next restart or kill."""
        running = [self._silent_at(worker) for worker in self._workers if worker.process]
        others = [self._kill_at] if self._leaving else [each.start_at for each in self._workers if not each.process]
        now = time.monotonic()
        if self._kill_at <= now:
            return None  # all are killed, and their ends arrive as signals
        first = min([*running, *others])
        return max(0.0, first - now) if first < math.inf else None

    def _silent_at(self, worker: _Worker) -> float:
        """When a listening worker is given up unless it gives a sign of life before."""
        if not worker.listens:
            return math.inf
        return worker.heard_at + self._settings.worker_silence_s

    def _kill_silent(self, worker: _Worker, process: subprocess.Popen[bytes]) -> None:
        """Kill a worker that hangs; its end is then noticed as that of any other."""
        assert worker.channel
        if _is_readable(worker.channel):
            return  # this process was stopped itself, and has not read yet what was sent meanwhile
        log.event(
            _logger,
            logging.WARNING,
            "a worker hangs and is killed",
            worker=worker.number,
            pid=process.pid,
            silent_s=self._settings.worker_silence_s,
        )
        process.kill()
        worker.heard_at = math.inf

    def _start(self, worker: _Worker) -> None:
        worker.listens, worker.started_at = False, time.monotonic()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                worker.process = self._spawn(worker.number, theirs.fileno())
        except OSError as error:  # no memory, or no more processes allowed
            ours.close()
            self._schedule_restart(worker, PermanentError, by=error.strerror)
            return
        worker.channel = ours
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._on_message(worker, ours))
        log.event(_logger, logging.INFO, "a worker starts", worker=worker.number, pid=worker.process.pid)

    def _spawn(self, number: int, channel_end: int) -> subprocess.Popen[bytes]:
        inherited = [] if self._port.listener is None else [self._port.listener.fileno()]
        return subprocess.Popen(
            [*self._command, WorkerConfig(number, len(self._workers), self._folder, *inherited).to_json()],
            stdin=channel_end,
            env={**settings.without_unknown(os.environ), "SNOWSAGE_SERVE_PORT": str(self._port.number)},
            pass_fds=inherited,
            process_group=0,  # a terminal's Ctrl-C comes here alone
        )

    def _on_message(self, worker: _Worker, ours: socket.socket) -> None:
        if worker.channel is not ours or not worker.process:
            return  # the process has ended in the same round of events
        received = _received(ours)
        if not received:
            self._selector.unregister(ours)  # the channel's end; that of the process comes as a signal
            return
        worker.heard_at = time.monotonic()
        if control_channel.LISTENS in received:
            self._listens(worker, worker.process)

    def _listens(self, worker: _Worker, process: subprocess.Popen[bytes]) -> None:
        worker.listens, worker.failed_starts = True, 0
        if not self._logged_address:
            url = self._port.url
            log.event(_logger, logging.INFO, "listening", address=url, docs=f"{url}/docs", workers=len(self._workers))
            self._logged_address = True
        log.event(_logger, logging.INFO, "a worker listens", worker=worker.number, pid=process.pid)

    def _on_signals(self, signals: socket.socket) -> None:
        for number in _received(signals):
            if number == signal.SIGCHLD:
                for worker in self._workers:
                    if worker.process and worker.process.poll() is not None:
                        self._on_exit(worker, worker.process)
            elif not self._leaving:
                self._leave(number, control_channel.DRAIN if number == signal.SIGTERM else control_channel.STOP)
            else:
                self._send(control_channel.STOP if number == signal.SIGTERM else control_channel.DROP)

    def _on_exit(self, worker: _Worker, process: subprocess.Popen[bytes]) -> None:
        assert worker.channel
        if worker.channel in self._selector.get_map():
            self._selector.unregister(worker.channel)
        worker.listens = worker.listens or control_channel.LISTENS in _received(
            worker.channel
        )  # reported, but not read yet
        worker.channel.close()
        worker.process, worker.channel = None, None
        if not self._leaving:
            code = process.returncode
            self._schedule_restart(worker, self._error_kind(code), pid=process.pid, by=_ending(code))

    def _schedule_restart(self, worker: _Worker, kind: type[SnowsageError], **fields: object) -> None:
        """Restart a worker after a delay, or give up. ``kind``: of the error that it ended with."""
        now = time.monotonic()
        worker.failed_starts = 0 if worker.listens else worker.failed_starts + 1
        worker.listens = False
        worker.deaths = 1 if now - worker.started_at > _STABLE_S else worker.deaths + 1
        wait_s = min(_RESTART_S * 2.0 ** min(worker.deaths - 1, 10), _MAX_RESTART_S)
        worker.start_at = now + wait_s
        log.event(_logger, logging.WARNING, "a worker ended", worker=worker.number, **fields, again_in_s=wait_s)
        if worker.failed_starts >= FAILED_STARTS and not any(other.listens for other in self._workers):
            self._fault = kind(_given_up(str(fields["by"])))
            self._leave(signal.SIGINT, control_channel.STOP)

    def _leave(self, number: int, command: bytes) -> None:
        lame_duck_s = self._settings.lame_duck_s if command == control_channel.DRAIN else 0.0
        self._leaving = number
        self._kill_at = time.monotonic() + lame_duck_s + control_channel.end_s(self._settings)
        for worker in self._workers:
            if worker.process and not worker.listens:
                worker.process.terminate()  # it has no request, and may not read its channel yet
        self._send(command)

    def _send(self, command: bytes) -> None:
        for worker in self._workers:
            if worker.channel:
                with suppress(OSError):  # the worker has ended
                    worker.channel.send(command)


def _private_folder() -> str:
    """A folder for the workers' Unix sockets, which only this user may enter."""
    try:
        folder = tempfile.mkdtemp(prefix="snowsage-serve-")
    except OSError as error:
        raise CallerError(f"the workers need a folder for sockets ({error.strerror}); set TMPDIR to one") from error
    if len(folder) > _MAX_FOLDER_CHARS:
        Path(folder).rmdir()
        raise CallerError(
            f"the workers cannot have sockets in {folder}, whose name is too long; set TMPDIR to a shorter one"
        )
    return folder


def _is_readable(source: socket.socket) -> bool:
    return bool(select.select([source], [], [], 0)[0])


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(256)
    except OSError:
        return b""


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _given_up(how: str) -> str:
    return (
        f"no worker answers, and one failed to start {FAILED_STARTS} times in a row, the last time with {how}; "
        "its log lines above say why"
    )
