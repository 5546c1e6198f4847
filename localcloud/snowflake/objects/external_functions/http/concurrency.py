"""How many requests to services may be in flight: fewer while they answer 429."""

from __future__ import annotations

import threading


class Gate:
    """How many requests may be in flight: halved by a 429, one more after as many good replies as it holds."""

    def __init__(self, most: int) -> None:
        self._most = self._limit = most
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

    def narrow(self) -> None:
        with self._changed:
            self._limit, self._good = max(1, self._limit // 2), 0

    def widen(self) -> None:
        with self._changed:
            self._good += 1
            if self._good >= self._limit < self._most:
                self._limit, self._good = self._limit + 1, 0
