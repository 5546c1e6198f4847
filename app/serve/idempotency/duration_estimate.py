"""Duration estimates: how long a batch will take, from earlier batches of the same model and version.

Small batches predict little about large ones, because much of their time is the round trip. So an estimate changes only with
batches of about its own size or larger, and there is no estimate for a batch that is much larger than any before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.deploy.live import LiveVersion
from app.serve.request import PredictionRequest
from app.serve.rows import Rows, Scored
from app.serve.scoring.scorer import DeferralNeeded, Scorer, ScorerWrapper

_MUCH_LARGER = 8
_MUCH_SMALLER = 4
_WEIGHT_OF_NEWEST = 0.5


@dataclass(frozen=True, slots=True)
class _Observed:
    version: str
    rows: float
    seconds: float


class DurationEstimates:
    """The durations of each model's batches. Thread-safe: a lost observation does no harm."""

    def __init__(self) -> None:
        self._observed: dict[str, _Observed] = {}

    def observe(self, live: LiveVersion, rows: int, seconds: float) -> None:
        """Record that a batch of ``rows`` was scored in ``seconds``."""
        last = self._observed.get(live.model)
        if last is None or last.version != live.version:
            self._observed[live.model] = _Observed(live.version, rows, seconds)
        elif rows * _MUCH_SMALLER >= last.rows:
            self._observed[live.model] = _Observed(live.version, _blend(last.rows, rows), _blend(last.seconds, seconds))

    def expected_s(self, live: LiveVersion, rows: int) -> float:
        """Seconds that ``rows`` will take; 0 if unknown."""
        last = self._observed.get(live.model)
        if last is None or last.version != live.version or not 0 < rows <= last.rows * _MUCH_LARGER:
            return 0.0
        return rows * last.seconds / last.rows


class DeferringScorer(ScorerWrapper):
    """A scorer that records durations, and raises DeferralNeeded for a deferrable request that would not finish in time."""

    def __init__(self, inner: Scorer, estimates: DurationEstimates, reserve_s: float) -> None:
        """``reserve_s``: the part of the request's time that writing the batch to S3 needs."""
        super().__init__(inner)
        self._estimates, self._reserve_s = estimates, reserve_s

    def score(self, live: LiveVersion, rows: Rows, request: PredictionRequest) -> Scored:
        """As the inner scorer; raises DeferralNeeded."""
        expected_s = self._estimates.expected_s(live, len(rows))
        if request.deferrable and expected_s > max(0.0, request.deadline.remaining_s - self._reserve_s):
            raise DeferralNeeded
        started = time.perf_counter()
        scored = self._inner.score(live, rows, request)
        self._estimates.observe(live, len(rows), time.perf_counter() - started)
        return scored


def _blend(known: float, newest: float) -> float:
    return known + _WEIGHT_OF_NEWEST * (newest - known)
