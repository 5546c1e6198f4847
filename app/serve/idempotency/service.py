"""The deferral service: deferral, jobs and ledger put together from settings, a store and scorers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from threading import Event

from app.deploy.live import ScorerName
from app.ports import ObjectStore
from app.serve.codecs import SNOWFLAKE
from app.serve.deadline import Deadline
from app.serve.idempotency.chunked_scorer import ChunkedScorer
from app.serve.idempotency.deferral import Deferral, reserve_s
from app.serve.idempotency.duration_estimate import DeferringScorer, DurationEstimates
from app.serve.idempotency.jobs import ErrorResponse, Jobs
from app.serve.idempotency.ledger import Ledger
from app.serve.idempotency.records import DeferredBatch
from app.serve.idempotency.response_cache import ResponseCache
from app.serve.models.live_models import LiveModels
from app.serve.request import PredictionRequest
from app.serve.response import HttpResponse
from app.serve.scoring.predictor import Predictor
from app.serve.scoring.scorer import Scorer, Scorers
from app.settings import ServeSettings


class DeferralService:
    """``deferral`` answers requests; ``scorers`` score them and record how long that takes; ``jobs`` work in the background."""

    def __init__(
        self,
        settings: ServeSettings,
        store: ObjectStore,
        models: LiveModels,
        scorers: Scorers,
        predictor_with: Callable[[Scorers], Predictor],
        responses: ResponseCache,
        count_scored: Callable[[PredictionRequest, int], None],
        observed: Callable[[PredictionRequest], AbstractContextManager[None]],
        response_to: ErrorResponse,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``predictor_with``: a predictor with other scorers; ``count_scored``: counts a scored request and its reply's bytes;
        ``observed``: a block that is traced and logged; ``response_to``: an error on a path as a response; ``now``: seconds
        since 1970.
        """
        self._now, self._responses = now, responses
        self._count_scored, self._observed = count_scored, observed
        self._stopped, estimates = Event(), DurationEstimates()
        sliced = _each(scorers, lambda scorer: ChunkedScorer(scorer, estimates, settings.budget_s, self._stopped))
        self._predictor = predictor_with(sliced)
        ledger = Ledger(store, settings.bucket)
        self.jobs = Jobs(
            ledger,
            self._work,
            self._done,
            response_to,
            concurrency=settings.deferred_concurrency,
            lease_s=settings.deferred_lease_s,
            now=now,
        )
        self.scorers = _each(scorers, lambda scorer: DeferringScorer(scorer, estimates, reserve_s(settings)))
        self.deferral = Deferral(settings, ledger, self.jobs, models, estimates, now)

    async def stop(self) -> None:
        """Stop the jobs, within the time of one call to an endpoint; other replicas take them over."""
        self._stopped.set()
        await self.jobs.stop()

    def _work(self, accepted: DeferredBatch) -> HttpResponse:
        deadline = Deadline.after(accepted.ends_at_s - self._now())
        caller = accepted.batch.caller
        request = PredictionRequest(accepted.model, accepted.headers, deadline, accepted.body, caller=caller)
        with self._observed(request):
            answer = HttpResponse.scored(request, self._predictor.answer_with(accepted.live, request, SNOWFLAKE))
        self._count_scored(request, len(answer.body))
        return answer

    def _done(self, accepted: DeferredBatch, answer: HttpResponse) -> None:
        if answer.status == 200:
            self._responses.keep(accepted.batch, answer)


def _each(scorers: Scorers, wrap: Callable[[Scorer], Scorer]) -> Mapping[ScorerName, Scorer]:
    return {name: wrap(scorer) for name, scorer in scorers.items()}
