"""Deadlines of many tasks by one timer: as ``asyncio.timeout``, but a request that ends in time, as nearly all do, costs no timer.

The one surprise: a task is interrupted up to ``PERIOD_S`` after its time, for that is how often the watchdog looks.
"""

from __future__ import annotations

import asyncio

PERIOD_S = 0.05

Task = asyncio.Task[object]


class Watchdog:
    """Interrupts tasks of one event loop when their time is over."""

    def __init__(self) -> None:
        self._until: dict[Task, float] = {}  # on the loop's clock
        self._interrupted: set[Task] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, task: Task, seconds: float) -> None:
        """From now on, or from now on again, interrupt ``task`` by CancelledError in ``seconds``."""
        loop = task.get_loop()
        self._until[task] = loop.time() + seconds
        if self._timer is None:
            self._timer = loop.call_later(PERIOD_S, self._look, loop)

    def release(self, task: Task) -> bool:
        """Watch ``task`` no more; whether it was interrupted here, and so its CancelledError is not to be passed on."""
        self._until.pop(task, None)
        if task not in self._interrupted:
            return False
        self._interrupted.remove(task)
        return task.uncancel() == 0

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, until in self._until.items() if until <= now]:
            del self._until[task]
            self._interrupted.add(task)
            task.cancel()
        self._timer = loop.call_later(PERIOD_S, self._look, loop) if self._until else None
