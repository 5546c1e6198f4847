"""The version switch of one model: chooses between the live, the next and the previous version.

A record says when it becomes live, so all replicas, which read it at different times, switch together; and until when the version
before it still answers the queries that had begun. Snowflake names its queries in a header.

Queries are remembered from their first request on, because which of them began before a switch is only known afterwards. The newest
few thousand are kept; a forgotten query gets the live version.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from app.deploy.live import LiveVersion
from app.serve.security.recent import RecentEntries

#: Queries remembered.
QUERIES_KEPT = 10_000


class VersionSwitch:
    """The versions of one model. ``now``: seconds since 1970; ``kept``: queries remembered. Thread-safe."""

    def __init__(self, live: LiveVersion, now: Callable[[], float], kept: int = QUERIES_KEPT) -> None:
        self._now, self._lock = now, Lock()
        self._live = live
        self._next: LiveVersion | None = None
        self._last: LiveVersion | None = None
        self._begun: RecentEntries[LiveVersion] = RecentEntries(kept)

    def update(self, record: LiveVersion) -> None:
        """Apply a record that was read: at once, or from its start time on."""
        with self._lock:
            self._apply_times()
            if record == self._live:
                self._next = None
            elif record.live_from_s > self._now():
                self._next = record
            else:
                self._switch(record)

    def newest(self) -> LiveVersion:
        """The newest version, live or scheduled."""
        return self._next or self._live

    def live(self) -> LiveVersion:
        """The version for new queries and for requests without a query."""
        return self.version_for("")

    def version_for(self, query_id: str, caller: str = "") -> LiveVersion:
        """The version for a request of a caller's query; an empty id means no query."""
        with self._lock:
            self._apply_times()
            if not query_id:
                return self._live
            begun = self._begun.get(caller, query_id)
            if begun is None or (begun is not self._live and begun is not self._last):
                begun = self._live
            self._begun.put(caller, query_id, begun)
            return begun

    def _apply_times(self) -> None:
        if self._next is not None and self._now() >= self._next.live_from_s:
            self._switch(self._next)
        if self._last is not None and self._now() >= self._live.last_until_s:
            self._last = None

    def _switch(self, record: LiveVersion) -> None:
        self._last = self._live if record.last_until_s > self._now() else None
        self._live, self._next = record, None
