"""The time of schedules, target lags and stale streams: the machine's, or one that a test sets.

CURRENT_TIMESTAMP and the creation times in SHOW are the machine's time in both cases. All times are aware, in UTC.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's time, in UTC."""

    manual = False

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock(Clock):
    """A time that changes only when it is moved. ``start`` must be aware."""

    manual = True

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def move_to(self, moment: datetime) -> None:
        """Move the time forward; an earlier time is ignored."""
        with self._lock:
            self._now = max(self._now, moment.astimezone(UTC))

    def advance(self, seconds: float) -> None:
        self.move_to(self.now() + timedelta(seconds=seconds))
