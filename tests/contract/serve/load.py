"""Callers on raw sockets, cheap enough to overload a service in the same process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.unit.serve.fakes import SECRET

BODY = b'{"data":[[0,1,2,3]]}'


def head(path: str, length: int, *lines: str) -> bytes:
    """The request line and headers."""
    more = "".join(f"{line}\r\n" for line in lines)
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Snowsage-Secret: {SECRET}\r\n{more}Content-Length: {length}\r\n\r\n".encode()


@dataclass
class Seen:
    """Durations of responses by status, and other observations."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    closed: int = 0

    def median(self, status: int) -> float:
        times = sorted(self.seconds[status])
        return times[len(times) // 2]

    def count(self, status: int) -> int:
        return len(self.seconds.get(status, []))


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """(status, headers in lower case, body) of the next response."""
    found = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(found.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(found[9:12]), found, await reader.readexactly(length)


#: Seconds between a rejection and the caller's next request: callers share a processor with the service, so they must leave it
#: some time.
BREATH_S = 0.1


async def caller(port: int, request: bytes, seen: Seen, goes_on: Callable[[], bool]) -> None:
    """Send requests repeatedly, on one connection as long as the service keeps it open."""
    writer = None
    while goes_on():
        start = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            status, found, _ = await answer(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.broken.append(repr(error))
            writer = None
            continue
        seen.seconds.setdefault(status, []).append(time.perf_counter() - start)
        if b"connection: close" in found:
            seen.closed += 1
            writer.close()
            writer = None
        if status == 429:
            await asyncio.sleep(BREATH_S)
    if writer:
        writer.close()


def flood(port: int, callers: int, seconds: float, request: bytes, *meanwhile: Awaitable[None]) -> Seen:
    """Run ``callers`` concurrently for ``seconds``, next to the awaitables in ``meanwhile``."""
    seen = Seen()

    async def run() -> None:
        until = time.perf_counter() + seconds
        asking = [caller(port, request, seen, lambda: time.perf_counter() < until) for _ in range(callers)]
        await asyncio.gather(*asking, *meanwhile)

    asyncio.run(run())
    return seen
