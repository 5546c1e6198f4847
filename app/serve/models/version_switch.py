"""Which version of one model answers a call: the live one, the next one from its moment on, the last one for queries it began.

A record says from when on it is live, so that all replicas, which read it at different times, switch together; and until when
the version before it still answers the queries that had begun. Snowflake names its queries in a header.

The one surprise: queries are remembered from their first call on, switch or no switch, for which of them began before a switch
is asked only afterwards. The newest few thousand are kept; one that was forgotten gets the live version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from app.deploy.live import LiveVersion

#: Queries remembered.
QUERIES_KEPT = 10_000


class Track:
    """The versions of one model. ``now``: seconds since 1970; ``kept``: queries remembered. Safe in several threads."""

    def __init__(self, live: LiveVersion, now: Callable[[], float], kept: int = QUERIES_KEPT) -> None:
        self._now, self._kept, self._lock = now, kept, Lock()
        self._live = live
        self._next: LiveVersion | None = None
        self._last: LiveVersion | None = None
        self._begun: OrderedDict[str, LiveVersion] = OrderedDict()

    def offer(self, record: LiveVersion) -> None:
        """A record was read: what it says holds at once, or from its own moment on."""
        with self._lock:
            self._turn()
            if record == self._live:
                self._next = None
            elif record.live_from_s > self._now():
                self._next = record
            else:
                self._switch(record)

    def newest(self) -> LiveVersion:
        """The version that answers, or that will."""
        return self._next or self._live

    def live(self) -> LiveVersion:
        """The version that answers calls of no query, and new queries."""
        return self.version_for("")

    def version_for(self, query_id: str) -> LiveVersion:
        """The version for a call of a query; an empty name stands for callers that are no query."""
        with self._lock:
            self._turn()
            if not query_id:
                return self._live
            begun = self._begun.get(query_id)
            if begun is None or (begun is not self._live and begun is not self._last):
                begun = self._live
            self._begun[query_id] = begun
            self._begun.move_to_end(query_id)
            if len(self._begun) > self._kept:
                self._begun.popitem(last=False)
            return begun

    def _turn(self) -> None:
        if self._next is not None and self._now() >= self._next.live_from_s:
            self._switch(self._next)
        if self._last is not None and self._now() >= self._live.last_until_s:
            self._last = None

    def _switch(self, record: LiveVersion) -> None:
        self._last = self._live if record.last_until_s > self._now() else None
        self._live, self._next = record, None
