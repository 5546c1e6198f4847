"""The dynamic tables of an account, and which of them are due.

Nothing runs in the background: the next statement of any session refreshes what is due, so no query reads rows older than the
target lag.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from localcloud.snowflake.clock import Clock
from localcloud.snowflake.objects.dynamic_tables.grammar import lag_seconds
from localcloud.snowflake.objects.store import SchemaObject, Store
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path

# As in Snowflake, after so many failures in a row a table is no longer refreshed until it is resumed.
_FAILURES = 5


@dataclass(eq=False, kw_only=True)
class DynamicTable(SchemaObject):
    """``home``: the database and schema in which the query's names are looked up. ``upstream``: the tables that it reads."""

    query: str
    text: str
    home: tuple[str, str]
    upstream: frozenset[Path]
    lag: str
    warehouse: str
    mode: str
    refreshed: datetime | None = None
    suspended: datetime | None = None
    active: bool = True
    failures: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def failed(self, now: datetime) -> None:
        self.failures += 1
        if self.failures >= _FAILURES:
            self.active, self.suspended = False, now


class DynamicTables(State):
    """``objects``: in the order of their creation, so that each table reads only earlier ones."""

    def __init__(self, clock: Clock, objects: Store[DynamicTable]) -> None:
        self.clock = clock
        self.objects = objects

    def take_due(self) -> list[DynamicTable]:
        """The tables that are older than their lag; each is returned once for a lag."""
        if self.objects.empty:
            return []
        now, due = self.clock.now(), []
        with self.objects.lock:
            for table in self.objects.all():
                seconds = lag_seconds(table.lag)
                old = table.refreshed is None or now - table.refreshed >= timedelta(seconds=seconds or 0)
                if table.active and seconds is not None and old:
                    table.refreshed = now
                    due.append(table)
        return due

    def with_upstream(self, table: DynamicTable) -> list[DynamicTable]:
        """The table after the dynamic tables that it reads, each once."""
        found: dict[Path, DynamicTable] = {}

        def visit(one: DynamicTable) -> None:
            for path in sorted(one.upstream):
                if path not in found and path != one.path and (above := self.objects.at(path)) is not None:
                    visit(above)
            found[one.path] = one

        visit(table)
        return list(found.values())
