"""Slots on the event loop: a request waits for its turn, its work runs in a thread, and its slot is free when the thread ends.

The caller gets an answer by the deadline even if the thread hangs. The slot stays taken until the thread ends, also while a batch
that was answered 202 is still being scored; otherwise a dead endpoint would be called by more and more threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from app.errors import CallerError, Overloaded, TransientError
from app.serve.admission.queue import AdmissionQueue, Capacity, Ticket
from app.serve.request import PredictionRequest, bounded
from app.settings import ServeSettings

Result = TypeVar("Result")


class BodyTimeout(CallerError):
    """The body did not arrive in time."""


def caller_of(user: str, credential: str) -> str:
    """The caller that limits apply to: the credential's name and, behind the gateway, Snowflake's user if the function sends it.

    Other callers' ``user`` must be empty: they could name another one with each request.
    """
    return f"{credential}/{bounded(user)}" if user else credential


class Slots:
    """The admission queue and the threads behind it. ``computing_threads``: threads for work that keeps a core busy."""

    def __init__(self, settings: ServeSettings, computing_threads: int) -> None:
        self.queue = AdmissionQueue(
            Capacity(
                slots=settings.scorer_threads,
                min_limit=settings.concurrency_min,
                queue=settings.queue_requests,
                wait_s=settings.queue_wait_s,
                model_share=settings.model_share,
                caller_share=settings.caller_share,
            )
        )
        self._waiting = ThreadPoolExecutor(settings.scorer_threads, thread_name_prefix="snowsage-serve")
        self._computing = ThreadPoolExecutor(
            min(settings.scorer_threads, computing_threads), thread_name_prefix="snowsage-compute"
        )

    def submit(self, work: Callable[[], Result], *, computing: bool) -> Future[Result]:
        """Run ``work`` in a thread, after other work of its kind if all threads are busy."""
        return (self._computing if computing else self._waiting).submit(work)

    def slot(self, request: PredictionRequest, model: str, caller: str) -> Slot:
        """A slot to enter with ``async with``. ``model``: the name to count under; empty for names that are not live."""
        return Slot(self, request, model, caller)


class Slot:
    """The slot of one request. Entering it waits, or raises Overloaded; ``run`` runs work in a thread."""

    __slots__ = ("_caller", "_model", "_pending", "_request", "_seconds", "_slots", "_throttled", "_ticket", "_timer")

    def __init__(self, slots: Slots, request: PredictionRequest, model: str, caller: str) -> None:
        self._slots, self._request, self._model, self._caller = slots, request, model, caller
        self._seconds: float | None = None
        self._throttled = False
        self._pending: Future[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Slot:
        self._ticket = self._slots.queue.enter(self._model, self._caller, self._request.deadline)
        if not self._ticket.admitted:
            start = time.perf_counter()
            await self._turn(self._ticket)
            self._request.seconds["queue"] = time.perf_counter() - start
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pending is None or self._pending.done():
            self._leave()
        else:
            loop = asyncio.get_running_loop()
            self._pending.add_done_callback(lambda _: _call_on(loop, self._leave))

    async def read(self, body: Awaitable[bytes], seconds: float) -> bytes:
        """``body`` when it has arrived. Raises BodyTimeout if that takes longer than ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                return await body
        except TimeoutError:
            raise BodyTimeout(f"the body did not arrive within {seconds:g} s") from None

    async def run(self, work: Callable[[], Result], *, computing: bool) -> Result:
        """The result of ``work``, run in a thread. Raises TransientError if the request's deadline passes first.

        ``computing``: the work keeps a core busy rather than waits.
        """
        start = time.perf_counter()
        self._pending = running = self._slots.submit(work, computing=computing)
        try:
            await self._end(running)
            if not running.done():
                raise TransientError(
                    "the model did not answer within the time that a request has; try again, or send fewer rows"
                )
            result = running.result()
        except Overloaded:
            self._throttled = True
            raise
        finally:
            running.cancel()  # without effect once it has started
        self._seconds = time.perf_counter() - start
        return result

    def run_inline(self, work: Callable[[], Result]) -> Result:
        """The result of ``work``, run here on the event loop."""
        start = time.perf_counter()
        result = work()
        self._seconds = time.perf_counter() - start
        return result

    async def _end(self, running: Future[Any]) -> None:
        """Return when ``running`` is done or the request's time is over.

        ``asyncio.wrap_future`` and ``wait`` would take twice as long.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._watch_deadline(loop, ended)
        running.add_done_callback(lambda _: _call_on(loop, partial(_resolve, ended)))
        try:
            await ended
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _watch_deadline(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
        # Again and again, because a deferral extends the deadline while the work runs.
        if remaining_s := self._request.deadline.remaining_s:
            self._timer = loop.call_later(remaining_s, self._watch_deadline, loop, ended)
        else:
            _resolve(ended)

    def _leave(self) -> None:
        self._slots.queue.leave(self._ticket, self._seconds, self._request.rows, throttled=self._throttled)

    async def _turn(self, ticket: Ticket) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket.wake = partial(_resolve, turn)
        try:
            async with asyncio.timeout(ticket.wait_s):
                await turn
        except TimeoutError:
            if not ticket.admitted:
                raise self._slots.queue.give_up(ticket) from None
        except asyncio.CancelledError:
            if ticket.admitted:
                self._leave()
            else:
                self._slots.queue.give_up(ticket)
            raise


def _resolve(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _call_on(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(work)
