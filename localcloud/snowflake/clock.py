"""The time that schedules and stale streams go by: the machine's, or one that a test moves.

In: nothing, or a start. Out: aware moments in UTC. The surprise: CURRENT_TIMESTAMP and the creation times in SHOW are DuckDB's and
the machine's, whatever this clock says.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's time."""

    manual = False

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock(Clock):
    """A time that stands still until it is moved; ``start`` must be aware."""

    manual = True

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def move_to(self, moment: datetime) -> None:
        """Never backwards."""
        with self._lock:
            self._now = max(self._now, moment.astimezone(UTC))

    def advance(self, seconds: float) -> None:
        self.move_to(self.now() + timedelta(seconds=seconds))
