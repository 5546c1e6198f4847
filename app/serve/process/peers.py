"""The workers as one of them sees them: who is asked for the metrics gathers those of all, who is told of a version tells all.

What comes from outside reaches one worker, which one nobody can say. Each answers the others on a Unix socket, in a folder that
only this user may enter: a connection is one line, ``metrics`` or ``refresh MODEL``, and what is said to it until its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from app import log
from app.errors import SnowsageError
from app.serve.process.assignment import Post
from app.serve.process.merged_metrics import merge

#: Seconds for the others to answer; Prometheus by default waits 10 for all of it.
PATIENCE_S = 2.0
#: Seconds that a worker waits to be prepared before it listens. Beyond them it answers that it lives and why it is not ready.
PREPARE_S = 10.0

_METRICS, _REFRESH = b"metrics", b"refresh"
_DONE = b"done"

_logger = logging.getLogger(__name__)


class Crew:
    """All workers, from the place of one."""

    def __init__(self, post: Post, patience_s: float = PATIENCE_S) -> None:
        self._post, self._patience_s = post, patience_s

    @asynccontextmanager
    async def answering(self, exposition: Callable[[], bytes], refresh: Callable[[str], object]) -> AsyncIterator[None]:
        """Answer the others by this worker's metrics, and by its reading a model's record again, which may block."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                verb, _, model = (await reader.readline()).strip().partition(b" ")
                if verb == _REFRESH:
                    with suppress(SnowsageError):  # the worker that was told from outside says what is wrong
                        await asyncio.to_thread(refresh, model.decode())
                writer.write(exposition() if verb == _METRICS else _DONE)
                await writer.drain()
            except OSError:
                pass  # who asked has gone
            finally:
                writer.close()

        path = self._post.socket_of(self._post.number)
        path.unlink(missing_ok=True)  # of a worker that was killed
        server = await asyncio.start_unix_server(serve, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def gather(self, own: bytes) -> bytes:
        """The metrics of all, each sample labelled with its worker, in Prometheus's text format; ``own`` are this one's."""
        heard = {str(number): text for number, text in (await self._ask_others(_METRICS)).items()}
        heard[str(self._post.number)] = own
        in_order = {worker: heard[worker] for worker in sorted(heard, key=int)}
        return merge(in_order) + _counted(self._post.of, self._post.of - len(heard))

    async def refresh_others(self, model: str) -> None:
        """Have the others read the record of ``model`` again. Who does not answer reads it by itself a little later."""
        await self._ask_others(_REFRESH + b" " + model.encode())

    async def _ask_others(self, line: bytes) -> dict[int, bytes]:
        others = [number for number in range(1, self._post.of + 1) if number != self._post.number]
        said = await asyncio.gather(*(self._ask(number, line) for number in others))
        return {number: answer for number, answer in zip(others, said, strict=True) if answer}

    async def _ask(self, number: int, line: bytes) -> bytes:
        """What it says; nothing where it does not answer in time."""
        try:
            async with asyncio.timeout(self._patience_s):
                reader, writer = await asyncio.open_unix_connection(self._post.socket_of(number))
                try:
                    writer.write(line + b"\n")
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            log.event(_logger, logging.WARNING, "a worker is silent", silent=number, error=type(error).__name__)
            return b""


def _counted(all_of_them: int, unheard: int) -> bytes:
    registry = CollectorRegistry()
    Gauge("snowsage_serve_workers", "Workers that there should be.", registry=registry).set(all_of_them)
    Gauge(
        "snowsage_serve_workers_unheard", "Of them, those whose metrics are missing in this answer.", registry=registry
    ).set(unheard)
    return generate_latest(registry)
