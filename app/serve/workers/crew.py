"""The workers as one of them sees them: it tells the others its metrics, and gathers theirs for whoever asks it.

A scrape reaches one worker, which one nobody can say; alone it would tell a part and, from scrape to scrape, another part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from app import log
from app.serve.workers.exposition import merge
from app.serve.workers.post import Post

#: Seconds for the others to answer; Prometheus by default waits 10 for all of it.
PATIENCE_S = 2.0
#: Seconds that a worker waits to be prepared before it listens. Beyond them it answers that it lives and why it is not ready.
PREPARE_S = 10.0

_logger = logging.getLogger(__name__)


class Crew:
    """All workers, from the place of one."""

    def __init__(self, post: Post, patience_s: float = PATIENCE_S) -> None:
        self._post, self._patience_s = post, patience_s

    @asynccontextmanager
    async def telling(self, exposition: Callable[[], bytes]) -> AsyncIterator[None]:
        """Tell the others what ``exposition`` gives, as often as they connect."""

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(exposition())
                await writer.drain()
            except OSError:
                pass  # who asked has gone
            finally:
                writer.close()

        path = self._post.socket_of(self._post.number)
        path.unlink(missing_ok=True)  # of a worker that was killed
        server = await asyncio.start_unix_server(tell, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def gather(self, own: bytes) -> bytes:
        """The metrics of all, each sample labelled with its worker, in Prometheus's text format; ``own`` are this one's."""
        numbers = range(1, self._post.of + 1)
        told = await asyncio.gather(*(self._told_by(number, own) for number in numbers))
        heard = {str(number): text for number, text in zip(numbers, told, strict=True) if text is not None}
        return merge(heard) + _counted(self._post.of, self._post.of - len(heard))

    async def _told_by(self, number: int, own: bytes) -> bytes | None:
        if number == self._post.number:
            return own
        try:
            async with asyncio.timeout(self._patience_s):
                reader, writer = await asyncio.open_unix_connection(self._post.socket_of(number))
                try:
                    return await reader.read() or None
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            log.event(
                _logger, logging.WARNING, "a worker's metrics are missing", silent=number, error=type(error).__name__
            )
            return None


def _counted(all_of_them: int, unheard: int) -> bytes:
    registry = CollectorRegistry()
    Gauge("snowsage_serve_workers", "Workers that there should be.", registry=registry).set(all_of_them)
    Gauge(
        "snowsage_serve_workers_unheard", "Of them, those whose metrics are missing in this answer.", registry=registry
    ).set(unheard)
    return generate_latest(registry)
