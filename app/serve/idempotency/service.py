"""The deferral put together: settings, a store and scorers -> what ``web`` needs, with its counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from threading import Event

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.deploy.live import ScorerName
from app.ports import ObjectStore
from app.serve.codecs import SNOWFLAKE
from app.serve.deadline import Deadline
from app.serve.idempotency.chunked_scorer import Sliced
from app.serve.idempotency.deferral import Deferral, reserve_s
from app.serve.idempotency.duration_estimate import Pace, Paced
from app.serve.idempotency.jobs import Jobs
from app.serve.idempotency.ledger import Ledger
from app.serve.idempotency.records import Request
from app.serve.idempotency.response_cache import Replays
from app.serve.models.live_models import LiveModels
from app.serve.request import Call
from app.serve.response import Answer
from app.serve.scoring.predictor import Predictor
from app.serve.scoring.scorer import Scorer, Scorers
from app.serve.telemetry.metrics import Metrics
from app.serve.telemetry.request_log import record
from app.serve.telemetry.tracing import Tracing
from app.settings import ServeSettings


class Deferring:
    """``deferral`` answers; ``paced`` are the scorers for requests, which tell it how fast they are."""

    def __init__(
        self,
        settings: ServeSettings,
        store: ObjectStore,
        models: LiveModels,
        scorers: Scorers,
        predictor_with: Callable[[Scorers], Predictor],
        replays: Replays,
        metrics: Metrics,
        tracing: Tracing,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now``: seconds since 1970."""
        self._now, self._metrics, self._replays = now, metrics, replays
        self._tracing, self._log_share = tracing, settings.log_share
        self._stopped, pace = Event(), Pace()
        sliced = _each(scorers, lambda scorer: Sliced(scorer, pace, settings.budget_s, self._stopped))
        self._predictor = predictor_with(sliced)
        ledger = Ledger(store, settings.bucket)
        self._jobs = Jobs(
            ledger,
            self._work,
            self._done,
            concurrency=settings.deferred_concurrency,
            lease_s=settings.deferred_lease_s,
            now=now,
        )
        self.paced = _each(scorers, lambda scorer: Paced(scorer, pace, reserve_s(settings)))
        self.deferral = Deferral(settings, ledger, self._jobs, models, pace, now)
        metrics.watch(_Counts(replays, self.deferral, self._jobs))

    async def stop(self) -> None:
        """Leave the work to others, within the time of one request to an endpoint."""
        self._stopped.set()
        await self._jobs.stop()

    def _work(self, request: Request) -> Answer:
        deadline = Deadline.after(request.ends_at_s - self._now())
        call = Call(request.model, request.headers, deadline, request.body)
        with self._tracing.traced(call), record(call, self._log_share):
            answer = Answer.to(call, self._predictor.answer_with(request.live, call, SNOWFLAKE))
        self._metrics.count_scored(call, len(answer.body))
        return answer

    def _done(self, request: Request, answer: Answer) -> None:
        if answer.status == 200:
            self._replays.keep(request.batch, answer)


class _Counts(Collector):
    """What the event loop counts on plain attributes, given to Prometheus when it asks."""

    def __init__(self, replays: Replays, deferral: Deferral, jobs: Jobs) -> None:
        self._replays, self._deferral, self._jobs = replays, deferral, jobs

    def collect(self) -> Iterable[Metric]:
        replays, deferral, jobs = self._replays, self._deferral, self._jobs
        for name, text, value in (
            ("replays", "Batches sent again and answered from memory.", replays.replayed),
            ("replays_joined", "Batches sent again that waited for the scoring under way.", replays.joined),
            ("replay_conflicts", "Batches under an id that another body has.", replays.conflicts),
            ("replay_evictions", "Answers dropped before their time, for space.", replays.evicted),
            ("deferred", "Batches answered 202.", deferral.accepted),
            ("deferred_taken_over", "Deferred batches taken over from another replica.", deferral.taken_over),
            ("deferred_answered", "Deferred batches that ended with scores.", jobs.answered),
            ("deferred_failed", "Deferred batches that ended with a failure.", jobs.failed),
        ):
            yield CounterMetricFamily(f"snowsage_serve_{name}", text, value=value)
        yield GaugeMetricFamily("snowsage_serve_replay_bytes", "Memory of kept answers.", value=replays.size_bytes)
        yield GaugeMetricFamily("snowsage_serve_deferred_held", "Deferred batches at work or waiting.", value=len(jobs))


def _each(scorers: Scorers, wrap: Callable[[Scorer], Scorer]) -> Mapping[ScorerName, Scorer]:
    return {name: wrap(scorer) for name, scorer in scorers.items()}
