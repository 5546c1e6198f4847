"""The experiment scorer: scores each row with the version that its entity key is assigned to; order kept.

Without keys one version scores the whole request. On an endpoint no variant is named then: the endpoint's weights choose, and the
variant that answered shows the version. If the service scores itself, the version is chosen by hashing the batch's id, so that a
repeated batch gets the same one; without an id it is chosen at random. Without an experiment this costs one look at an empty tuple.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace

import numpy as np
import xxhash

from app.deploy.live import LiveVersion
from app.serve.models.traffic_split import by_key, by_name
from app.serve.request import PredictionRequest
from app.serve.rows import Assignment, Positions, Rows, Scored
from app.serve.scoring.endpoint import EndpointRefusal
from app.serve.scoring.scorer import Scorer, ScorerWrapper
from sagemaker_entry.model import Reasons


class ExperimentScorer(ScorerWrapper):
    """``inner`` scores with one version at a time. ``parallel``: requests whose versions are scored in parallel, 0 for none."""

    def __init__(self, inner: Scorer, parallel: int = 0) -> None:
        super().__init__(inner)
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="snowsage-experiment") if parallel else None

    def prepare(self, live: LiveVersion) -> None:
        """Prepare every version."""
        for arm in live.arms:
            self._inner.prepare(arm)

    def inline(self, live: LiveVersion) -> bool:
        """As the inner scorer, for every version."""
        if not live.shares:
            return self._inner.inline(live)
        return all(map(self._inner.inline, live.arms))

    def score(self, live: LiveVersion, rows: Rows, request: PredictionRequest) -> Scored:
        """As the inner scorer, with the ``assignment`` in an experiment. If one version fails, the request fails."""
        if not live.shares:
            return self._inner.score(live, rows, request)
        if rows.keys is None:
            return self._one_for_all(live, rows, request)
        return self._each_by_key(live, rows, by_key(live, rows.keys), request)

    def _one_for_all(self, live: LiveVersion, rows: Rows, request: PredictionRequest) -> Scored:
        if live.scorer == "endpoint":
            scored = self._inner.score(replace(live.arms[0], variant=""), rows, request)
            chosen = _position_of(live, scored.variant) if len(rows) else 0
        else:
            chosen = _drawn(live, request)
            scored = self._inner.score(live.arms[chosen], rows, request)
        return replace(scored, assignment=Assignment(live.shares, np.full(len(rows), chosen, dtype=np.intp)))

    def _each_by_key(self, live: LiveVersion, rows: Rows, at: Positions, request: PredictionRequest) -> Scored:
        used = np.flatnonzero(np.bincount(at, minlength=len(live.shares))).tolist() or [0]
        if len(used) == 1:
            return replace(self._inner.score(live.arms[used[0]], rows, request), assignment=Assignment(live.shares, at))
        positions = [np.flatnonzero(at == arm) for arm in used]
        parts = [Rows(np.ascontiguousarray(rows.matrix[at_rows])) for at_rows in positions]
        scored = self._score_all([live.arms[arm] for arm in used], parts, request)
        return _merged(scored, positions, Assignment(live.shares, at))

    def _score_all(
        self, arms: Sequence[LiveVersion], parts: Sequence[Rows], request: PredictionRequest
    ) -> list[Scored]:
        if self._threads is None:
            return [self._inner.score(arm, part, request) for arm, part in zip(arms, parts, strict=True)]
        # The first version on this thread; the others with its context, so that every call belongs to the request's trace.
        pending = [
            self._threads.submit(copy_context().run, self._inner.score, arm, part, request)
            for arm, part in zip(arms[1:], parts[1:], strict=True)
        ]
        try:
            return [self._inner.score(arms[0], parts[0], request), *(each.result() for each in pending)]
        finally:
            for each in pending:
                each.cancel()


def _position_of(live: LiveVersion, variant: str) -> int:
    for position, share in enumerate(live.shares):
        if share.variant == variant:
            return position
    raise EndpointRefusal(
        f"the endpoint of model {live.model} answered with a variant that the live record does not contain"
    )


def _drawn(live: LiveVersion, request: PredictionRequest) -> int:
    name = request.batch_id or request.query_id
    if not name:
        return by_name(live, random.getrandbits(64))  # no secret
    return by_name(live, xxhash.xxh3_64_intdigest(name.encode(), seed=_SEED))


#: Not the seed by which batches are sampled for capture.
_SEED = 1


def _merged(parts: Sequence[Scored], positions: Sequence[Positions], assignment: Assignment) -> Scored:
    scores = np.empty(len(assignment.at), dtype=np.float32)
    for part, at_rows in zip(parts, positions, strict=True):
        scores[at_rows] = part.scores
    return Scored(scores, parts[0].variant, _reasons(parts, positions, len(scores)), assignment)


def _reasons(parts: Sequence[Scored], positions: Sequence[Positions], rows: int) -> Reasons | None:
    first = parts[0].reasons
    if first is None:
        return None
    features = np.empty((rows, first.features.shape[1]), dtype=first.features.dtype)
    contributions = np.empty((rows, first.contributions.shape[1]), dtype=first.contributions.dtype)
    for part, at_rows in zip(parts, positions, strict=True):
        assert part.reasons is not None  # the rules are the same for all
        features[at_rows], contributions[at_rows] = part.reasons.features, part.reasons.contributions
    return Reasons(features, contributions)
