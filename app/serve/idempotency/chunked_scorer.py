"""A deferred batch's scores, slice by slice, so that no single call takes long, however slow the model is.

SageMaker ends a call after 60 seconds, whatever it has done by then. Slices are made as large as a few seconds allow, and halved
where a call fails in a way that may pass; what is scored stays scored. Rows are scored independently, so slices change nothing.

The one surprise: between two slices the work can be given up, which is what lets a process end in time.
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
from app.serve.idempotency.duration_estimate import Pace
from app.serve.request import Call
from app.serve.rows import Arms, Rows, Scored
from app.serve.scoring.scorer import Scorer
from app.serve.scoring.wrapper import Around
from sagemaker_entry.model import Reasons

_FIRST_ROWS = 256
_SLICE_S = 3.0
_GROWTH = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0


class GivenUp(Exception):
    """The process ends; somebody else will do the work."""


class Sliced(Around):
    """A scorer that works until ``call.deadline``, in calls that each have a request's time, ``budget_s``."""

    def __init__(
        self,
        inner: Scorer,
        pace: Pace,
        budget_s: float,
        stopped: Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._pace, self._budget_s, self._stopped, self._clock = pace, budget_s, stopped, clock
        self._slice_s = min(_SLICE_S, budget_s / 4)

    def score(self, live: LiveVersion, rows: Rows, call: Call) -> Scored:
        """All scores, in order. Blocks. GivenUp once told to stop; TransientError, the last one met, when time is over."""
        parts: list[Scored] = []
        first = live
        start, size, seconds, pause_s = 0, self._first_size(live, len(rows)), 0.0, _FIRST_PAUSE_S
        while start < len(rows) or not parts:
            part = _slice(rows, start, start + size)
            began = self._clock()
            try:
                scored = self._inner.score(live, part, self._within_budget(call))
            except TransientError:
                if not call.deadline.allows(pause_s):
                    raise
                self._stopped.wait(pause_s)
                size, pause_s = max(1, size // 2), min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            took = self._clock() - began
            parts.append(scored)
            live = _settled(live, part, scored)
            start, seconds, pause_s = start + size, seconds + took, _FIRST_PAUSE_S
            size = self._next_size(size, took)
        self._pace.observe(first, len(rows), seconds)
        return _joined(parts)

    def _first_size(self, live: LiveVersion, rows: int) -> int:
        expected_s = self._pace.expected_s(live, rows)
        return max(1, min(rows, int(rows * self._slice_s / expected_s))) if expected_s else _FIRST_ROWS

    def _next_size(self, size: int, took_s: float) -> int:
        fitting = int(size * self._slice_s / took_s) if took_s > 0 else size * _GROWTH
        return max(1, min(fitting, size * _GROWTH))

    def _within_budget(self, call: Call) -> Call:
        if self._stopped.is_set():
            raise GivenUp
        remaining_s = call.deadline.remaining_s
        if not remaining_s:
            raise TransientError("the time for a deferred batch is over")
        return replace(call, deadline=Deadline.after(min(self._budget_s, remaining_s), call.deadline.clock))


def _settled(live: LiveVersion, part: Rows, scored: Scored) -> LiveVersion:
    """Where the scorer chose who takes a whole request, the one that took the first slice takes them all."""
    if scored.arms is None:
        return replace(live, variant=scored.variant or live.variant)
    return live.arms[scored.arms.at[0]] if part.keys is None and len(part) else live


def _arms(parts: list[Scored]) -> Arms | None:
    first = parts[0].arms
    if first is None:
        return None
    at = [np.full(len(part.scores), first.at[0]) if part.arms is None else part.arms.at for part in parts]
    return Arms(first.shares, np.concatenate(at))


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
    return Scored(np.concatenate([part.scores for part in parts]), parts[0].variant, joined, _arms(parts))


def _slice(rows: Rows, start: int, stop: int) -> Rows:
    return replace(
        rows,
        matrix=rows.matrix[start:stop],
        keys=None if rows.keys is None else rows.keys[start:stop],
        faults={number - start: fault for number, fault in rows.faults.items() if start <= number < stop},
    )
