"""Waiting for what happens in another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Only a fault reaches this limit, however loaded the machine is.
LIMIT_S = 300.0


def wait_for(look: Callable[[], T], enough: Callable[[T], bool] = bool) -> T:
    """What ``look`` returns once it is ``enough``. It looks less and less often: looking takes time from what it waits for."""
    deadline, pause_s = time.monotonic() + LIMIT_S, 0.01
    while not enough(found := look()):
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.5)
    return found
