"""Which batches are deferred, and what is answered to those who send or ask for one.

A batch is deferred where ``pace`` foresees that it cannot end in its request's time, or where it has not when that time is nearly
over. It is written to the ledger first and answered 202 then. The version that would have scored it at that moment is the one
that will. Sent again, it gets 202 again, or the answer; asked for with GET, on whichever replica, it gets 202 until it is done.

The one surprise: who asks may be made to work. Where no lease on the batch holds, the replica that is asked takes it over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from app.deploy.live import LiveVersion
from app.errors import CallerError, NotFound, PermanentError, SnowsageError, TransientError
from app.serve.deadline import Deadline
from app.serve.idempotency.duration_estimate import Late, Pace
from app.serve.idempotency.jobs import Jobs
from app.serve.idempotency.ledger import Ledger
from app.serve.idempotency.records import Request
from app.serve.idempotency.response_cache import Batch
from app.serve.models.live_models import LiveModels
from app.serve.request import Call
from app.serve.response import Answer
from app.settings import ServeSettings

PENDING = Answer(202, ((b"content-type", b"application/json"), (b"content-length", b"2")), b"{}")

_RETRY_WHEN_FULL_S = 5.0


class _InUse(Exception):
    """Another batch was deferred under the same id, so this one cannot be: GET names nothing but the id."""


@dataclass(slots=True, eq=False)
class _Adoption:
    """Scoring whose time is nearly over. ``running``: its outcome, for the job; ``adopted``: those who waited were answered."""

    batch: Batch
    call: Call
    early: Callable[[Answer], None]
    running: asyncio.Future[Answer] | None = None
    task: asyncio.Task[None] | None = None
    adopted: bool = False

    def end(self, outcome: Answer | Exception) -> None:
        """The scoring came to ``outcome``."""
        if self.running is None or self.running.done():
            return
        if isinstance(outcome, Answer):
            self.running.set_result(outcome)
        else:
            self.running.set_exception(outcome)
            self.running.exception()  # tells asyncio that somebody knows of it, should nobody wait


class Deferral:
    """Decides about batches one by one. For one event loop."""

    def __init__(
        self,
        settings: ServeSettings,
        ledger: Ledger,
        jobs: Jobs,
        models: LiveModels,
        pace: Pace,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._ledger, self._jobs, self._models, self._pace = settings, ledger, jobs, models, pace
        self._now, self._reserve_s = now, reserve_s(settings)
        #: Counts since the start: batches accepted here, and taken over from a replica that no longer works on them.
        self.accepted, self.taken_over = 0, 0

    async def answer(
        self, batch: Batch, call: Call, score: Callable[[], Awaitable[Answer]], early: Callable[[Answer], None]
    ) -> Answer:
        """The answer of ``score``, which knows from ``call.deferrable`` that it may raise Late; or 202.

        ``early``: answers those who wait while ``score`` goes on.
        """
        if not self._settings.deferred_concurrency:
            return await score()
        if len(self._jobs) and self._works_on(batch, call.model):
            return PENDING
        call.deferrable = True
        adoption = _Adoption(batch, call, early)
        loop = asyncio.get_running_loop()
        delay_s = call.deadline.remaining_s - self._reserve_s
        timer = loop.call_later(delay_s, self._begin_adopting, adoption)
        try:
            answer = await score()
        except BaseException as error:
            adoption.end(error if isinstance(error, Exception) else TransientError("the scoring was ended"))
            if isinstance(error, Late):
                return await self._defer(batch, call, score)
            raise
        finally:
            timer.cancel()
        adoption.end(answer)
        return PENDING if adoption.adopted else answer

    async def poll(self, call: Call) -> Answer:
        """The answer to GET. Raises NotFound for an id under which no batch was accepted, CallerError where none is given."""
        if not call.batch_id:
            raise CallerError("name the batch in the header sf-external-function-query-batch-id")
        if not self._models.knows(call.model):
            await asyncio.to_thread(self._models.get, call.model)
        place = self._ledger.place(call.model, call.batch_id)
        return PENDING if self._jobs.find(place) else await self._standing(place)

    def _works_on(self, batch: Batch, model: str) -> bool:
        job = self._jobs.find(self._ledger.place(model, batch.id))
        return job is not None and job.request.batch == batch

    async def _defer(self, batch: Batch, call: Call, score: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            return await self._accept(batch, call)
        except (PermanentError, _InUse):
            call.deferrable = False
            return await score()

    def _begin_adopting(self, adoption: _Adoption) -> None:
        adoption.running = asyncio.get_running_loop().create_future()
        adoption.task = asyncio.create_task(self._adopt(adoption))

    async def _adopt(self, adoption: _Adoption) -> None:
        """Defer a batch that is being scored. Where it cannot be written down, what is left of its time is waited for."""
        call = adoption.call
        if call.live is not None:
            # It will take longer than this, and the next one of its size shall not be begun in vain.
            self._pace.observe(call.live, call.rows, 2 * (self._settings.budget_s - call.deadline.remaining_s))
        try:
            answer = await self._accept(adoption.batch, call, adoption.running)
        except (SnowsageError, _InUse):
            call.deferrable = False
        else:
            adoption.adopted = True
            # What is under way may end and serve. Not longer: it holds a thread of requests, and the job has its own.
            call.deadline = Deadline.after(self._settings.budget_s)
            adoption.early(answer)

    async def _accept(self, batch: Batch, call: Call, running: asyncio.Future[Answer] | None = None) -> Answer:
        if len(self._jobs) >= self._settings.deferred_waiting:
            raise _full()
        request = Request.of(call, batch, await self._version(call), self._end_of(call))
        place = self._ledger.place(call.model, batch.id)
        if await asyncio.to_thread(self._ledger.accept, place, request):
            self.accepted += 1
            self._jobs.start(place, replace(request, body=b""), 0, running)
            return PENDING
        if (await asyncio.to_thread(self._ledger.request, place)).batch != batch:
            raise _InUse
        return await self._standing(place)

    async def _version(self, call: Call) -> LiveVersion:
        if call.live is not None:
            return call.live
        return await asyncio.to_thread(self._models.get, call.model, call.query_id)

    def _end_of(self, call: Call) -> float:
        used_s = self._settings.budget_s - call.deadline.remaining_s
        return self._now() - used_s + self._settings.deferred_limit_s

    async def _standing(self, place: str) -> Answer:
        found = await asyncio.to_thread(self._ledger.find, place)
        if found is None:
            raise NotFound("no batch of this id was deferred, or it was long ago; run the query again")
        if isinstance(found, Answer):
            return found
        if found.ends_at_s <= self._now():
            await self._take_over(place, found.lease + 1)
        return PENDING

    async def _take_over(self, place: str, lease: int) -> None:
        if not self._settings.deferred_concurrency or len(self._jobs) >= self._settings.deferred_waiting:
            return  # another replica will be asked
        request = await asyncio.to_thread(self._ledger.request, place)
        if self._jobs.find(place) is None:  # another poll was quicker
            self.taken_over += 1
            self._jobs.start(place, replace(request, body=b""), lease)


def reserve_s(settings: ServeSettings) -> float:
    """Seconds of a request's time that are kept for writing its batch down."""
    return min(2.0, settings.budget_s / 10)


def _full() -> TransientError:
    return TransientError(
        "too many batches that need more than one request's time wait already", retry_after_s=_RETRY_WHEN_FULL_S
    )
