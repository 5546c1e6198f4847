"""The row quota of a query: a cap on the rows that one Snowflake query may have scored, against joins that multiply rows.

Each process counts for itself. Rows count once their batch is scored; while a batch is being scored its rows are reserved, so
parallel batches cannot pass the cap together.

The newest few thousand queries are remembered; a forgotten query starts at zero again. The cap protects an honest user from an
expensive mistake; it does not stop a caller who invents query ids. It belongs to the credential: a caller neither uses up nor
displaces the queries of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock

from app.errors import CallerError
from app.serve.security.recent import RecentEntries

#: Queries remembered.
QUERIES_KEPT = 10_000

_UNCOUNTED = nullcontext()


class QueryCapExceeded(CallerError):
    """The query has reached its cap of scored rows."""


class QueryQuota:
    """Scored rows by query, for the newest ``kept`` queries. ``limit``: rows that a query may have scored, 0 for no limit.
    Thread-safe."""

    def __init__(self, limit: int, kept: int = QUERIES_KEPT) -> None:
        self._limit, self._lock = limit, Lock()
        self._rows: RecentEntries[int] = RecentEntries(kept)

    def reserved(self, query_id: str, rows: int, caller: str = "") -> AbstractContextManager[None]:
        """Reserve ``rows`` of a query for the block; released if the block fails. Raises QueryCapExceeded beyond the cap."""
        return self._counted(caller, query_id, rows) if self._limit and query_id else _UNCOUNTED

    @contextmanager
    def _counted(self, caller: str, query_id: str, rows: int) -> Iterator[None]:
        self._take(caller, query_id, rows)
        try:
            yield
        except BaseException:
            self._give_back(caller, query_id, rows)
            raise

    def _take(self, caller: str, query_id: str, rows: int) -> None:
        with self._lock:
            taken = (self._rows.get(caller, query_id) or 0) + rows
            if taken > self._limit:
                raise QueryCapExceeded(
                    f"this query has more than {self._limit} rows to score, the service's cap for one query; "
                    "select fewer rows, score by a batch run, or have SNOWSAGE_MAX_QUERY_ROWS raised"
                )
            self._rows.put(caller, query_id, taken)

    def _give_back(self, caller: str, query_id: str, rows: int) -> None:
        with self._lock:
            if (taken := self._rows.get(caller, query_id)) is not None:
                self._rows.put(caller, query_id, taken - rows)
