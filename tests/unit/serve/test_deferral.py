"""Deferred batches: estimated durations, slices, the records in the ledger, and takeover by another replica."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallerError, NotFound, PermanentError, TransientError, Unauthorized
from app.serve.deadline import Deadline
from app.serve.http.problems import response_to
from app.serve.idempotency.chunked_scorer import ChunkedScorer, Stopped
from app.serve.idempotency.deferral import PENDING, Deferral
from app.serve.idempotency.duration_estimate import DeferringScorer, DurationEstimates
from app.serve.idempotency.jobs import Jobs
from app.serve.idempotency.ledger import Ledger, Unanswered
from app.serve.idempotency.records import (
    DeferredBatch,
    answer_from_bytes,
    answer_to_bytes,
    lease_from_bytes,
    lease_to_bytes,
)
from app.serve.idempotency.response_cache import BatchKey
from app.serve.models.live_models import LiveModels
from app.serve.request import BATCH_HEADER, PredictionRequest
from app.serve.response import VERSION_HEADER, HttpResponse
from app.serve.rows import Rows, Scored
from app.serve.scoring.scorer import DeferralNeeded
from app.settings import ServeSettings
from sagemaker_entry.model import Reasons
from tests.unit.serve.fakes import BUCKET, MemoryStore, live_version

LIVE = live_version()
BATCH = BatchKey("/predict/churn", "b-1", b"d" * 16)
SCORES = HttpResponse(200, ((b"content-type", b"application/json"), (VERSION_HEADER, b"v1")), b"scores")


class Clock:
    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


def request(ends_at_s: float = 1570.0, body: bytes = b"body") -> DeferredBatch:
    return DeferredBatch(BATCH, "churn", LIVE, ends_at_s, {"sf-custom-pin": "1"}, body)


def rows(count: int) -> Rows:
    matrix = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    return Rows(matrix, [f"key-{number}" for number in range(count)], {count - 1: "unfit"} if count else {})


class FakeScorer:
    """Sums rows, each in ``row_s`` on ``clock``; raises ``errors`` first, in order. Records the sizes of the calls."""

    def __init__(self, clock: Clock, row_s: float = 0.0, *errors: Exception) -> None:
        self.clock, self.row_s, self.errors = clock, row_s, list(errors)
        self.sizes: list[int] = []
        self.deadlines_s: list[float] = []
        self.variants: list[str] = []

    def prepare(self, live: Any) -> None: ...

    def score(self, live: Any, part: Rows, call: PredictionRequest) -> Scored:
        self.sizes.append(len(part))
        self.deadlines_s.append(call.deadline.remaining_s)
        self.variants.append(live.variant)
        self.clock.at_s += self.row_s * len(part)
        if self.errors:
            raise self.errors.pop(0)
        assert part.keys is not None
        assert len(part.keys) == len(part)
        # The reasons of a row are its first value, repeated.
        reasons = Reasons(part.matrix[:, :1].astype(np.intp), part.matrix[:, :1])
        return Scored(part.matrix.sum(axis=1), "blue", reasons)


def call(clock: Clock, seconds: float = 500.0, *, deferrable: bool = False) -> PredictionRequest:
    return PredictionRequest("churn", {}, Deadline.after(seconds, clock), deferrable=deferrable)


# Estimated durations


def test_the_estimated_duration_follows_batches_of_similar_size() -> None:
    pace = DurationEstimates()
    assert pace.expected_s(LIVE, 1000) == 0
    pace.observe(LIVE, 1000, 10.0)
    assert pace.expected_s(LIVE, 2000) == 20
    assert pace.expected_s(LIVE, 8000) == 80
    assert pace.expected_s(LIVE, 8001) == 0  # too far from the observed sizes
    pace.observe(LIVE, 1, 5.0)  # no evidence for 1,000 rows
    assert pace.expected_s(LIVE, 1000) == 10
    pace.observe(LIVE, 1000, 2.0)
    assert pace.expected_s(LIVE, 1000) == 6
    assert pace.expected_s(live_version(version="v2"), 1000) == 0
    assert pace.expected_s(live_version("other"), 1000) == 0


def test_only_calls_that_may_be_deferred_are_rejected_as_late() -> None:
    clock, pace = Clock(), DurationEstimates()
    scorer = FakeScorer(clock)
    paced = DeferringScorer(scorer, pace, reserve_s=2.0)
    for seconds, late in ((26.0, True), (24.0, False)):
        pace.observe(LIVE, 100, seconds)
        pace.observe(live_version(version="v2"), 1, 0.0)  # forgets
        pace.observe(LIVE, 100, seconds)
        assert len(paced.score(LIVE, rows(100), call(clock, 27.0)).scores) == 100
        pace.observe(live_version(version="v2"), 1, 0.0)
        pace.observe(LIVE, 100, seconds)
        if late:
            with pytest.raises(DeferralNeeded):
                paced.score(LIVE, rows(100), call(clock, 27.0, deferrable=True))
        else:
            paced.score(LIVE, rows(100), call(clock, 27.0, deferrable=True))
    assert len(scorer.sizes) == 3


# Slices


@given(count=st.integers(0, 3000), row_s=st.sampled_from([0.0, 0.0001, 0.01, 1.0]))
def test_slices_cover_all_rows_in_order(count: int, row_s: float) -> None:
    clock = Clock()
    scorer = FakeScorer(clock, row_s)
    scored = ChunkedScorer(scorer, DurationEstimates(), 27.0, Event(), clock).score(
        LIVE, rows(count), call(clock, 10_000)
    )
    assert np.array_equal(scored.scores, rows(count).matrix.sum(axis=1))
    assert scored.reasons is not None
    assert np.array_equal(scored.reasons.contributions, rows(count).matrix[:, :1])
    assert np.array_equal(scored.reasons.features, rows(count).matrix[:, :1].astype(np.intp))
    assert sum(scorer.sizes) == count
    if row_s:  # after the first, no slice takes much longer than intended
        assert all(size * row_s <= 3.01 or size == 1 for size in scorer.sizes[1:])
    assert max(scorer.deadlines_s) <= 27.001
    assert set(scorer.variants[1:]) <= {"blue"}  # all by the variant that scored the first


def test_a_failed_slice_is_retried_in_smaller_slices() -> None:
    clock = Clock()
    scorer = FakeScorer(clock, 0.0, TransientError("busy"), TransientError("busy"))
    sliced = ChunkedScorer(scorer, DurationEstimates(), 27.0, stopped := Event(), clock)
    stopped.wait = lambda seconds: False  # type: ignore[method-assign, assignment]  # no pauses
    scored = sliced.score(LIVE, rows(100), call(clock))
    assert (scorer.sizes, len(scored.scores)) == ([100, 100, 64, 36], 100)


def test_slicing_ends_at_the_deadline_at_an_error_and_at_a_stop() -> None:
    clock, stopped = Clock(), Event()
    scorer = FakeScorer(clock, 1.0)
    with pytest.raises(TransientError, match="time"):
        ChunkedScorer(scorer, DurationEstimates(), 27.0, stopped, clock).score(LIVE, rows(400), call(clock, 300))
    with pytest.raises(CallerError, match="no"):
        ChunkedScorer(FakeScorer(clock, 0.0, CallerError("no")), DurationEstimates(), 27.0, stopped, clock).score(
            LIVE, rows(4), call(clock)
        )
    stopped.set()
    with pytest.raises(Stopped):
        ChunkedScorer(scorer, DurationEstimates(), 27.0, stopped, clock).score(LIVE, rows(4), call(clock))


def test_slices_update_the_estimated_duration() -> None:
    clock, pace = Clock(), DurationEstimates()
    ChunkedScorer(FakeScorer(clock, 0.01), pace, 27.0, Event(), clock).score(LIVE, rows(3000), call(clock))
    assert pace.expected_s(LIVE, 3000) == pytest.approx(30.0)
    knowing = FakeScorer(clock, 0.01)
    ChunkedScorer(knowing, pace, 27.0, Event(), clock).score(LIVE, rows(3000), call(clock))
    assert set(knowing.sizes) == {300}


# The ledger


@given(body=st.binary(max_size=200), headers=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_records_are_unchanged_by_a_round_trip(body: bytes, headers: dict[str, str]) -> None:
    there = DeferredBatch(BATCH, "churn", LIVE, 1.5, headers, body)
    assert DeferredBatch.from_bytes(there.to_bytes()) == there
    answer = HttpResponse(418, ((b"x", b"\xff:"), (b"x", b"2")), body)
    assert answer_from_bytes(answer_to_bytes(answer)) == answer
    assert lease_from_bytes(lease_to_bytes(1.5)) == 1.5


@pytest.mark.parametrize("record", [b"", b"{", b"[]\n", b"{}\n", b'{"ends_at_s": "soon"}\n', b'{"status": 200}\nx'])
@pytest.mark.parametrize("read", [DeferredBatch.from_bytes, answer_from_bytes, lease_from_bytes])
def test_damaged_records_are_reported(record: bytes, read: Callable[[bytes], object]) -> None:
    with pytest.raises(PermanentError, match="damaged"):
        read(record)


def test_each_object_is_created_once() -> None:
    ledger = Ledger(MemoryStore(), BUCKET)
    place = ledger.prefix("churn", "b-1")
    assert place.startswith(f"s3://{BUCKET}/churn/serve/deferred/")
    assert place != ledger.prefix("churn", "b-2")
    assert ledger.find(place) is None
    assert ledger.accept(place, request())
    assert not ledger.accept(place, request(body=b"other"))
    assert ledger.accepted(place) == request()
    assert ledger.find(place) == Unanswered(-1, 0.0)
    assert ledger.take(place, 0, 30.0)
    assert not ledger.take(place, 0, 99.0)
    assert [ledger.take(place, number, 30.0 * (number + 1)) for number in range(1, 12)] == [True] * 11
    assert ledger.find(place) == Unanswered(11, 360.0)
    assert ledger.finish(place, SCORES) == SCORES
    assert ledger.finish(place, HttpResponse(400, (), b"late")) == SCORES
    assert ledger.find(place) == SCORES


def test_missing_permissions_of_the_service_are_not_caller_errors() -> None:
    store = MemoryStore()
    store.failure = Unauthorized("no")
    ledger = Ledger(store, BUCKET)
    for ask in (
        lambda: ledger.accept("s3://b/", request()),
        lambda: ledger.find("s3://b/"),
        lambda: ledger.accepted("s3://b/"),
    ):
        with pytest.raises(PermanentError, match="S3"):
            ask()
    store.failure = None
    with pytest.raises(NotFound):
        ledger.accepted("s3://b/")


# Jobs


class Bench:
    """Jobs with their own ledger, and their results."""

    def __init__(
        self, work: Callable[[DeferredBatch], HttpResponse], store: MemoryStore | None = None, lease_s: float = 30.0
    ) -> None:
        self.clock, self.done = Clock(), []  # type: ignore[var-annotated]
        self.ledger = Ledger(store or MemoryStore(), BUCKET)
        self.place = self.ledger.prefix("churn", BATCH.id)
        self.jobs = Jobs(
            self.ledger,
            work,
            lambda request, answer: self.done.append(answer),
            response_to,
            concurrency=1,
            lease_s=lease_s,
            now=self.clock,
        )

    async def finished(self) -> None:
        while len(self.jobs):
            await asyncio.sleep(0.002)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(within())


def test_a_job_reads_the_request_scores_it_and_stores_the_response() -> None:
    async def test() -> None:
        seen: list[DeferredBatch] = []
        bench = Bench(lambda there: seen.append(there) or SCORES)  # type: ignore[func-returns-value]
        bench.ledger.accept(bench.place, request())
        bench.jobs.start(bench.place, request(body=b""), 0)
        await bench.finished()
        assert (seen, bench.done) == ([request()], [SCORES])
        assert bench.ledger.find(bench.place) == SCORES
        assert (bench.jobs.answered, bench.jobs.failed) == (1, 0)
        await bench.jobs.stop()

    run(test)


def test_only_one_of_two_replicas_that_take_over_runs_the_job() -> None:
    async def test() -> None:
        store, works = MemoryStore(), []
        benches = [Bench(lambda there: works.append(1) or SCORES, store) for _ in range(2)]  # type: ignore[func-returns-value]
        benches[0].ledger.accept(benches[0].place, request())
        for bench in benches:
            bench.jobs.start(bench.place, request(body=b""), 3)
        for bench in benches:
            await bench.finished()
            await bench.jobs.stop()
        assert len(works) == 1

    run(test)


def test_a_lease_is_renewed_during_the_work_and_released_at_the_end() -> None:
    async def test() -> None:
        going = Event()
        bench = Bench(lambda there: (going.wait(60) and SCORES) or SCORES, lease_s=0.03)
        bench.ledger.accept(bench.place, request())
        bench.jobs.start(bench.place, request(body=b""), 0)
        while not isinstance(found := bench.ledger.find(bench.place), Unanswered) or found.lease < 3:
            await asyncio.sleep(0.005)
        assert found.ends_at_s > bench.clock()
        stopping = asyncio.create_task(bench.jobs.stop())
        await asyncio.sleep(0.01)
        going.set()
        await stopping
        left = bench.ledger.find(bench.place)
        assert isinstance(left, Unanswered)
        assert left.ends_at_s == 0  # another replica may take over at once

    run(test)


@pytest.mark.parametrize(
    ("outcome", "used"),
    [(SCORES, True), (HttpResponse(200, ((VERSION_HEADER, b"v2"),), b"x"), False), (TransientError("x"), False)],
)
def test_scoring_in_progress_is_used_if_it_is_by_the_promised_version(
    outcome: HttpResponse | Exception, used: bool
) -> None:
    async def test() -> None:
        bench = Bench(lambda there: HttpResponse(200, (), b"again"))
        bench.ledger.accept(bench.place, request())
        running: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        bench.jobs.start(bench.place, request(body=b""), 0, running)
        await asyncio.sleep(0.005)
        if isinstance(outcome, HttpResponse):
            running.set_result(outcome)
        else:
            running.set_exception(outcome)
        await bench.finished()
        assert bench.done[0].body == (b"scores" if used else b"again")
        await bench.jobs.stop()

    run(test)


@pytest.mark.parametrize(
    ("error", "status"),
    [(CallerError("a"), 400), (NotFound("a"), 404), (PermanentError("a"), 422), (ZeroDivisionError("a"), 422)],
)
def test_failures_are_stored_as_responses_and_never_as_a_5xx(error: Exception, status: int) -> None:
    async def test() -> None:
        def work(there: DeferredBatch) -> HttpResponse:
            raise error

        bench = Bench(work)
        bench.ledger.accept(bench.place, request())
        bench.jobs.start(bench.place, request(body=b""), 0)
        await bench.finished()
        assert bench.done[0].status == status
        assert bench.jobs.failed == 1
        await bench.jobs.stop()

    run(test)


def test_a_batch_that_is_taken_over_too_late_fails_at_once() -> None:
    async def test() -> None:
        bench = Bench(lambda there: SCORES)
        bench.ledger.accept(bench.place, request(ends_at_s=900.0))
        bench.jobs.start(bench.place, request(ends_at_s=900.0, body=b""), 0)
        await bench.finished()
        assert bench.done[0].status == 400
        assert b"MAX_BATCH_ROWS" in bench.done[0].body
        await bench.jobs.stop()

    run(test)


def test_a_batch_stays_unanswered_for_a_later_takeover_while_s3_is_down() -> None:
    async def test() -> None:
        store = MemoryStore()
        bench = Bench(lambda there: SCORES, store)
        bench.ledger.accept(bench.place, request())
        store.failure = TransientError("away")
        bench.jobs.start(bench.place, request(body=b""), 0)
        await bench.finished()
        store.failure = None
        assert bench.ledger.find(bench.place) == Unanswered(-1, 0.0)
        assert bench.done == []
        await bench.jobs.stop()

    run(test)


# Responses


def test_waiting_callers_get_a_response_before_the_scoring_ends_and_its_thread_is_released() -> None:
    async def test() -> None:
        store = MemoryStore(LIVE)
        settings = ServeSettings(bucket=BUCKET, secrets=("x",), budget_s=1.0)
        bench = Bench(lambda there: HttpResponse(200, (), b"again"), store)
        deferral = Deferral(
            settings, bench.ledger, bench.jobs, LiveModels(store, BUCKET), DurationEstimates(), bench.clock
        )
        sent = PredictionRequest(
            "churn", {BATCH_HEADER: BATCH.id}, Deadline.after(settings.budget_s), b"body", live=LIVE
        )
        going, told = asyncio.Event(), asyncio.Event()
        early: list[HttpResponse] = []

        async def score() -> HttpResponse:
            await going.wait()
            return SCORES

        scoring = asyncio.create_task(
            deferral.answer(BATCH, sent, score, lambda answer: (early.append(answer), told.set())[1])
        )
        await told.wait()
        assert early == [PENDING]
        assert 0 < sent.deadline.remaining_s <= settings.budget_s
        assert (
            await deferral.answer(BATCH, sent, score, early.append) == PENDING
        )  # a repeated request starts no second job
        going.set()
        assert await scoring == PENDING
        await bench.finished()
        assert bench.done == [SCORES]
        assert await deferral.poll(sent) == SCORES
        await bench.jobs.stop()

    run(test)
