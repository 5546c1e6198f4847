"""The process that starts the workers, replaces those that die, and tells them when to leave; it answers no request itself.

SIGTERM and SIGINT are passed on, with the meaning that they have for one process. While a worker listens, others that die are
replaced, later and later. Where none listens and one has failed to start again and again, all end, with its exit code.

The one surprise: a worker is told in words on its ``line``, and that line's end is how workers learn that this process was killed.
"""

from __future__ import annotations

import logging
import math
import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app import log, settings
from app.errors import CallerError, PermanentError, SnowsageError, TransientError
from app.serve.process import control_channel
from app.serve.process.assignment import Post
from app.serve.process.shared_port import DEALS_OUT, Port
from app.settings import ServeSettings

#: Starts of one worker that fail in a row, after which there is no more hope if no other listens.
FAILED_STARTS = 3
#: Seconds until a worker is started again: the first time, doubled from time to time, at most; all anew after a long life.
_AGAIN_S, _AGAIN_AT_MOST_S, _LONG_LIFE_S = 0.5, 30.0, 60.0
#: Characters of the folder's name, so that a socket's, within it, keeps below the 104 that all systems allow.
_LONGEST_FOLDER = 90

_logger = logging.getLogger(__name__)


@dataclass
class _Seat:
    """One worker's place, and the process in it, if any."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    line: socket.socket | None = None
    listens: bool = False
    started_at: float = 0.0
    start_at: float = 0.0
    deaths: int = 0  # in a row, each after a short life
    failed_starts: int = 0  # in a row


class Supervisor:
    """``count`` workers. ``command``: what starts one, but for its post. For the main thread, where signals come."""

    def __init__(self, chosen: ServeSettings, count: int, command: Sequence[str], deals_out: bool = DEALS_OUT) -> None:
        """Takes the port. Raises CallerError where it cannot be had."""
        self._settings, self._command = chosen, command
        self._port = Port(chosen.serve_host, chosen.serve_port, deals_out)
        self._seats = [_Seat(number) for number in range(1, count + 1)]
        self._selector = selectors.DefaultSelector()
        self._folder = ""
        self._told_address = False
        self._leaving = 0  # the first signal, once there was one
        self._kill_at = math.inf
        self._fault: SnowsageError | None = None

    def run(self) -> None:
        """Until a signal, by which this process then ends too. Raises SnowsageError where no worker can be started."""
        signals, wakes = socket.socketpair()
        with self._port, self._selector, signals, wakes:
            signals.setblocking(False)
            wakes.setblocking(False)
            signal.set_wakeup_fd(wakes.fileno())
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, lambda *_: None)  # each arrives at `signals` as its number
            self._selector.register(signals, selectors.EVENT_READ, lambda: self._hear_signals(signals))
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
        while not self._leaving or any(seat.process for seat in self._seats):
            now = time.monotonic()
            for seat in self._seats:
                if seat.process and self._kill_at <= now:
                    seat.process.kill()
                elif not seat.process and not self._leaving and seat.start_at <= now:
                    self._start(seat)
            for key, _ in self._selector.select(self._until_next()):
                key.data()

    def _until_next(self) -> float | None:
        """Seconds until something is due by itself."""
        now = time.monotonic()
        if self._leaving:
            return self._kill_at - now if self._kill_at > now else None
        due = [seat.start_at for seat in self._seats if not seat.process]
        return max(0.0, min(due) - now) if due else None

    def _start(self, seat: _Seat) -> None:
        seat.listens, seat.started_at = False, time.monotonic()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                seat.process = self._spawn(seat.number, theirs.fileno())
        except OSError as error:  # no memory, or no more processes allowed
            ours.close()
            self._plan_next(seat, PermanentError.exit_code, by=error.strerror)
            return
        seat.line = ours
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(seat, ours))
        log.event(_logger, logging.INFO, "a worker starts", worker=seat.number, pid=seat.process.pid)

    def _spawn(self, number: int, line_end: int) -> subprocess.Popen[bytes]:
        inherited = [] if self._port.listener is None else [self._port.listener.fileno()]
        return subprocess.Popen(
            [*self._command, Post(number, len(self._seats), self._folder, *inherited).to_json()],
            stdin=line_end,
            env={**settings.without_unknown(os.environ), "SNOWSAGE_SERVE_PORT": str(self._port.number)},
            pass_fds=inherited,
            process_group=0,  # a terminal's Ctrl-C comes here alone
        )

    def _hear(self, seat: _Seat, ours: socket.socket) -> None:
        if seat.line is not ours or not seat.process:
            return  # what was heard of it together with this was its end
        if _received(ours) != control_channel.LISTENS:
            self._selector.unregister(ours)  # the line's end; that of the process comes as a signal
            return
        seat.listens, seat.failed_starts = True, 0
        if not self._told_address:
            log.event(_logger, logging.INFO, "listening", address=self._port.url, workers=len(self._seats))
            self._told_address = True
        log.event(_logger, logging.INFO, "a worker listens", worker=seat.number, pid=seat.process.pid)

    def _hear_signals(self, signals: socket.socket) -> None:
        for number in _received(signals):
            if number == signal.SIGCHLD:
                for seat in self._seats:
                    if seat.process and seat.process.poll() is not None:
                        self._bury(seat, seat.process)
            elif not self._leaving:
                self._leave(number, control_channel.LEAVE if number == signal.SIGTERM else control_channel.STOP)
            else:
                self._tell(control_channel.STOP if number == signal.SIGTERM else control_channel.DROP)

    def _bury(self, seat: _Seat, process: subprocess.Popen[bytes]) -> None:
        assert seat.line
        if seat.line in self._selector.get_map():
            self._selector.unregister(seat.line)
        seat.listens = seat.listens or _received(seat.line) == control_channel.LISTENS  # said, and not heard yet
        seat.line.close()
        seat.process, seat.line = None, None
        if not self._leaving:
            self._plan_next(seat, process.returncode, pid=process.pid, by=_ending(process.returncode))

    def _plan_next(self, seat: _Seat, code: int, **fields: object) -> None:
        """Start another one in some time, or give up."""
        now = time.monotonic()
        seat.failed_starts = 0 if seat.listens else seat.failed_starts + 1
        seat.listens = False
        seat.deaths = 1 if now - seat.started_at > _LONG_LIFE_S else seat.deaths + 1
        wait_s = min(_AGAIN_S * 2.0 ** min(seat.deaths - 1, 10), _AGAIN_AT_MOST_S)
        seat.start_at = now + wait_s
        log.event(_logger, logging.WARNING, "a worker ended", worker=seat.number, **fields, again_in_s=wait_s)
        if seat.failed_starts >= FAILED_STARTS and not any(other.listens for other in self._seats):
            self._fault = _given_up(code, str(fields["by"]))
            self._leave(signal.SIGINT, control_channel.STOP)

    def _leave(self, number: int, word: bytes) -> None:
        lame_duck_s = self._settings.lame_duck_s if word == control_channel.LEAVE else 0.0
        self._leaving = number
        self._kill_at = time.monotonic() + lame_duck_s + control_channel.end_s(self._settings)
        for seat in self._seats:
            if seat.process and not seat.listens:
                seat.process.terminate()  # it has nothing in hand, and may be far from hearing words
        self._tell(word)

    def _tell(self, word: bytes) -> None:
        for seat in self._seats:
            if seat.line:
                with suppress(OSError):  # it has ended
                    seat.line.send(word)


def _private_folder() -> str:
    """For the workers' Unix sockets; only this user may enter it."""
    try:
        folder = tempfile.mkdtemp(prefix="snowsage-serve-")
    except OSError as error:
        raise CallerError(f"the workers need a folder for sockets ({error.strerror}); set TMPDIR to one") from error
    if len(folder) > _LONGEST_FOLDER:
        Path(folder).rmdir()
        raise CallerError(
            f"the workers cannot have sockets in {folder}, whose name is too long; set TMPDIR to a shorter one"
        )
    return folder


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(256)
    except OSError:
        return b""


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _given_up(code: int, how: str) -> SnowsageError:
    text = f"no worker answers, and one failed to start {FAILED_STARTS} times in a row, at last by {how}; its lines above say why"
    kinds: tuple[type[SnowsageError], ...] = (CallerError, TransientError)
    return next((kind(text) for kind in kinds if kind.exit_code == code), PermanentError(text))
