"""Repeated batches: one scoring, the same response and bounded memory, checked against a simple model of the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.errors import TransientError
from app.serve.deadline import Deadline
from app.serve.idempotency.response_cache import BatchKey, Early, ResponseCache
from app.serve.request import BATCH_HEADER, PredictionRequest
from app.serve.response import HttpResponse

ONE = BatchKey("/predict/churn", "id-1", b"1" * 16)
OTHER = ONE._replace(digest=b"2" * 16)
SCORED = HttpResponse(200, ((b"content-type", b"application/json"),), b"scores")


class Scoring:
    """Counts its calls; returns when ``go`` is set."""

    def __init__(self, outcome: HttpResponse | Exception = SCORED) -> None:
        self.outcome, self.begun, self.go = outcome, 0, asyncio.Event()

    async def __call__(self, early: Early) -> HttpResponse:
        self.begun += 1
        await self.go.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def replays(
    retention_s: float = 900.0, max_bytes: int = 10**6, clock: Callable[[], float] = lambda: 0.0
) -> ResponseCache:
    return ResponseCache(retention_s, max_bytes, clock)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(within())


def test_concurrent_and_later_requests_get_the_first_response() -> None:
    async def test() -> None:
        kept, scoring = replays(), Scoring()
        waiting = [asyncio.create_task(kept.answer(ONE, scoring)) for _ in range(64)]
        await asyncio.sleep(0)
        scoring.go.set()
        assert all(answer is SCORED for answer in await asyncio.gather(*waiting))
        assert await kept.answer(ONE, scoring) is SCORED
        assert (scoring.begun, kept.joined, kept.replayed) == (1, 63, 1)

    run(test)


def test_a_cancelled_request_does_not_affect_others_even_if_it_was_first() -> None:
    async def test() -> None:
        kept, scoring = replays(), Scoring()
        waiting = [asyncio.create_task(kept.answer(ONE, scoring)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[1].cancel()
        await asyncio.sleep(0)
        scoring.go.set()
        assert await waiting[2] is SCORED
        alone = asyncio.create_task(kept.answer(OTHER, scoring))
        await asyncio.sleep(0)
        alone.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert await kept.answer(OTHER, scoring) is SCORED
        assert scoring.begun == 2

    run(test)


@pytest.mark.parametrize("outcome", [TransientError("busy"), replace(SCORED, status=202), replace(SCORED, status=400)])
def test_only_successful_responses_are_cached(outcome: HttpResponse | Exception) -> None:
    async def test() -> None:
        kept, scoring = replays(), Scoring(outcome)
        scoring.go.set()
        for _ in range(2):
            together = await asyncio.gather(*[kept.answer(ONE, scoring) for _ in range(3)], return_exceptions=True)
            assert together == [outcome] * 3
        assert (scoring.begun, kept.replayed, kept.size_bytes) == (2, 0, 0)

    run(test)


def test_a_failure_without_waiting_requests_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        kept, scoring = replays(), Scoring(TransientError("busy"))
        waiting = asyncio.create_task(kept.answer(ONE, scoring))
        await asyncio.sleep(0)
        waiting.cancel()
        scoring.go.set()
        for _ in range(5):
            await asyncio.sleep(0)

    run(test)
    assert caplog.records == []


def test_the_same_id_with_another_body_is_scored_separately_and_counted() -> None:
    async def test() -> None:
        kept = replays()
        first, second = Scoring(), Scoring(replace(SCORED, body=b"other"))
        waiting = [asyncio.create_task(kept.answer(ONE, first)), asyncio.create_task(kept.answer(OTHER, second))]
        await asyncio.sleep(0)
        first.go.set()
        second.go.set()
        assert [answer.body for answer in await asyncio.gather(*waiting)] == [b"scores", b"other"]
        assert kept.conflicts == 1
        assert (await kept.answer(OTHER, second)).body == b"other"
        assert kept.conflicts == 1

    run(test)


def test_responses_scored_without_waiting_are_cached_and_counted() -> None:
    kept = replays()
    kept.scored(ONE, SCORED)
    kept.scored(OTHER, HttpResponse(400, (), b"no"))
    assert (kept.find(ONE), kept.find(OTHER), kept.conflicts) == (SCORED, None, 1)


def test_everything_that_affects_the_response_is_part_of_the_key() -> None:
    def batch(body: bytes = b"{}", path: str = "/predict/churn", **headers: str) -> BatchKey:
        named = {BATCH_HEADER: "id", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return BatchKey.of(PredictionRequest("churn", named, Deadline.after(1), body), path)

    assert batch() == batch(x_amz_date="now", user_agent="other", sf_context_current_user="ANN")
    differing = {
        batch(),
        batch(b"{ }"),
        batch(path="/predict/other"),
        batch(sf_external_function_signature="(B FLOAT, A FLOAT)"),
        batch(sf_custom_pin="v2"),
        batch(content_encoding="deflate"),
    }
    assert len(differing) == 6


class Keeping(RuleBasedStateMachine):
    """The cache equals a list of (batch, response, expiry) without expired entries and, above the size limit, the oldest ones."""

    RETENTION_S, MAX_BYTES = 10.0, 20_000

    def __init__(self) -> None:
        super().__init__()
        self.at_s = 0.0
        self.kept = ResponseCache(self.RETENTION_S, self.MAX_BYTES, lambda: self.at_s)
        self.model: list[tuple[BatchKey, HttpResponse, float, int]] = []
        self.evicted = 0

    @rule(
        id=st.sampled_from("abcd"),
        digest=st.sampled_from([b"1", b"2"]),
        body=st.binary(max_size=9).map(lambda b: b * 999),
    )
    def keep(self, id: str, digest: bytes, body: bytes) -> None:
        batch, answer = BatchKey("/predict/churn", id, digest * 16), HttpResponse(200, (), body)
        self.expire()
        before = self.kept.find(batch)
        self.kept.keep(batch, answer)
        if before is None:
            size = 1500 + len("/predict/churn") + len(id) + len(body)
            self.model.append((batch, answer, self.at_s + self.RETENTION_S, size))
            while sum(item[3] for item in self.model) > self.MAX_BYTES:
                self.model.pop(0)
                self.evicted += 1

    @rule(seconds=st.floats(0.0, 6.0))
    def wait(self, seconds: float) -> None:
        self.at_s += seconds

    @rule(id=st.sampled_from("abcd"), digest=st.sampled_from([b"1", b"2"]))
    def find(self, id: str, digest: bytes) -> None:
        batch = BatchKey("/predict/churn", id, digest * 16)
        self.expire()
        wanted = next((answer for held, answer, _, _ in self.model if held == batch), None)
        assert self.kept.find(batch) is wanted

    def expire(self) -> None:
        self.model = [item for item in self.model if item[2] > self.at_s]

    @invariant()
    def bounded(self) -> None:
        self.expire()
        self.kept.find(ONE)  # drops expired entries
        assert self.kept.size_bytes == sum(item[3] for item in self.model) <= self.MAX_BYTES
        assert len(self.kept) == len(self.model)
        assert self.kept.evicted == self.evicted


TestKeeping = Keeping.TestCase
TestKeeping.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_response_beyond_the_limit_is_returned_but_not_cached() -> None:
    async def test() -> None:
        kept, scoring = replays(max_bytes=1000), Scoring()
        scoring.go.set()
        assert await kept.answer(ONE, scoring) is SCORED
        assert await kept.answer(ONE, scoring) is SCORED
        assert (scoring.begun, kept.size_bytes, kept.evicted) == (2, 0, 0)

    run(test)


def test_an_expired_batch_does_not_conflict() -> None:
    async def test() -> None:
        at_s = 0.0
        kept, scoring = ResponseCache(10.0, 10**6, lambda: at_s), Scoring()
        scoring.go.set()
        await kept.answer(ONE, scoring)
        at_s = 10.0
        await kept.answer(OTHER, scoring)
        assert (scoring.begun, kept.conflicts) == (2, 0)

    run(test)


class Sending(RuleBasedStateMachine):
    """In any order of sends, cancellations and results, a batch has one scoring at a time; all waiting requests get its result."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.replays = replays()
        self.scorings: dict[BatchKey, list[asyncio.Future[HttpResponse]]] = {}
        self.waiting: dict[BatchKey, list[asyncio.Task[HttpResponse]]] = {}
        self.kept: dict[BatchKey, HttpResponse] = {}

    def settle(self) -> None:
        async def rounds() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        self.loop.run_until_complete(rounds())

    def running(self, batch: BatchKey) -> asyncio.Future[HttpResponse] | None:
        begun = self.scorings.get(batch)
        return begun[-1] if begun and not begun[-1].done() else None

    async def score(self, batch: BatchKey) -> HttpResponse:
        assert self.running(batch) is None
        outcome: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self.scorings.setdefault(batch, []).append(outcome)
        return await outcome

    @rule(batch=st.sampled_from([ONE, OTHER]))
    def send(self, batch: BatchKey) -> None:
        running, begun = self.running(batch), len(self.scorings.get(batch, []))
        task = self.loop.create_task(self.replays.answer(batch, lambda _: self.score(batch)))
        self.settle()
        if batch in self.kept:
            assert task.result() is self.kept[batch]
        else:
            assert not task.done()
            self.waiting.setdefault(batch, []).append(task)
        assert len(self.scorings.get(batch, [])) == begun + (running is None and batch not in self.kept)

    @rule(batch=st.sampled_from([ONE, OTHER]), which=st.integers(0, 5))
    def leave(self, batch: BatchKey, which: int) -> None:
        waiting = self.waiting.get(batch, [])
        if which < len(waiting):
            waiting.pop(which).cancel()
            self.settle()

    @rule(batch=st.sampled_from([ONE, OTHER]), fails=st.booleans())
    def end(self, batch: BatchKey, fails: bool) -> None:  # Hypothesis passes it by name
        running = self.running(batch)
        if running is None:
            return
        error, answer = TransientError("busy"), replace(SCORED)
        if fails:
            running.set_exception(error)
        else:
            running.set_result(answer)
            self.kept[batch] = answer
        self.settle()
        for task in self.waiting.pop(batch, []):
            assert task.exception() is error if fails else task.result() is answer

    def teardown(self) -> None:
        for batch in (ONE, OTHER):
            self.end(batch, fails=False)
        self.loop.close()


TestSending = Sending.TestCase
TestSending.settings = hypothesis_settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_scoring_may_respond_to_waiting_requests_before_it_ends() -> None:
    async def test() -> None:
        kept, going = replays(), asyncio.Event()
        later = replace(SCORED, status=202)

        async def score(early: Early) -> HttpResponse:
            early(later)
            await going.wait()
            return SCORED

        assert await kept.answer(ONE, score) is later
        going.set()
        for _ in range(3):
            await asyncio.sleep(0)
        assert await kept.answer(ONE, score) is SCORED

    run(test)
