"""The chunked scorer: scores a deferred batch piece by piece, so that no single call takes long, however slow the model is.

SageMaker ends a call after 60 seconds, whatever it has done by then. Chunks are sized for a few seconds, and halved after a
transient failure; what is scored stays scored. Rows are scored independently, so chunks do not change the scores. The work can stop
between two chunks, which lets a process end in time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event

import numpy as np

from app.deploy.live import LiveVersion
from app.errors import TransientError
from app.serve.deadline import Deadline
from app.serve.idempotency.duration_estimate import DurationEstimates
from app.serve.request import PredictionRequest
from app.serve.rows import Assignment, Rows, Scored
from app.serve.scoring.scorer import Scorer, ScorerWrapper
from sagemaker_entry.model import Reasons

_FIRST_ROWS = 256
_CHUNK_S = 3.0
_GROWTH = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0


class Stopped(Exception):
    """The process is shutting down; another replica will do the work."""


class ChunkedScorer(ScorerWrapper):
    """A scorer that works until ``request.deadline``, in calls of at most a request's time, ``budget_s``."""

    def __init__(
        self,
        inner: Scorer,
        estimates: DurationEstimates,
        budget_s: float,
        stopped: Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._estimates, self._budget_s, self._stopped, self._clock = estimates, budget_s, stopped, clock
        self._chunk_s = min(_CHUNK_S, budget_s / 4)

    def score(self, live: LiveVersion, rows: Rows, request: PredictionRequest) -> Scored:
        """All scores, in order. Blocks. Raises Stopped after a stop, the last TransientError when the deadline has passed."""
        parts: list[Scored] = []
        first = live
        start, size, seconds, pause_s = 0, self._first_size(live, len(rows)), 0.0, _FIRST_PAUSE_S
        while start < len(rows) or not parts:
            part = _chunk(rows, start, start + size)
            started = self._clock()
            try:
                scored = self._inner.score(live, part, self._within_budget(request))
            except TransientError:
                if not request.deadline.allows(pause_s):
                    raise
                self._stopped.wait(pause_s)
                size, pause_s = max(1, size // 2), min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            took = self._clock() - started
            parts.append(scored)
            live = _pinned(live, part, scored)
            start, seconds, pause_s = start + size, seconds + took, _FIRST_PAUSE_S
            size = self._next_size(size, took)
        self._estimates.observe(first, len(rows), seconds)
        return _joined(parts)

    def _first_size(self, live: LiveVersion, rows: int) -> int:
        expected_s = self._estimates.expected_s(live, rows)
        return max(1, min(rows, int(rows * self._chunk_s / expected_s))) if expected_s else _FIRST_ROWS

    def _next_size(self, size: int, took_s: float) -> int:
        fitting = int(size * self._chunk_s / took_s) if took_s > 0 else size * _GROWTH
        return max(1, min(fitting, size * _GROWTH))

    def _within_budget(self, request: PredictionRequest) -> PredictionRequest:
        if self._stopped.is_set():
            raise Stopped
        remaining_s = request.deadline.remaining_s
        if not remaining_s:
            raise TransientError("the deferred batch's time is over")
        return replace(request, deadline=Deadline.after(min(self._budget_s, remaining_s), request.deadline.clock))


def _pinned(live: LiveVersion, part: Rows, scored: Scored) -> LiveVersion:
    """If the scorer chose a version for the whole request, the version of the first chunk, for all chunks."""
    if scored.assignment is None:
        return replace(live, variant=scored.variant or live.variant)
    return live.arms[scored.assignment.at[0]] if part.keys is None and len(part) else live


def _joined_assignment(parts: list[Scored]) -> Assignment | None:
    first = parts[0].assignment
    if first is None:
        return None
    at = [np.full(len(part.scores), first.at[0]) if part.assignment is None else part.assignment.at for part in parts]
    return Assignment(first.shares, np.concatenate(at))


def _joined(parts: list[Scored]) -> Scored:
    reasons = [part.reasons for part in parts if part.reasons is not None]
    joined = (
        Reasons(
            np.concatenate([each.features for each in reasons]),
            np.concatenate([each.contributions for each in reasons]),
        )
        if reasons
        else None
    )
    return Scored(np.concatenate([part.scores for part in parts]), parts[0].variant, joined, _joined_assignment(parts))


def _chunk(rows: Rows, start: int, stop: int) -> Rows:
    return replace(
        rows,
        matrix=rows.matrix[start:stop],
        keys=None if rows.keys is None else rows.keys[start:stop],
        faults={number - start: fault for number, fault in rows.faults.items() if start <= number < stop},
    )
