"""Deadlines of many tasks by one timer: as ``asyncio.timeout``, but a request that ends in time, as nearly all do, costs no timer.

The one surprise: what is left is asked for at each look. So a deadline may be put off at any time, and a task is interrupted up
to ``PERIOD_S`` after its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

PERIOD_S = 0.05


class Watched:
    """A task in a block that ``Watchdog.watching`` began."""

    __slots__ = ("_dog", "_interrupted", "_task", "remaining_s")

    def __init__(self, dog: Watchdog, remaining_s: Callable[[], float]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._dog, self._task, self.remaining_s = dog, task, remaining_s
        self._interrupted = False

    def __enter__(self) -> Watched:
        self._dog.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dog.end(self)

    def interrupt(self) -> None:
        """Its time is over."""
        self._interrupted = True
        self._task.cancel()

    def interrupted(self) -> bool:
        """Whether a CancelledError in the block is the watchdog's and nobody else's; to be asked once, when one came."""
        return self._interrupted and self._task.uncancel() == 0


class Watchdog:
    """Interrupts tasks of one event loop by CancelledError when nothing is left of their time."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watching(self, remaining_s: Callable[[], float]) -> Watched:
        """To be used with ``with``: its block is interrupted when ``remaining_s`` gives 0."""
        return Watched(self, remaining_s)

    def begin(self, watched: Watched) -> None:
        """Look after ``watched``."""
        self._watched.add(watched)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self.look)

    def end(self, watched: Watched) -> None:
        """Look after ``watched`` no more."""
        self._watched.discard(watched)

    def look(self) -> None:
        """Interrupt those whose time is over, and come again while there are others."""
        for watched in [watched for watched in self._watched if watched.remaining_s() <= 0]:
            self._watched.remove(watched)
            watched.interrupt()
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self.look) if self._watched else None
