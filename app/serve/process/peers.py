"""The peers of a worker: the worker that answers ``/metrics`` gathers those of all; one that gets a refresh passes it on to all.

A request from outside reaches any one worker. Each worker answers the others on a Unix socket, in a folder that only this user may
enter: a connection is one line, ``metrics`` or ``refresh MODEL``, and the response until its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from app import log
from app.errors import SnowsageError
from app.serve.process.merged_metrics import merge
from app.serve.process.worker_config import WorkerConfig

#: Seconds for the others to answer; Prometheus waits 10 for the whole scrape by default.
TIMEOUT_S = 2.0
#: Seconds that a worker waits to be prepared before it listens. After that it answers that it lives and why it is not ready.
PREPARE_S = 10.0

_METRICS, _REFRESH = b"metrics", b"refresh"
_DONE = b"done"

_logger = logging.getLogger(__name__)


class Peers:
    """All workers, as one of them sees them."""

    def __init__(self, config: WorkerConfig, timeout_s: float = TIMEOUT_S) -> None:
        self._config, self._timeout_s = config, timeout_s

    @asynccontextmanager
    async def answering(self, exposition: Callable[[], bytes], refresh: Callable[[str], object]) -> AsyncIterator[None]:
        """Answer the others with this worker's metrics, and read a model's record again for them, which may block."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                verb, _, model = (await reader.readline()).strip().partition(b" ")
                if verb == _REFRESH:
                    with suppress(SnowsageError):  # the worker that got the request reports the error
                        await asyncio.to_thread(refresh, model.decode())
                writer.write(exposition() if verb == _METRICS else _DONE)
                await writer.drain()
            except OSError:
                pass  # the other worker has gone
            finally:
                writer.close()

        path = self._config.socket_of(self._config.number)
        path.unlink(missing_ok=True)  # of a worker that was killed
        server = await asyncio.start_unix_server(serve, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def gather(self, own: bytes) -> bytes:
        """The metrics of all, each sample labelled with its worker, in Prometheus's text format; ``own``: this worker's."""
        expositions = {str(number): text for number, text in (await self._ask_others(_METRICS)).items()}
        expositions[str(self._config.number)] = own
        in_order = {worker: expositions[worker] for worker in sorted(expositions, key=int)}
        return merge(in_order) + _worker_gauges(self._config.of, self._config.of - len(expositions))

    async def refresh_others(self, model: str) -> None:
        """Have the others read the record of ``model`` again. One that does not answer reads it by itself a little later."""
        await self._ask_others(_REFRESH + b" " + model.encode())

    async def _ask_others(self, line: bytes) -> dict[int, bytes]:
        others = [number for number in range(1, self._config.of + 1) if number != self._config.number]
        answers = await asyncio.gather(*(self._ask(number, line) for number in others))
        return {number: answer for number, answer in zip(others, answers, strict=True) if answer}

    async def _ask(self, number: int, line: bytes) -> bytes:
        """The response of a worker; empty if it does not answer in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_unix_connection(self._config.socket_of(number))
                try:
                    writer.write(line + b"\n")
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            log.event(_logger, logging.WARNING, "a worker is silent", silent=number, error=type(error).__name__)
            return b""


def _worker_gauges(total: int, missing: int) -> bytes:
    registry = CollectorRegistry()
    Gauge("snowsage_serve_workers", "Workers that should run.", registry=registry).set(total)
    Gauge(
        "snowsage_serve_workers_unheard", "Workers whose metrics are missing from this response.", registry=registry
    ).set(missing)
    return generate_latest(registry)
