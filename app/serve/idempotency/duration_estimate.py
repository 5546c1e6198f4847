"""How long a batch will take, told from what batches of its model took: rows -> seconds, for the version that answers.

The one surprise: small batches say little of large ones, for much of their time is the way there and back. So an estimate is
moved only by batches of about its own size or larger, and none is given for a batch much larger than any that was seen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.deploy.live import LiveVersion
from app.serve.request import Call
from app.serve.rows import Rows, Scored
from app.serve.scoring.scorer import Scorer
from app.serve.scoring.wrapper import Around

_MUCH_LARGER = 8
_MUCH_SMALLER = 4
_WEIGHT_OF_NEWEST = 0.5


class Late(Exception):
    """Not an error: this batch would not end within its request's time, so nothing was scored."""


@dataclass(frozen=True, slots=True)
class _Seen:
    version: str
    rows: float
    seconds: float


class Pace:
    """What batches of each model took. Safe in several threads: an observation that gets lost costs nothing."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def observe(self, live: LiveVersion, rows: int, seconds: float) -> None:
        """A batch of ``rows`` was scored in ``seconds``."""
        seen = self._seen.get(live.model)
        if seen is None or seen.version != live.version:
            self._seen[live.model] = _Seen(live.version, rows, seconds)
        elif rows * _MUCH_SMALLER >= seen.rows:
            self._seen[live.model] = _Seen(live.version, _towards(seen.rows, rows), _towards(seen.seconds, seconds))

    def expected_s(self, live: LiveVersion, rows: int) -> float:
        """Seconds that ``rows`` will take; 0 where nobody can tell."""
        seen = self._seen.get(live.model)
        if seen is None or seen.version != live.version or not 0 < rows <= seen.rows * _MUCH_LARGER:
            return 0.0
        return rows * seen.seconds / seen.rows


class Paced(Around):
    """A scorer that learns from what it does, and refuses with ``Late`` where a call may be deferred and had better be."""

    def __init__(self, inner: Scorer, pace: Pace, reserve_s: float) -> None:
        """``reserve_s``: of the request's time, what is kept for writing the batch down."""
        super().__init__(inner)
        self._pace, self._reserve_s = pace, reserve_s

    def score(self, live: LiveVersion, rows: Rows, call: Call) -> Scored:
        """As the scorer itself does, or Late."""
        expected_s = self._pace.expected_s(live, len(rows))
        if call.deferrable and expected_s > max(0.0, call.deadline.remaining_s - self._reserve_s):
            raise Late
        began = time.perf_counter()
        scored = self._inner.score(live, rows, call)
        self._pace.observe(live, len(rows), time.perf_counter() - began)
        return scored


def _towards(known: float, newest: float) -> float:
    return known + _WEIGHT_OF_NEWEST * (newest - known)
