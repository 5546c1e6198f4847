"""API Gateway's throttling: a token bucket."""

from __future__ import annotations

import time


class TokenBucket:
    """Holds at most ``burst`` tokens, refilled with ``rate`` per second. Not thread-safe: used on the event loop only."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take a token for one request; False if none is left."""
        present = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (present - self._at) * self._rate)
        self._at = present
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
