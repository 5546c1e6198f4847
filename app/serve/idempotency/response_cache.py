"""The response cache: stores responses by batch, so that a batch that is sent again is scored once.

Snowflake repeats a batch with its id if a response was lost or late. The repeat gets the bytes of the first response; while the
first is still being scored, repeats wait for it. All of this happens on the event loop, so nothing is locked.

Only scores (200) are kept. A transient error must be tried again; a caller's error ends the query in Snowflake, so the batch is not
sent again, and it may be valid after the next deployment.

Scoring is not tied to a request. It runs to its end even if the caller that started it disconnects, and it may answer the waiting
callers before it ends, if it takes longer than they can wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import xxhash

from app.errors import TransientError
from app.serve.request import PredictionRequest
from app.serve.response import HttpResponse

#: Headers that determine the response together with the body. Others, such as a request signature, differ from try to try.
_DECIDING = ("content-encoding", "inference-header-content-length", "sf-custom-", "sf-external-function-signature")

#: Approximate memory of a response in addition to its bytes.
_OVERHEAD_BYTES = 1500


class BatchKey(NamedTuple):
    """What identifies a batch. ``path``: of the request, which names the model and the format; ``digest``: 16 bytes;
    ``caller``: the credential's name, because a batch and its response belong to the caller that sent it.
    """

    path: str
    id: str
    digest: bytes
    caller: str = ""

    @classmethod
    def of(cls, request: PredictionRequest, path: str) -> BatchKey:
        """The key of ``request``; its id is empty if the caller sends none."""
        headers = sorted([item for item in request.headers.items() if item[0].startswith(_DECIDING)])
        # No name and no value contains the end of a line.
        seed = xxhash.xxh3_64_intdigest("\n".join(chain.from_iterable(headers)).encode()) if headers else 0
        return cls(path, request.batch_id, xxhash.xxh3_128_digest(request.raw, seed), request.caller)

    @property
    def name(self) -> tuple[str, str, str]:
        """The caller's name for the batch, which another body may have, too."""
        return self.path, self.id, self.caller


#: Answers the waiting callers before the scoring ends.
Early = Callable[[HttpResponse], None]
Score = Callable[[Early], Awaitable[HttpResponse]]


@dataclass(slots=True, eq=False)
class _Scoring:
    """A batch that is being scored, and the callers that wait for it."""

    waiting: list[asyncio.Future[HttpResponse]] = field(default_factory=list)

    def resolve(self, answer: HttpResponse | Exception) -> None:
        for waiter in self.waiting:
            if waiter.done():
                continue  # its caller has disconnected
            if isinstance(answer, HttpResponse):
                waiter.set_result(answer)
            else:
                waiter.set_exception(answer)
        self.waiting.clear()


@dataclass(slots=True)
class _Kept:
    answer: HttpResponse
    expires_at_s: float
    size_bytes: int


class ResponseCache:
    """Recent responses, at most ``max_bytes``; the oldest is dropped first. Not thread-safe: it belongs to one
    event loop."""

    def __init__(self, retention_s: float, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``retention_s``: how long a response is kept; the same for all, so the oldest expires first."""
        self._retention_s, self._max_bytes, self._clock = retention_s, max_bytes, clock
        self._kept: OrderedDict[BatchKey, _Kept] = OrderedDict()
        self._running: dict[BatchKey, _Scoring] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the loop keeps only weak references
        self._ids: Counter[tuple[str, str, str]] = Counter()  # bodies held by name
        self.size_bytes = 0
        #: Counts since the start: answered from the cache, waited for a running scoring, same id with another body, dropped for
        #: space.
        self.replayed, self.joined, self.conflicts, self.evicted = 0, 0, 0, 0

    async def answer(self, batch: BatchKey, score: Score) -> HttpResponse:
        """The response to ``batch``: from the cache, from the running scoring, or of ``score``, whose error all callers get."""
        if self.knows(batch):
            return await self.again(batch)
        return await self._wait_for(self._start(batch, score))

    async def again(self, batch: BatchKey) -> HttpResponse:
        """The response to a batch for which ``knows`` was true, without anything else run on the loop in between."""
        if (kept := self.find(batch)) is not None:
            self.replayed += 1
            return kept
        self.joined += 1
        return await self._wait_for(self._running[batch])

    def scored(self, batch: BatchKey, answer: HttpResponse) -> None:
        """Record ``answer``, scored inline for a batch for which ``knows`` was false."""
        if batch.name in self._ids:
            self.conflicts += 1
        if answer.status == 200:
            self.keep(batch, answer)

    def knows(self, batch: BatchKey) -> bool:
        """Whether the response is in the cache or being scored."""
        return self.find(batch) is not None or batch in self._running

    async def _wait_for(self, scoring: _Scoring) -> HttpResponse:
        waiter: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        scoring.waiting.append(waiter)
        return await waiter

    def find(self, batch: BatchKey) -> HttpResponse | None:
        """The cached response to ``batch``, if any."""
        self._expire()
        kept = self._kept.get(batch)
        return kept.answer if kept is not None else None

    def keep(self, batch: BatchKey, answer: HttpResponse) -> None:
        """Keep ``answer``, unless one is kept already or it alone exceeds the bound."""
        self._expire()
        size_bytes = _size_of(batch, answer)
        if size_bytes > self._max_bytes or batch in self._kept:
            return
        self._kept[batch] = _Kept(answer, self._clock() + self._retention_s, size_bytes)
        self._ids[batch.name] += 1
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            self._drop_oldest()
            self.evicted += 1

    def __len__(self) -> int:
        return len(self._kept)

    def _start(self, batch: BatchKey, score: Score) -> _Scoring:
        if batch.name in self._ids:
            self.conflicts += 1
        scoring = self._running[batch] = _Scoring()
        self._ids[batch.name] += 1
        task = asyncio.get_running_loop().create_task(self._run(batch, scoring, score))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return scoring

    async def _run(self, batch: BatchKey, scoring: _Scoring, score: Score) -> None:
        try:
            answer = await score(lambda early: self._resolve(batch, scoring, early))
        except Exception as error:
            self._resolve(batch, scoring, error)
        except BaseException:
            self._resolve(batch, scoring, TransientError("the service is shutting down; try again"))
            raise
        else:
            if answer.status == 200:
                self.keep(batch, answer)
            self._resolve(batch, scoring, answer)

    def _resolve(self, batch: BatchKey, scoring: _Scoring, answer: HttpResponse | Exception) -> None:
        if self._running.get(batch) is scoring:
            del self._running[batch]
            self._forget(batch)
        scoring.resolve(answer)

    def _expire(self) -> None:
        while self._kept and next(iter(self._kept.values())).expires_at_s <= self._clock():
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        batch, kept = self._kept.popitem(last=False)
        self.size_bytes -= kept.size_bytes
        self._forget(batch)

    def _forget(self, batch: BatchKey) -> None:
        self._ids[batch.name] -= 1
        if not self._ids[batch.name]:
            del self._ids[batch.name]


def _size_of(batch: BatchKey, answer: HttpResponse) -> int:
    headers = sum(map(len, chain.from_iterable(answer.headers)))
    return len(batch.path) + len(batch.id) + headers + len(answer.body) + _OVERHEAD_BYTES
