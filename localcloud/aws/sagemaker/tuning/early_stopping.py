"""Early stopping rules for the training jobs of a tuning job.

An epoch is one value of the objective metric in the log, as on AWS. Losses are one per epoch; lower is better.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Protocol

_REDUCTION = 3


class StoppingRule(Protocol):
    """Called once for every epoch of every job."""

    def stops(self, losses: Sequence[float], finished: Sequence[Sequence[float]]) -> bool:
        """Whether to stop a job with these ``losses``; ``finished``: the losses of jobs that have ended."""


class NoStopping:
    """Stops no job."""

    def stops(self, losses: Sequence[float], finished: Sequence[Sequence[float]]) -> bool:  # noqa: ARG002
        return False


class MedianStopping:
    """Stops a job that is worse than the median of the others' running averages up to the same epoch: AWS's ``Auto``."""

    def stops(self, losses: Sequence[float], finished: Sequence[Sequence[float]]) -> bool:
        epoch = len(losses)
        averages = [statistics.fmean(other[:epoch]) for other in finished if len(other) >= epoch]
        return bool(averages) and losses[-1] > statistics.median(averages)


class SuccessiveHalving:
    """Asynchronous successive halving between ``min_epochs`` and ``max_epochs``.

    At ``min_epochs``, 3 x ``min_epochs``, 9 x ... only the best third of the jobs that have reached the same epoch continues; at
    ``max_epochs`` every job ends.
    """

    def __init__(self, min_epochs: int, max_epochs: int) -> None:
        self._max_epochs = max_epochs
        self._rungs: dict[int, list[float]] = {}
        epoch = min_epochs
        while epoch < max_epochs:
            self._rungs[epoch] = []
            epoch *= _REDUCTION

    def stops(self, losses: Sequence[float], finished: Sequence[Sequence[float]]) -> bool:  # noqa: ARG002
        epoch = len(losses)
        if epoch >= self._max_epochs:
            return True
        rung = self._rungs.get(epoch)
        if rung is None:
            return False
        rung.append(losses[-1])
        kept = max(1, len(rung) // _REDUCTION)
        return losses[-1] > sorted(rung)[kept - 1]
