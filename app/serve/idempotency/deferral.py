"""Deferral: decides which batches are answered 202 and scored later, and answers callers that send or poll one.

A batch is deferred if the duration estimate says that it cannot finish before its request's deadline, or if it has not finished
when that time is nearly over. It is first written to the ledger, together with the version that is to score it, and then answered
202. Sent again, it gets 202 again, or its response; polled with GET on any replica, it gets 202 until it is done.

A poll may start work: if no lease on the batch is valid, the replica that is polled takes it over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from app.deploy.live import LiveVersion
from app.errors import CallerError, NotFound, PermanentError, SnowsageError, TransientError
from app.serve.deadline import Deadline
from app.serve.idempotency.duration_estimate import DurationEstimates
from app.serve.idempotency.jobs import Jobs
from app.serve.idempotency.ledger import Ledger
from app.serve.idempotency.records import DeferredBatch
from app.serve.idempotency.response_cache import BatchKey
from app.serve.models.live_models import LiveModels
from app.serve.request import PredictionRequest
from app.serve.response import HttpResponse
from app.serve.scoring.scorer import DeferralNeeded
from app.settings import ServeSettings

PENDING = HttpResponse(202, ((b"content-type", b"application/json"), (b"content-length", b"2")), b"{}")

_RETRY_WHEN_FULL_S = 5.0


class _InUse(Exception):
    """Another batch was deferred with the same id, so this one cannot be: GET names only the id."""


@dataclass(slots=True, eq=False)
class _Adoption:
    """Scoring whose time is nearly over. ``running``: its outcome, for the job; ``adopted``: the callers were answered 202."""

    batch: BatchKey
    request: PredictionRequest
    early: Callable[[HttpResponse], None]
    running: asyncio.Future[HttpResponse] | None = None
    task: asyncio.Task[None] | None = None
    adopted: bool = False

    def end(self, outcome: HttpResponse | Exception) -> None:
        """Record the outcome of the scoring."""
        if self.running is None or self.running.done():
            return
        if isinstance(outcome, HttpResponse):
            self.running.set_result(outcome)
        else:
            self.running.set_exception(outcome)
            self.running.exception()  # marks it as retrieved, in case nothing waits for it


class Deferral:
    """Decides for each batch. Not thread-safe: it belongs to one event loop."""

    def __init__(
        self,
        settings: ServeSettings,
        ledger: Ledger,
        jobs: Jobs,
        models: LiveModels,
        estimates: DurationEstimates,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._ledger, self._jobs, self._models, self._estimates = (
            settings,
            ledger,
            jobs,
            models,
            estimates,
        )
        self._now, self._reserve_s = now, reserve_s(settings)
        #: Counts since the start: batches accepted here, and taken over from another replica.
        self.accepted, self.taken_over = 0, 0

    async def answer(
        self,
        batch: BatchKey,
        request: PredictionRequest,
        score: Callable[[], Awaitable[HttpResponse]],
        early: Callable[[HttpResponse], None],
    ) -> HttpResponse:
        """The response of ``score``, which may raise DeferralNeeded if ``request.deferrable``; or 202.

        ``early``: answers the waiting callers while ``score`` continues.
        """
        if not self._settings.deferred_concurrency:
            return await score()
        if len(self._jobs) and self._works_on(batch, request.model):
            return PENDING
        request.deferrable = True
        adoption = _Adoption(batch, request, early)
        loop = asyncio.get_running_loop()
        delay_s = request.deadline.remaining_s - self._reserve_s
        timer = loop.call_later(delay_s, self._start_adopting, adoption)
        try:
            answer = await score()
        except BaseException as error:
            adoption.end(error if isinstance(error, Exception) else TransientError("the scoring was ended"))
            if isinstance(error, DeferralNeeded):
                return await self._defer(batch, request, score)
            raise
        finally:
            timer.cancel()
        adoption.end(answer)
        return PENDING if adoption.adopted else answer

    async def poll(self, request: PredictionRequest) -> HttpResponse:
        """The response to GET. Raises NotFound for an id that was never accepted, CallerError if none is given."""
        if not request.batch_id:
            raise CallerError("name the batch in the header sf-external-function-query-batch-id")
        if not self._models.knows(request.model):
            await asyncio.to_thread(self._models.get, request.model)
        prefix = self._ledger.prefix(request.model, request.batch_id, request.caller)
        return PENDING if self._jobs.find(prefix) else await self._state_of(prefix)

    def _works_on(self, batch: BatchKey, model: str) -> bool:
        job = self._jobs.find(self._ledger.prefix(model, batch.id, batch.caller))
        return job is not None and job.accepted.batch == batch

    async def _defer(
        self, batch: BatchKey, request: PredictionRequest, score: Callable[[], Awaitable[HttpResponse]]
    ) -> HttpResponse:
        try:
            return await self._accept(batch, request)
        except (PermanentError, _InUse):
            request.deferrable = False
            return await score()

    def _start_adopting(self, adoption: _Adoption) -> None:
        adoption.running = asyncio.get_running_loop().create_future()
        adoption.task = asyncio.create_task(self._adopt(adoption))

    async def _adopt(self, adoption: _Adoption) -> None:
        """Defer a batch that is being scored. If it cannot be written, the caller waits for the rest of its time."""
        request = adoption.request
        if request.live is not None:
            # An estimate that is too long for a request, so that the next batch of this size is deferred before it is scored.
            self._estimates.observe(
                request.live, request.rows, 2 * (self._settings.budget_s - request.deadline.remaining_s)
            )
        try:
            answer = await self._accept(adoption.batch, request, adoption.running)
        except (SnowsageError, _InUse):
            request.deferrable = False
        else:
            adoption.adopted = True
            # The running scoring may continue until then, and its result is used. No longer, because it holds a thread for
            # requests; jobs have their own.
            request.deadline = Deadline.after(self._settings.budget_s)
            adoption.early(answer)

    async def _accept(
        self, batch: BatchKey, request: PredictionRequest, running: asyncio.Future[HttpResponse] | None = None
    ) -> HttpResponse:
        if len(self._jobs) >= self._settings.deferred_waiting:
            raise _full()
        accepted = DeferredBatch.of(request, batch, await self._version(request), self._end_of(request))
        prefix = self._ledger.prefix(request.model, batch.id, batch.caller)
        if await asyncio.to_thread(self._ledger.accept, prefix, accepted):
            self.accepted += 1
            self._jobs.start(prefix, replace(accepted, body=b""), 0, running)
            return PENDING
        if (await asyncio.to_thread(self._ledger.accepted, prefix)).batch != batch:
            raise _InUse
        return await self._state_of(prefix)

    async def _version(self, request: PredictionRequest) -> LiveVersion:
        if request.live is not None:
            return request.live
        return await asyncio.to_thread(self._models.get, request.model, request.query_id, request.caller)

    def _end_of(self, request: PredictionRequest) -> float:
        used_s = self._settings.budget_s - request.deadline.remaining_s
        return self._now() - used_s + self._settings.deferred_limit_s

    async def _state_of(self, prefix: str) -> HttpResponse:
        found = await asyncio.to_thread(self._ledger.find, prefix)
        if found is None:
            raise NotFound("no batch of this id was deferred, or it has expired; run the query again")
        if isinstance(found, HttpResponse):
            return found
        if found.ends_at_s <= self._now():
            await self._take_over(prefix, found.lease + 1)
        return PENDING

    async def _take_over(self, prefix: str, lease: int) -> None:
        if not self._settings.deferred_concurrency or len(self._jobs) >= self._settings.deferred_waiting:
            return  # another replica will be polled
        accepted = await asyncio.to_thread(self._ledger.accepted, prefix)
        if self._jobs.find(prefix) is None:  # another poll was first
            self.taken_over += 1
            self._jobs.start(prefix, replace(accepted, body=b""), lease)


def reserve_s(settings: ServeSettings) -> float:
    """Seconds of a request's time that are reserved for writing its batch to S3."""
    return settings.deferred_reserve_s or min(2.0, settings.budget_s / 10)


def _full() -> TransientError:
    return TransientError(
        "too many batches that need more than one request's time are already waiting", retry_after_s=_RETRY_WHEN_FULL_S
    )
