"""The line between the supervisor and a worker: a socket pair whose one end is the worker's standard input.

The worker says once that it listens. The supervisor tells it to leave, and by its own end, whatever ended it, that nobody looks
after the worker any more. Words and not signals go to the workers, for a manager of services may signal all processes itself, and
a second signal means more haste. A signal to a worker alone works as with one process; the supervisor then starts another.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from app.errors import CallerError
from app.serve.process.assignment import BY_HAND, Post
from app.settings import ServeSettings

#: Answer for ``lame_duck_s`` more; stop listening; drop what is in hand.
LEAVE, STOP, DROP = b"l", b"s", b"d"
LISTENS = b"!"
#: Seconds beyond a request's: for the server to see that it was answered, and for the application to write its last captured rows.
_END_S = 20.0


def end_s(settings: ServeSettings) -> float:
    """Seconds from the last moment of listening until a worker has ended, if it still can."""
    return settings.budget_s + _END_S


class Line:
    """The worker's end. ``draining``: whether this worker has begun to leave; ``end_s``: so long it may take to end."""

    def __init__(self, post: Post, draining: Callable[[], bool], end_s: float) -> None:
        """Raises CallerError where nothing is at the other end."""
        self._post, self._draining, self._end_s = post, draining, end_s
        try:
            # Of a copy: the input itself stays open until the process has ended.
            self._socket = socket.socket(fileno=os.dup(0))
        except OSError as error:
            raise CallerError(BY_HAND) from error

    def follow(self) -> None:
        """Begin to do what the supervisor says."""
        threading.Thread(target=self._follow, name="supervisor", daemon=True).start()

    def tell_that_it_listens(self) -> None:
        """The worker answers from now on."""
        with suppress(OSError):  # it is gone, as the other direction tells
            self._socket.send(LISTENS)

    def _follow(self) -> None:
        while word := self._next():
            self._do(word)
        # The port is wanted by whoever starts the service again, so at once.
        self._do(STOP)
        shutil.rmtree(self._post.folder, ignore_errors=True)
        time.sleep(self._end_s)
        os._exit(1)

    def _next(self) -> bytes:
        try:
            return self._socket.recv(1)
        except OSError:
            return b""

    def _do(self, word: bytes) -> None:
        """By the signals that mean it here: a first SIGTERM, a first SIGINT or a second SIGTERM, a second SIGINT."""
        if word == DROP:
            os.kill(os.getpid(), signal.SIGINT)
        elif word == STOP:
            os.kill(os.getpid(), signal.SIGTERM if self._draining() else signal.SIGINT)
        elif not self._draining():
            os.kill(os.getpid(), signal.SIGTERM)
