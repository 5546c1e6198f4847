"""One worker: the service as one process runs it, told by a supervisor where to listen and when to leave.

The one surprise: its socket listens only when the worker is prepared (``web`` waits for that), so a worker that was just started
gets no connection that another could have answered at once.
"""

from __future__ import annotations

import socket

from fastapi import FastAPI

from app.serve.process import shared_port
from app.serve.process.assignment import Post
from app.serve.process.control_channel import Line, end_s
from app.serve.process.server import Server, run
from app.settings import ServeSettings


def work(settings: ServeSettings, app: FastAPI, post: Post) -> None:
    """Answer by ``app`` until the supervisor, or its end, says to leave. Raises CallerError where no supervisor is."""
    line = Line(post, lambda: bool(app.state.readiness.draining), end_s(settings))
    with _listener(settings, post) as listener:
        run(_Worker(settings, app, line), listener)


def _listener(settings: ServeSettings, post: Post) -> socket.socket:
    if post.listener is not None:
        return socket.socket(fileno=post.listener)
    return shared_port.join(settings.serve_host, settings.serve_port)


class _Worker(Server):
    def __init__(self, settings: ServeSettings, app: FastAPI, line: Line) -> None:
        super().__init__(settings, app)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._line.follow()  # here, where signals are handled already
        await super().startup(sockets)
        self._line.tell_that_it_listens()
