"""A request's deadline: set once on arrival, passed to every step, checked before each attempt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, in seconds on ``clock``, by which the response must be sent."""

    at_s: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """The deadline ``seconds`` from now."""
        return cls(clock() + seconds, clock)

    @property
    def remaining_s(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at_s - self.clock())

    def allows(self, seconds: float) -> bool:
        """Whether something that takes ``seconds`` can finish in time."""
        return self.remaining_s >= seconds
