"""Adaptive limit on concurrent requests to external services."""

from __future__ import annotations

import threading


class ConcurrencyLimit:
    """Limits requests in flight. A 429 response halves the limit; as many good replies as the limit raise it by one."""

    def __init__(self, maximum: int) -> None:
        self._maximum = self._limit = maximum
        self._inside = self._good = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self._limit)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def decrease(self) -> None:
        with self._changed:
            self._limit, self._good = max(1, self._limit // 2), 0

    def increase(self) -> None:
        with self._changed:
            self._good += 1
            if self._good >= self._limit < self._maximum:
                self._limit, self._good = self._limit + 1, 0
