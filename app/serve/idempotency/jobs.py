"""Background jobs for deferred batches in this process: read from the ledger, scored, the response written there.

A job takes the batch's lease, renews it while it works or waits, and writes the response. It fails, with a response that says so,
once Snowflake no longer waits. A few threads of its own do the scoring, at a lower priority than the threads of requests, so that
requests never wait for a job.

A stored response is final, and Snowflake would poll for ten minutes after a 5xx, only to get the same one. So it is never a 5xx;
its status is 422 instead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

from app import log
from app.errors import CallerError, SnowsageError, TransientError
from app.serve.idempotency.chunked_scorer import Stopped
from app.serve.idempotency.ledger import Ledger
from app.serve.idempotency.records import DeferredBatch
from app.serve.response import HttpResponse

_NICENESS = 10
_FINAL_FAILURE_STATUS = 422
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0

_logger = logging.getLogger(__name__)


#: An error on a path -> its response.
ErrorResponse = Callable[[Exception, str], HttpResponse]


class DeferralExpired(CallerError):
    """The batch was not scored in the time that Snowflake waits."""


@dataclass(eq=False, slots=True)
class Job:
    """A batch that this process works on. ``lease``: the number of its newest lease."""

    prefix: str
    accepted: DeferredBatch
    lease: int
    running: asyncio.Future[HttpResponse] | None
    task: asyncio.Task[None] | None = field(default=None)


class Jobs:
    """The jobs of this process, by the ledger's prefix. Not thread-safe: it belongs to one event loop."""

    def __init__(
        self,
        ledger: Ledger,
        work: Callable[[DeferredBatch], HttpResponse],
        done: Callable[[DeferredBatch, HttpResponse], None],
        response_to: ErrorResponse,
        *,
        concurrency: int,
        lease_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``work``: scores a batch; blocks. ``done``: called with each response, on the loop. ``response_to``: an error on a
        path as a response. ``now``: seconds since 1970.
        """
        self._ledger, self._work, self._done, self._response_to = ledger, work, done, response_to
        self._lease_s, self._now = lease_s, now
        self._jobs: dict[str, Job] = {}
        self._threads = ThreadPoolExecutor(
            max(1, concurrency), thread_name_prefix="snowsage-deferred", initializer=_lower_priority
        )
        #: Counts since the start: batches that ended with scores, and with a failure.
        self.answered, self.failed = 0, 0

    def __len__(self) -> int:
        return len(self._jobs)

    def find(self, prefix: str) -> Job | None:
        """The job at ``prefix``, if this process has one."""
        return self._jobs.get(prefix)

    def start(
        self, prefix: str, accepted: DeferredBatch, lease: int, running: asyncio.Future[HttpResponse] | None = None
    ) -> None:
        """Start a job with the lease of this number. ``running``: scoring that has already started, whose response may be used."""
        job = self._jobs[prefix] = Job(prefix, accepted, lease, running)
        job.task = asyncio.create_task(self._run(job))

    async def stop(self) -> None:
        """Stop the jobs of this process, so that another replica takes them over without waiting for the leases to end."""
        jobs = list(self._jobs.values())
        tasks = [job.task for job in jobs if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        for job in jobs:
            with suppress(SnowsageError):
                await asyncio.to_thread(self._ledger.take, job.prefix, job.lease + 1, 0.0)

    async def _run(self, job: Job) -> None:
        renewing: asyncio.Task[None] | None = None
        try:
            if not await self._take(job, job.lease):
                return  # another worker has started
            renewing = asyncio.create_task(self._renew(job))
            answer = await self._leave(job, await self._answer(job))
            self._count(answer)
            self._done(job.accepted, answer)
        except Exception as error:  # the replica that is polled after the lease's end starts again
            log.event(
                _logger,
                logging.WARNING,
                "a deferred batch was not finished",
                prefix=job.prefix,
                error=type(error).__name__,
            )
        finally:
            if renewing is not None:
                renewing.cancel()
            del self._jobs[job.prefix]

    async def _take(self, job: Job, lease: int) -> bool:
        return await asyncio.to_thread(self._ledger.take, job.prefix, lease, self._now() + self._lease_s)

    async def _renew(self, job: Job) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            with suppress(Exception):  # the next renewal must come, whatever happened to this one
                if not await self._take(job, job.lease + 1):
                    return  # taken over: both continue, with the same result
                job.lease += 1

    async def _answer(self, job: Job) -> HttpResponse:
        errors: list[Exception] = []
        try:
            async with asyncio.timeout(job.accepted.ends_at_s - self._now()):
                return await self._running(job) or await self._tried(job, errors)
        except TimeoutError:
            return self._response_to(_out_of_time(errors), job.accepted.batch.path)
        except Stopped:
            raise
        except Exception as error:
            return _final(self._response_to(error, job.accepted.batch.path))

    async def _running(self, job: Job) -> HttpResponse | None:
        """The response of the scoring that had already started, if it succeeded with the version of the record."""
        running, job.running = job.running, None
        if running is None:
            return None
        try:
            answer = await running
        except Exception:  # the job's own attempt will show the error
            return None
        expected = {arm.version for arm in job.accepted.live.arms}
        return answer if answer.versions() <= expected else None

    async def _tried(self, job: Job, errors: list[Exception]) -> HttpResponse:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._scored, job.prefix)
            except TransientError as error:
                errors.append(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _scored(self, prefix: str) -> HttpResponse:
        # Read again, so that waiting batches need no memory for their rows.
        return self._work(self._ledger.accepted(prefix))

    async def _leave(self, job: Job, answer: HttpResponse) -> HttpResponse:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await asyncio.to_thread(self._ledger.finish, job.prefix, answer)
            except TransientError:
                if self._now() >= job.accepted.ends_at_s:
                    raise
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _count(self, answer: HttpResponse) -> None:
        if answer.status == 200:
            self.answered += 1
        else:
            self.failed += 1


def _final(refusal: HttpResponse) -> HttpResponse:
    return refusal if refusal.status < 500 else replace(refusal, status=_FINAL_FAILURE_STATUS)


def _out_of_time(errors: list[Exception]) -> DeferralExpired:
    last = f"; the last attempt failed: {errors[-1]}" if errors else ""
    return DeferralExpired(
        "the batch was not scored in the time that Snowflake waits for one; set a smaller MAX_BATCH_ROWS on the external "
        f"function, or give the endpoint more instances{last}"
    )


def _lower_priority() -> None:
    # Linux has a priority for each thread; elsewhere the call fails and all threads are equal.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
