"""The server process: serves an application on a socket until SIGTERM or SIGINT, then lets requests finish.

An orchestrator replaces a process by SIGTERM while load balancers still send to it. So the service first reports that it is not
ready, continues to answer for ``lame_duck_s`` seconds, closing each connection after its response, and only then stops
listening. SIGINT, or a second signal, stops listening at once. Running requests are answered in both cases.

The socket is opened here and passed to uvicorn, which would end the process if the port is in use.
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
from app.serve.process import allocator
from app.serve.process.listener import listen, url_of
from app.serve.process.readiness import Readiness
from app.settings import ServeSettings

# Longer than a load balancer keeps idle connections (60 s), so that it never sends on one that is being closed.
_KEEP_ALIVE_S = 75
_COLLECT_AFTER = 50_000
_GRACE_BEYOND_BUDGET_S = 5
#: Seconds from the last accepted connection until idle connections are closed: their first request may be on its way.
_LINGER_S = 0.25

_logger = logging.getLogger(__name__)


def serve(settings: ServeSettings, app: FastAPI) -> None:
    """Serve ``app`` in this process until a signal ends it. Raises CallerError if the address cannot be used."""
    with listen(settings.serve_host, settings.serve_port) as listener:
        url = url_of(listener)
        log.event(_logger, logging.INFO, "listening", docs=f"{url}/docs", address=url)
        run(Server(settings, app), listener)


def run(server: Server, listener: socket.socket) -> None:
    """Configure this process for a server, and serve on ``listener`` until a signal ends it."""
    allocator.keep_blocks()
    # What is loaded now stays; excluded from collections, it does not lengthen the pauses under load.
    gc.collect()
    gc.freeze()
    # A batch creates thousands of small objects and no cycles; frequent collections cost up to a tenth of its time.
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        log.event(_logger, logging.INFO, "stopped")


class Server(uvicorn.Server):
    """uvicorn's server, with a lame-duck period between the signal and the end."""

    def __init__(self, settings: ServeSettings, app: FastAPI) -> None:
        super().__init__(make_config(settings, app))
        self._readiness: Readiness = app.state.readiness
        self._lame_duck_s = settings.lame_duck_s
        self._answer_until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start draining, on a signal."""
        first = not self._readiness.draining
        self._readiness.drain()
        self._answer_until = time.monotonic() + (self._lame_duck_s if first and sig == signal.SIGTERM else 0.0)
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop listening; uvicorn calls this ten times a second."""
        exiting = await super().on_tick(counter)
        return exiting and (self._answer_until is None or time.monotonic() >= self._answer_until)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer the running requests, end."""
        self._readiness.drain()
        for server in self.servers:
            server.close()
        if self._answer_until is not None:
            await asyncio.sleep(_LINGER_S)
        await super().shutdown(sockets)


def make_config(settings: ServeSettings, app: FastAPI) -> uvicorn.Config:
    """uvicorn's configuration: only the service's own log lines, no server header, time for requests to finish."""
    return uvicorn.Config(
        app,
        http=app.state.protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.budget_s) + _GRACE_BEYOND_BUDGET_S,
    )
