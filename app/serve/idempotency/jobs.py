"""The work on deferred batches in this process: a place in the ledger -> its answer there, in the background.

A job takes the batch's lease, renews it while it works or waits for its turn, and leaves the answer. It fails, with an answer
that says so, once Snowflake no longer waits. A few threads of their own do the scoring, at a lower priority than the threads of
requests, so that those never wait for a job.

The one surprise: an answer is final, so it is never a 5xx. Snowflake would ask for ten minutes to hear the same again; what cannot
be helped is told as a 422 at once.
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
from app.serve.idempotency.chunked_scorer import GivenUp
from app.serve.idempotency.ledger import Ledger
from app.serve.idempotency.records import Request
from app.serve.response import Answer

_NICENESS = 10
_CANNOT_BE_HELPED = 422
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0

_logger = logging.getLogger(__name__)


class OutOfTime(CallerError):
    """The batch was not scored while Snowflake waited."""


@dataclass(eq=False, slots=True)
class Job:
    """A batch that this process works on. ``lease``: the number of the newest lease of ours."""

    place: str
    request: Request
    lease: int
    running: asyncio.Future[Answer] | None
    task: asyncio.Task[None] | None = field(default=None)


class Jobs:
    """The jobs of this process, by place. For one event loop."""

    def __init__(
        self,
        ledger: Ledger,
        work: Callable[[Request], Answer],
        done: Callable[[Request, Answer], None],
        *,
        concurrency: int,
        lease_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``work``: scores a request; blocks. ``done``: told of each answer, on the loop. ``now``: seconds since 1970."""
        self._ledger, self._work, self._done, self._lease_s, self._now = ledger, work, done, lease_s, now
        self._jobs: dict[str, Job] = {}
        self._threads = ThreadPoolExecutor(
            max(1, concurrency), thread_name_prefix="snowsage-deferred", initializer=_be_nice
        )
        #: Counts since the start: batches that ended with scores, and with a failure.
        self.answered, self.failed = 0, 0

    def __len__(self) -> int:
        return len(self._jobs)

    def find(self, place: str) -> Job | None:
        """The job at ``place``, if this process has one."""
        return self._jobs.get(place)

    def start(self, place: str, request: Request, lease: int, running: asyncio.Future[Answer] | None = None) -> None:
        """Begin with the lease of this number. ``running``: scoring that is under way already, whose answer may serve."""
        job = self._jobs[place] = Job(place, request, lease, running)
        job.task = asyncio.create_task(self._run(job))

    async def stop(self) -> None:
        """End the jobs of this process; another one that is asked takes them over without waiting for the leases to end."""
        jobs = list(self._jobs.values())
        tasks = [job.task for job in jobs if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        for job in jobs:
            with suppress(SnowsageError):
                await asyncio.to_thread(self._ledger.take, job.place, job.lease + 1, 0.0)

    async def _run(self, job: Job) -> None:
        renewing: asyncio.Task[None] | None = None
        try:
            if not await self._take(job, job.lease):
                return  # somebody else has begun
            renewing = asyncio.create_task(self._renew(job))
            answer = await self._leave(job, await self._answer(job))
            self._count(answer)
            self._done(job.request, answer)
        except Exception as error:  # whoever is asked after the lease's end begins anew
            log.event(
                _logger, logging.WARNING, "a deferred batch was left", place=job.place, error=type(error).__name__
            )
        finally:
            if renewing is not None:
                renewing.cancel()
            del self._jobs[job.place]

    async def _take(self, job: Job, lease: int) -> bool:
        return await asyncio.to_thread(self._ledger.take, job.place, lease, self._now() + self._lease_s)

    async def _renew(self, job: Job) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            with suppress(SnowsageError):
                if not await self._take(job, job.lease + 1):
                    return  # taken over: both work on, to the same end
                job.lease += 1

    async def _answer(self, job: Job) -> Answer:
        met: list[Exception] = []
        try:
            async with asyncio.timeout(job.request.ends_at_s - self._now()):
                return await self._running(job) or await self._tried(job, met)
        except TimeoutError:
            return Answer.refusing(_out_of_time(met), job.request.batch.path)
        except GivenUp:
            raise
        except Exception as error:
            return _final(Answer.refusing(error, job.request.batch.path))

    async def _running(self, job: Job) -> Answer | None:
        """The answer of the scoring that was under way, if it came to one with the version that was promised."""
        running, job.running = job.running, None
        if running is None:
            return None
        try:
            answer = await running
        except Exception:  # whatever it was, the job's own attempt will tell
            return None
        promised = {arm.version for arm in job.request.live.arms}
        return answer if answer.versions() <= promised else None

    async def _tried(self, job: Job, met: list[Exception]) -> Answer:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._scored, job.place)
            except TransientError as error:
                met.append(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _scored(self, place: str) -> Answer:
        # Read anew, so that batches that wait for their turn need no memory for their rows.
        return self._work(self._ledger.request(place))

    async def _leave(self, job: Job, answer: Answer) -> Answer:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await asyncio.to_thread(self._ledger.finish, job.place, answer)
            except TransientError:
                if self._now() >= job.request.ends_at_s:
                    raise
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _count(self, answer: Answer) -> None:
        if answer.status == 200:
            self.answered += 1
        else:
            self.failed += 1


def _final(refusal: Answer) -> Answer:
    return refusal if refusal.status < 500 else replace(refusal, status=_CANNOT_BE_HELPED)


def _out_of_time(met: list[Exception]) -> OutOfTime:
    last = f"; the last attempt failed: {met[-1]}" if met else ""
    return OutOfTime(
        "the batch was not scored in the time that Snowflake waits for one; set a smaller MAX_BATCH_ROWS on the external "
        f"function, or give the endpoint more instances{last}"
    )


def _be_nice() -> None:
    # Linux has a priority for each thread; elsewhere this is refused, and all threads are alike.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
