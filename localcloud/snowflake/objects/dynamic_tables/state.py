"""Dynamic tables of one server, and their refresh schedule.

There is no background refresh: the next statement of any session refreshes tables that are due, so readers never see
rows older than the target lag.
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

# Number of consecutive failures after which Snowflake suspends a table until it is resumed.
_FAILURES = 5


@dataclass(eq=False, kw_only=True)
class DynamicTable(SchemaObject):
    """``home`` is the database and schema in which the query's names are resolved. ``upstream`` holds the paths of the
    tables that it reads."""

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
    """The dynamic tables of an account. ``objects`` keeps the order of creation; a table can read only earlier ones."""

    def __init__(self, clock: Clock, objects: Store[DynamicTable]) -> None:
        self.clock = clock
        self.objects = objects

    def take_due(self) -> list[DynamicTable]:
        """Tables that are older than their lag. Each is returned to one caller only per lag period."""
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
        """The dynamic tables that the table reads, in refresh order, followed by the table itself."""
        found: dict[Path, DynamicTable] = {}

        def visit(one: DynamicTable) -> None:
            for path in sorted(one.upstream):
                if path not in found and path != one.path and (above := self.objects.at(path)) is not None:
                    visit(above)
            found[one.path] = one

        visit(table)
        return list(found.values())
