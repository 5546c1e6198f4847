"""The service as ``snowsage serve`` runs it, which also counts the CPU time of the parts of a request.

Run by ``profile``: ``python -m benchmarks.serving.servers.profiled FILE`` with the service's settings. ``FILE`` gets the counters,
nanoseconds by ``PARTS``, while the service runs. A part is counted on the thread that runs it, without the parts inside it; each
change of part costs about a microsecond. What is not counted, such as sockets, the parser and the event loop, is the rest
of the process's CPU time.
"""

from __future__ import annotations

import mmap
import sys
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

#: The phases of ``PredictionRequest.phase``, and what is around them from the credential to the log.
PARTS = ("decode", "score", "encode", "admission")
_HTTP = len(PARTS)

_BYTES = 8


class Counters:
    """Nanoseconds by part, in a file that another process reads at any time."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            file.truncate(_BYTES * (_HTTP + 1))
            self._file = mmap.mmap(file.fileno(), 0)
        self._numbers = memoryview(self._file).cast("q")
        self._of_thread = threading.local()

    @contextmanager
    def part(self, number: int) -> Iterator[None]:
        """Count the CPU time of the block, less that of parts inside it, as part ``number``."""
        self.enter(number)
        try:
            yield
        finally:
            self.leave()

    def enter(self, number: int) -> None:
        """Begin part ``number`` on this thread."""
        self._charge()
        self._of_thread.running.append(number)

    def leave(self) -> None:
        """Return to the part before."""
        self._charge()
        self._of_thread.running.pop()

    def _charge(self) -> None:
        here = self._of_thread
        now = time.thread_time_ns()
        if not hasattr(here, "running"):
            here.running, here.since = [], now
        if here.running:
            self._numbers[here.running[-1]] += now - here.since
        here.since = now


def read(path: Path) -> dict[str, float]:
    """Seconds of CPU time by part, since the start."""
    numbers = memoryview(path.read_bytes()).cast("q")
    return {part: numbers[index] / 1e9 for index, part in enumerate(PARTS)}


@types.coroutine
def stepped(counters: Counters, number: int, inner: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """``inner``, whose steps are counted; while it waits, nothing is."""
    value, error = None, None
    while True:
        counters.enter(number)
        try:
            awaited = inner.throw(error) if error else inner.send(value)
        except StopIteration:
            return
        finally:
            counters.leave()
        value, error = None, None
        try:
            value = yield awaited
        except BaseException as raised:  # of any kind, a cancellation too: it belongs to `inner`
            error = raised


def instrument(counters: Counters) -> None:
    """Count the parts of every request that this process answers."""
    from app.serve.http.middleware import EdgeMiddleware
    from app.serve.http.predict import PredictionHandler
    from app.serve.request import PredictionRequest

    admission = PARTS.index("admission")
    edge, phase = EdgeMiddleware.__call__, PredictionRequest.phase

    async def counted_edge(self: EdgeMiddleware, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            with counters.part(_HTTP):
                await send(message)

        await stepped(counters, admission, edge(self, scope, receive, sent))

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            with counters.part(admission):
                return function(*arguments)

        return run

    @contextmanager
    def counted_phase(self: PredictionRequest, name: str) -> Iterator[None]:
        with phase(self, name), counters.part(PARTS.index(name)):
            yield

    replaced: list[tuple[type, str, Callable[..., Any] | Callable[..., AbstractContextManager[None]]]] = [
        (EdgeMiddleware, "__call__", counted_edge),
        (PredictionHandler, "_logged", counted(PredictionHandler._logged)),  # in a thread
        (PredictionHandler, "_record", counted(PredictionHandler._record)),  # after the response
        (PredictionRequest, "phase", counted_phase),
    ]
    for owner, name, function in replaced:
        setattr(owner, name, function)


def main() -> None:
    """Serve."""
    from app.__main__ import main as run

    instrument(Counters(Path(sys.argv[1])))
    sys.argv[1:] = ["serve"]
    run()


if __name__ == "__main__":
    main()
