"""The service as a process: an application -> a socket that answers until SIGTERM or SIGINT, then lets requests finish.

SIGTERM is how an orchestrator replaces a process, while load balancers still send to it. So the service first says that it is
not ready, goes on answering for ``lame_duck_s`` seconds, closing each connection behind the answer, and only then stops listening.
SIGINT, or a second signal, stops listening at once. Requests in hand are answered in either case.

The one surprise: the socket is opened here and handed over, for uvicorn would end the process where a port is taken.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app import log
from app.serve.http.connection import protocol_for
from app.serve.process import allocator
from app.serve.process.listener import listen, url_of
from app.serve.process.readiness import Readiness
from app.settings import ServeSettings

# Longer than a load balancer keeps idle connections (60 s), so that it never sends into one that is being closed.
_KEEP_ALIVE_S = 75
_COLLECT_AFTER = 50_000
_GRACE_BEYOND_BUDGET_S = 5
#: Seconds between the last connection that is accepted and the end of those without a request: theirs may be on its way.
_LINGER_S = 0.25

_logger = logging.getLogger(__name__)


def serve(settings: ServeSettings, app: FastAPI) -> None:
    """Serve ``app`` in this process until a signal ends it. Raises CallerError where the address cannot be listened on."""
    with listen(settings.serve_host, settings.serve_port) as listener:
        log.event(_logger, logging.INFO, "listening", address=url_of(listener))
        run(Server(settings, app), listener)


def run(server: Server, listener: socket.socket) -> None:
    """Answer on ``listener`` until a signal ends it, with this process set up for nothing else."""
    allocator.keep_blocks()
    # What is loaded by now stays: kept out of the collector's sight, it does not lengthen the pauses under load.
    gc.collect()
    gc.freeze()
    # A batch makes thousands of small objects and no circles; looking for those again and again costs as much as a tenth of it.
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        log.event(_logger, logging.INFO, "stopped")


class Server(uvicorn.Server):
    """uvicorn's, with a time between the signal and the end."""

    def __init__(self, settings: ServeSettings, app: FastAPI) -> None:
        super().__init__(make_config(settings, app))
        self._readiness: Readiness = app.state.readiness
        self._lame_duck_s = settings.lame_duck_s
        self._answer_until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave, on a signal."""
        first = not self._readiness.draining
        self._readiness.drain()
        self._answer_until = time.monotonic() + (self._lame_duck_s if first and sig == signal.SIGTERM else 0.0)
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop listening; uvicorn asks ten times a second."""
        leaving = await super().on_tick(counter)
        return leaving and (self._answer_until is None or time.monotonic() >= self._answer_until)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer what is in hand, end."""
        self._readiness.drain()
        for server in self.servers:
            server.close()
        if self._answer_until is not None:
            await asyncio.sleep(_LINGER_S)
        await super().shutdown(sockets)


def make_config(settings: ServeSettings, app: FastAPI) -> uvicorn.Config:
    """How uvicorn runs ``app``: our own log lines only, no header that names the server, time for requests to finish."""
    return uvicorn.Config(
        app,
        http=protocol_for(app.state.door, settings.max_body_bytes),  # type: ignore[arg-type]  # it may be a buffered one
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.budget_s) + _GRACE_BEYOND_BUDGET_S,
    )
