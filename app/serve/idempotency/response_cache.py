"""Batches that are sent again: scored once, answered alike. A batch's name and bytes -> the answer, new or kept.

Snowflake repeats a batch under its id when an answer was lost or late. Such a batch gets the bytes of the first answer; while the
first is still being scored, those that come later wait for it. All of this happens on the event loop, so nothing is locked.

Only answers with scores (200) are kept. An error that may pass must be tried anew; a refusal ends the query in Snowflake, so
nobody sends that batch again, and what was refused may be in order after the next deployment.

The one surprise: the scoring belongs to no request. It runs to its end whoever goes away, the first sender included, and it may
answer those who wait before it ends, when it takes longer than they can wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import xxhash

from app.errors import TransientError
from app.serve.request import BATCH_HEADER, Call
from app.serve.response import Answer

#: Headers that decide, with the body, what the answer is. Others, such as a signature of the request, differ from try to try.
_DECIDING = ("content-encoding", "inference-header-content-length", "sf-custom-", "sf-external-function-signature")

#: About what Python needs for an answer beside its bytes.
_OVERHEAD_BYTES = 1500


class Batch(NamedTuple):
    """A batch as its sender means it. ``path``: the request's, which names the model and the form; ``digest``: 16 bytes."""

    path: str
    id: str
    digest: bytes

    @classmethod
    def of(cls, call: Call, path: str) -> Batch:
        """The batch that ``call`` carries; its id is empty where the caller names none."""
        headers = sorted(item for item in call.headers.items() if item[0].startswith(_DECIDING))
        seed = xxhash.xxh3_64_intdigest(repr(headers).encode()) if headers else 0
        return cls(path, call.headers.get(BATCH_HEADER, ""), xxhash.xxh3_128_digest(call.raw, seed))


#: What scoring may do for those who wait: answer them now, with something else than scores.
Early = Callable[[Answer], None]
Score = Callable[[Early], Awaitable[Answer]]


@dataclass(slots=True, eq=False)
class _Flight:
    """A batch that is being scored, and who waits for it."""

    waiting: list[asyncio.Future[Answer]] = field(default_factory=list)

    def land(self, answer: Answer | Exception) -> None:
        for waiter in self.waiting:
            if waiter.done():
                continue  # its caller has gone
            if isinstance(answer, Answer):
                waiter.set_result(answer)
            else:
                waiter.set_exception(answer)
        self.waiting.clear()


@dataclass(slots=True)
class _Kept:
    answer: Answer
    expires_at_s: float
    size_bytes: int


class Replays:
    """The answers of the last while, at most ``max_bytes`` of them, oldest out first. For one event loop."""

    def __init__(self, retention_s: float, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``retention_s``: how long an answer is kept; all are kept equally long, so the oldest is the first to expire."""
        self._retention_s, self._max_bytes, self._clock = retention_s, max_bytes, clock
        self._kept: OrderedDict[Batch, _Kept] = OrderedDict()
        self._running: dict[Batch, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself would let go of them
        self._ids: Counter[tuple[str, str]] = Counter()  # how many bodies are held of an id
        self.size_bytes = 0
        #: Counts since the start: answered again, waited for another's scoring, same id with another body, out for space.
        self.replayed, self.joined, self.conflicts, self.evicted = 0, 0, 0, 0

    async def answer(self, batch: Batch, score: Score) -> Answer:
        """The answer to ``batch``: the kept one, the one under way, or that of ``score``, whose errors everyone gets."""
        if self.knows(batch):
            return await self.again(batch)
        return await self._wait_for(self._start(batch, score))

    async def again(self, batch: Batch) -> Answer:
        """The answer to a batch that ``knows`` knew just now, before anything else ran on the loop."""
        if (kept := self.find(batch)) is not None:
            self.replayed += 1
            return kept
        self.joined += 1
        return await self._wait_for(self._running[batch])

    def scored(self, batch: Batch, answer: Answer) -> None:
        """``answer`` is that to a batch that nobody ``knew``, found without waiting for anything."""
        if batch[:2] in self._ids:
            self.conflicts += 1
        if answer.status == 200:
            self.keep(batch, answer)

    def knows(self, batch: Batch) -> bool:
        """Whether the answer is kept or under way."""
        return self.find(batch) is not None or batch in self._running

    async def _wait_for(self, flight: _Flight) -> Answer:
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        flight.waiting.append(waiter)
        return await waiter

    def find(self, batch: Batch) -> Answer | None:
        """The answer that is kept for ``batch``, if any."""
        self._expire()
        kept = self._kept.get(batch)
        return kept.answer if kept is not None else None

    def keep(self, batch: Batch, answer: Answer) -> None:
        """Keep ``answer``, unless one is kept already or it alone is beyond the bound."""
        self._expire()
        size_bytes = _size_of(batch, answer)
        if size_bytes > self._max_bytes or batch in self._kept:
            return
        self._kept[batch] = _Kept(answer, self._clock() + self._retention_s, size_bytes)
        self._ids[batch[:2]] += 1
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            self._drop_oldest()
            self.evicted += 1

    def __len__(self) -> int:
        return len(self._kept)

    def _start(self, batch: Batch, score: Score) -> _Flight:
        if batch[:2] in self._ids:
            self.conflicts += 1
        flight = self._running[batch] = _Flight()
        self._ids[batch[:2]] += 1
        task = asyncio.get_running_loop().create_task(self._fly(batch, flight, score))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return flight

    async def _fly(self, batch: Batch, flight: _Flight, score: Score) -> None:
        try:
            answer = await score(lambda early: self._land(batch, flight, early))
        except Exception as error:
            self._land(batch, flight, error)
        except BaseException:
            self._land(batch, flight, TransientError("the service is about to end; try again"))
            raise
        else:
            if answer.status == 200:
                self.keep(batch, answer)
            self._land(batch, flight, answer)

    def _land(self, batch: Batch, flight: _Flight, answer: Answer | Exception) -> None:
        if self._running.get(batch) is flight:
            del self._running[batch]
            self._forget(batch)
        flight.land(answer)

    def _expire(self) -> None:
        while self._kept and next(iter(self._kept.values())).expires_at_s <= self._clock():
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        batch, kept = self._kept.popitem(last=False)
        self.size_bytes -= kept.size_bytes
        self._forget(batch)

    def _forget(self, batch: Batch) -> None:
        self._ids[batch[:2]] -= 1
        if not self._ids[batch[:2]]:
            del self._ids[batch[:2]]


def _size_of(batch: Batch, answer: Answer) -> int:
    headers = sum(len(name) + len(value) for name, value in answer.headers)
    return len(batch.path) + len(batch.id) + headers + len(answer.body) + _OVERHEAD_BYTES
