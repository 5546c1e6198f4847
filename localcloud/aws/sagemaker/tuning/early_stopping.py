"""When a running training job of a tuning job is not worth going on with.

In: the losses of the job so far, one an epoch (lower is better), and those of others. Out: yes or no. The surprise: an
epoch is nothing but one more value of the objective metric in the log, as at AWS.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Protocol

_REDUCTION = 3


class StoppingRule(Protocol):
    """Asked once for every epoch of every job."""

    def stops(self, losses: Sequence[float], finished: Sequence[Sequence[float]]) -> bool:
        """Whether a job with these ``losses`` ends here; ``finished``: those of jobs that are over."""


class NoStopping:
    """Every job runs to its own end."""

    def stops(self, losses: Sequence[float], finished: Sequence[Sequence[float]]) -> bool:  # noqa: ARG002
        return False


class MedianStopping:
    """Worse than the median of the others' running averages up to the same epoch, as AWS describes ``Auto``."""

    def stops(self, losses: Sequence[float], finished: Sequence[Sequence[float]]) -> bool:
        epoch = len(losses)
        averages = [statistics.fmean(other[:epoch]) for other in finished if len(other) >= epoch]
        return bool(averages) and losses[-1] > statistics.median(averages)


class SuccessiveHalving:
    """At the rungs ``least``, 3 x ``least``, 9 x ... epochs only the best third so far goes on; at ``most`` none.

    The asynchronous form: a job is judged when it gets to a rung, by those that got there before it.
    """

    def __init__(self, least: int, most: int) -> None:
        self._most = most
        self._rungs: dict[int, list[float]] = {}
        while least < most:
            self._rungs[least] = []
            least *= _REDUCTION

    def stops(self, losses: Sequence[float], finished: Sequence[Sequence[float]]) -> bool:  # noqa: ARG002
        epoch = len(losses)
        if epoch >= self._most:
            return True
        rung = self._rungs.get(epoch)
        if rung is None:
            return False
        rung.append(losses[-1])
        kept = max(1, len(rung) // _REDUCTION)
        return losses[-1] > sorted(rung)[kept - 1]
