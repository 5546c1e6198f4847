"""Waiting for results of other threads or processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Long enough for a heavily loaded machine.
LIMIT_S = 300.0


def wait_for(look: Callable[[], T], enough: Callable[[T], bool] = bool) -> T:
    """Call ``look``, with growing pauses, until its result is ``enough``; returns the result."""
    deadline, pause_s = time.monotonic() + LIMIT_S, 0.01
    while not enough(found := look()):
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.2)
    return found
