"""The statements that defined the objects that DuckDB does not hold, in order, so that a saved account can define them again.

Kept from the start of the account: functions, procedures, stages, integrations, streams, tasks, roles, grants and the like.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any

from localcloud.snowflake.sessions.state import State


@dataclass(frozen=True)
class Defined:
    """One statement, with the context in which it ran. ``container``: database and schema of the object; empty for others."""

    sql: str
    user: str
    role: str
    database: str | None
    schema: str | None
    container: tuple[str, ...] = ()


class Definitions(State):
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Defined] = []

    def add(self, defined: Defined) -> None:
        with self._lock:
            self._kept.append(defined)

    def forget(self, container: tuple[str, ...]) -> None:
        """Forget the objects of a database or schema that was dropped or replaced."""
        with self._lock:
            self._kept = [kept for kept in self._kept if kept.container[: len(container)] != container]

    def to_json(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(kept) for kept in self._kept]


def from_json(saved: list[dict[str, Any]]) -> list[Defined]:
    """The statements, in order."""
    return [Defined(**{**item, "container": tuple(item["container"])}) for item in saved]
