"""A worker: the service in one process, controlled by a supervisor.

Its socket listens only once the worker is prepared (``application`` waits for that), so a worker that has just started gets no
connection that another could have answered at once.
"""

from __future__ import annotations

import asyncio
import socket

from fastapi import FastAPI

from app.serve.process import shared_port
from app.serve.process.control_channel import ControlChannel, end_s
from app.serve.process.server import Server, run
from app.serve.process.worker_config import WorkerConfig
from app.settings import ServeSettings


def work(settings: ServeSettings, app: FastAPI, config: WorkerConfig) -> None:
    """Serve ``app`` until the supervisor stops it or ends. Raises CallerError without a supervisor."""
    channel = ControlChannel(config, lambda: bool(app.state.readiness.draining), end_s(settings))
    with _listener(settings, config) as listener:
        run(_Worker(settings, app, channel), listener)


def _listener(settings: ServeSettings, config: WorkerConfig) -> socket.socket:
    if config.listener is not None:
        return socket.socket(fileno=config.listener)
    return shared_port.join(settings.serve_host, settings.serve_port)


class _Worker(Server):
    def __init__(self, settings: ServeSettings, app: FastAPI, channel: ControlChannel) -> None:
        super().__init__(settings, app)
        self._channel, self._alive_every_s = channel, settings.worker_silence_s / 4
        self._reporting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._channel.follow()  # here, because signals are handled by now
        await super().startup(sockets)
        self._channel.report_listening()
        # Until the loop ends: also while the last requests are answered.
        self._reporting = asyncio.create_task(self._channel.report_alive(self._alive_every_s))
