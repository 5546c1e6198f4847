"""Places on the event loop: a call waits for its turn, its work runs in a thread, and its place is free when the thread is.

The one surprise: the caller gets his answer by the deadline even where the thread hangs, and the place is still taken then, as it
is where a batch was answered 202 and goes on: otherwise a dead endpoint would be asked by more and more threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from app.errors import Overloaded, TransientError
from app.serve.admission.gate import Gate, Room, Ticket
from app.serve.call import Call
from app.settings import ServeSettings

USER_HEADER = "sf-context-current-user"

Result = TypeVar("Result")


def caller_of(headers: Mapping[str, str], credential: str) -> str:
    """Who asks: the credential's name and, where the function sends it, Snowflake's user."""
    user = headers.get(USER_HEADER)
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
        self._threads = ThreadPoolExecutor(settings.scorer_threads, thread_name_prefix="snowsage-serve")

    def place(self, call: Call, model: str, caller: str) -> Place:
        """A place to enter with ``async with``. ``model``: what to count the call as; empty for names that are not live."""
        return Place(self.gate, self._threads, call, model, caller)


class Place:
    """One call's place. Entering it waits, or raises Overloaded; what ``run`` is given runs in a thread."""

    __slots__ = ("_call", "_caller", "_gate", "_model", "_pending", "_seconds", "_threads", "_throttled", "_ticket")

    def __init__(self, gate: Gate, threads: ThreadPoolExecutor, call: Call, model: str, caller: str) -> None:
        self._gate, self._threads, self._call, self._model, self._caller = gate, threads, call, model, caller
        self._seconds: float | None = None
        self._throttled = False
        self._pending: Future[Any] | None = None

    async def __aenter__(self) -> Place:
        self._ticket = self._gate.ask(self._model, self._caller, self._call.deadline)
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

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns or raises, from a thread; TransientError when the call's deadline is over before.

        The deadline may be put off meanwhile.
        """
        start = time.perf_counter()
        self._pending = self._threads.submit(work)
        waited = asyncio.wrap_future(self._pending)
        waited.add_done_callback(_seen)
        try:
            while not waited.done():
                if not (left_s := self._call.deadline.remaining_s):
                    raise _too_late()
                await asyncio.wait({waited}, timeout=left_s)
            result: Result = waited.result()
        except Overloaded:
            self._throttled = True
            raise
        self._seconds = time.perf_counter() - start
        return result

    def _leave(self) -> None:
        self._gate.leave(self._ticket, self._seconds, self._call.rows, throttled=self._throttled)

    async def _turn(self, ticket: Ticket) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket.wake = lambda: None if turn.done() else turn.set_result(None)
        try:
            async with asyncio.timeout(ticket.wait_s):
                await turn
        except TimeoutError:
            if not ticket.admitted:
                raise self._gate.give_up(ticket) from None
        except asyncio.CancelledError:
            if ticket.admitted:
                self._leave()
            else:
                self._gate.give_up(ticket)
            raise


def _seen(ended: asyncio.Future[Any]) -> None:
    """Tells asyncio that somebody knows of a failure, should nobody wait for it any more."""
    if not ended.cancelled():
        ended.exception()


def _tell(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(work)


def _too_late() -> TransientError:
    return TransientError("the model did not answer within the time that a request has; try again, or send fewer rows")
