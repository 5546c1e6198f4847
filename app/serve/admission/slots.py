"""Places on the event loop: a call waits for its turn, its work runs in a thread, and its place is free when the thread is.

The one surprise: the caller gets his answer by the deadline even where the thread hangs, and the place is still taken then, as it
is where a batch was answered 202 and goes on: otherwise a dead endpoint would be asked by more and more threads.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from app.errors import Overloaded, TransientError
from app.serve.admission.queue import Gate, Room, Ticket
from app.serve.admission.timeouts import Watchdog
from app.serve.codecs.body import TooSlow
from app.serve.deadline import Deadline
from app.serve.process.cpu import usable_cores
from app.serve.request import Call
from app.settings import ServeSettings

Result = TypeVar("Result")


def caller_of(user: str, credential: str) -> str:
    """Who asks: the credential's name and, where the function sends it, Snowflake's user."""
    return f"{credential}/{user}" if user else credential


class Places:
    """The gate and the threads behind it."""

    def __init__(self, settings: ServeSettings) -> None:
        self.gate = Gate(
            Room(
                places=settings.scorer_threads,
                least=settings.concurrency_min,
                queue=settings.queue_requests,
                wait_s=settings.queue_wait_s,
                model_share=settings.model_share,
                caller_share=settings.caller_share,
            )
        )
        self.watchdog = Watchdog()
        self._waiting = ThreadPoolExecutor(settings.scorer_threads, thread_name_prefix="snowsage-serve")
        # With more than this process's part of the cores, they would take the interpreter and the caches from each other.
        computing = min(settings.scorer_threads, math.ceil(usable_cores() / (settings.workers or usable_cores())))
        self._computing = ThreadPoolExecutor(computing, thread_name_prefix="snowsage-compute")

    def submit(self, work: Callable[[], Result], *, computing: bool) -> Future[Result]:
        """Have ``work`` done in a thread, after other work of its kind where all threads are taken."""
        return (self._computing if computing else self._waiting).submit(work)

    def place(self, call: Call, model: str, caller: str) -> Place:
        """A place to enter with ``async with``. ``model``: what to count the call as; empty for names that are not live."""
        return Place(self, call, model, caller)


class Place:
    """One call's place. Entering it waits, or raises Overloaded; what ``run`` is given runs in a thread."""

    __slots__ = ("_call", "_caller", "_model", "_pending", "_places", "_seconds", "_throttled", "_ticket")

    def __init__(self, places: Places, call: Call, model: str, caller: str) -> None:
        self._places, self._call, self._model, self._caller = places, call, model, caller
        self._seconds: float | None = None
        self._throttled = False
        self._pending: Future[Any] | None = None

    async def __aenter__(self) -> Place:
        self._ticket = self._places.gate.ask(self._model, self._caller, self._call.deadline)
        if not self._ticket.admitted:
            start = time.perf_counter()
            await self._turn(self._ticket)
            self._call.seconds["queue"] = time.perf_counter() - start
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pending is None or self._pending.done():
            self._leave()
        else:
            loop = asyncio.get_running_loop()
            self._pending.add_done_callback(lambda _: _tell(loop, self._leave))

    async def read(self, body: Awaitable[bytes], seconds: float) -> bytes:
        """``body`` when it has arrived; TooSlow where that takes longer than ``seconds``."""
        arrival = Deadline.after(seconds)
        with self._places.watchdog.watching(lambda: arrival.remaining_s) as watched:
            try:
                return await body
            except asyncio.CancelledError:
                if watched.interrupted():
                    raise TooSlow(f"the body did not arrive within {seconds:g} s") from None
                raise

    async def run(self, work: Callable[[], Result], *, computing: bool) -> Result:
        """What ``work`` returns or raises, from a thread; TransientError when the call's deadline is over before.

        ``computing``: it keeps a core busy, rather than waits. The deadline may be put off meanwhile.
        """
        start = time.perf_counter()
        with self._places.watchdog.watching(lambda: self._call.deadline.remaining_s) as watched:
            self._pending = self._places.submit(work, computing=computing)
            try:
                result: Result = await asyncio.wrap_future(self._pending)
            except Overloaded:
                self._throttled = True
                raise
            except asyncio.CancelledError:
                if watched.interrupted():
                    raise _too_late() from None
                raise
        self._seconds = time.perf_counter() - start
        return result

    def run_at_once(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns or raises, here and now."""
        start = time.perf_counter()
        result = work()
        self._seconds = time.perf_counter() - start
        return result

    def _leave(self) -> None:
        self._places.gate.leave(self._ticket, self._seconds, self._call.rows, throttled=self._throttled)

    async def _turn(self, ticket: Ticket) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket.wake = lambda: None if turn.done() else turn.set_result(None)
        try:
            async with asyncio.timeout(ticket.wait_s):
                await turn
        except TimeoutError:
            if not ticket.admitted:
                raise self._places.gate.give_up(ticket) from None
        except asyncio.CancelledError:
            if ticket.admitted:
                self._leave()
            else:
                self._places.gate.give_up(ticket)
            raise


def _tell(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(work)


def _too_late() -> TransientError:
    return TransientError("the model did not answer within the time that a request has; try again, or send fewer rows")
