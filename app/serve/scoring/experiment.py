"""A scorer around another one: in an experiment, each row by the version that its entity's key falls to; order kept.

Without keys one version takes a whole request. Behind an endpoint no variant is named then: the endpoint's weights choose,
and the variant that answered tells the version. Where the service scores by itself, the version is drawn by the batch's name, so
that a batch that is sent again meets the same one; what has no name is drawn by chance.

The one surprise: what is no experiment costs one look at a tuple here.
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
from app.serve.request import Call
from app.serve.rows import Arms, Places, Rows, Scored
from app.serve.scoring.endpoint import Refused
from app.serve.scoring.scorer import Scorer
from app.serve.scoring.wrapper import Around
from sagemaker_entry.model import Reasons


class Sharing(Around):
    """``inner`` scores with one version at a time. ``beside``: requests whose versions are asked side by side, 0 for none."""

    def __init__(self, inner: Scorer, beside: int = 0) -> None:
        super().__init__(inner)
        self._threads = ThreadPoolExecutor(beside, thread_name_prefix="snowsage-arms") if beside else None

    def prepare(self, live: LiveVersion) -> None:
        """Make every version ready."""
        for arm in live.arms:
            self._inner.prepare(arm)

    def at_once(self, live: LiveVersion) -> bool:
        """As the scorer itself does, for every version."""
        if not live.shares:
            return self._inner.at_once(live)
        return all(map(self._inner.at_once, live.arms))

    def score(self, live: LiveVersion, rows: Rows, call: Call) -> Scored:
        """As the scorer itself does; in an experiment ``arms`` says which version scored which row. One that fails fails all."""
        if not live.shares:
            return self._inner.score(live, rows, call)
        if rows.keys is None:
            return self._one_for_all(live, rows, call)
        return self._each_by_key(live, rows, by_key(live, rows.keys), call)

    def _one_for_all(self, live: LiveVersion, rows: Rows, call: Call) -> Scored:
        if live.scorer == "endpoint":
            scored = self._inner.score(replace(live.arms[0], variant=""), rows, call)
            chosen = _place_of(live, scored.variant) if len(rows) else 0
        else:
            chosen = _drawn(live, call)
            scored = self._inner.score(live.arms[chosen], rows, call)
        return replace(scored, arms=Arms(live.shares, np.full(len(rows), chosen, dtype=np.intp)))

    def _each_by_key(self, live: LiveVersion, rows: Rows, at: Places, call: Call) -> Scored:
        used = np.flatnonzero(np.bincount(at, minlength=len(live.shares))).tolist() or [0]
        if len(used) == 1:
            return replace(self._inner.score(live.arms[used[0]], rows, call), arms=Arms(live.shares, at))
        places = [np.flatnonzero(at == arm) for arm in used]
        parts = [Rows(np.ascontiguousarray(rows.matrix[rows_of])) for rows_of in places]
        scored = self._score_all([live.arms[arm] for arm in used], parts, call)
        return _merged(scored, places, Arms(live.shares, at))

    def _score_all(self, arms: Sequence[LiveVersion], parts: Sequence[Rows], call: Call) -> list[Scored]:
        if self._threads is None:
            return [self._inner.score(arm, part, call) for arm, part in zip(arms, parts, strict=True)]
        # The first one on this thread. With its context, so that every call is of the request's trace.
        pending = [
            self._threads.submit(copy_context().run, self._inner.score, arm, part, call)
            for arm, part in zip(arms[1:], parts[1:], strict=True)
        ]
        try:
            return [self._inner.score(arms[0], parts[0], call), *(each.result() for each in pending)]
        finally:
            for each in pending:
                each.cancel()


def _place_of(live: LiveVersion, variant: str) -> int:
    for place, share in enumerate(live.shares):
        if share.variant == variant:
            return place
    raise Refused(f"the endpoint of model {live.model} answered with a variant that the live record does not know")


def _drawn(live: LiveVersion, call: Call) -> int:
    name = call.batch_id or call.query_id
    if not name:
        return by_name(live, random.getrandbits(64))  # a share, no secret
    return by_name(live, xxhash.xxh3_64_intdigest(name.encode(), seed=_SEED))


#: Another than the one by which batches are sampled for capture.
_SEED = 1


def _merged(parts: Sequence[Scored], places: Sequence[Places], arms: Arms) -> Scored:
    scores = np.empty(len(arms.at), dtype=np.float32)
    for part, rows_of in zip(parts, places, strict=True):
        scores[rows_of] = part.scores
    return Scored(scores, parts[0].variant, _reasons(parts, places, len(scores)), arms)


def _reasons(parts: Sequence[Scored], places: Sequence[Places], rows: int) -> Reasons | None:
    first = parts[0].reasons
    if first is None:
        return None
    features = np.empty((rows, first.features.shape[1]), dtype=first.features.dtype)
    contributions = np.empty((rows, first.contributions.shape[1]), dtype=first.contributions.dtype)
    for part, rows_of in zip(parts, places, strict=True):
        assert part.reasons is not None  # the rules are the same for all
        features[rows_of], contributions[rows_of] = part.reasons.features, part.reasons.contributions
    return Reasons(features, contributions)
