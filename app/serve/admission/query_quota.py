"""The row quota of a query: a cap on the rows that one Snowflake query may have scored, against joins that multiply rows.

Each process counts for itself. Rows count once their batch is scored; while a batch is being scored its rows are reserved, so
parallel batches cannot pass the cap together.

The newest few thousand queries are remembered; a forgotten query starts at zero again. The cap protects an honest user from an
expensive mistake; it does not stop a caller who invents query ids.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock

from app.errors import CallerError

#: Queries remembered.
QUERIES_KEPT = 10_000

_UNCOUNTED = nullcontext()


class QueryCapExceeded(CallerError):
    """The query has reached its cap of scored rows."""


class QueryQuota:
    """Scored rows by query, for the newest ``kept`` queries. ``limit``: rows that a query may have scored, 0 for no limit.
    Thread-safe."""

    def __init__(self, limit: int, kept: int = QUERIES_KEPT) -> None:
        self._limit, self._kept, self._lock = limit, kept, Lock()
        self._rows: OrderedDict[str, int] = OrderedDict()

    def reserved(self, query_id: str, rows: int) -> AbstractContextManager[None]:
        """Reserve ``rows`` of a query for the block; released if the block fails. Raises QueryCapExceeded beyond the cap."""
        return self._counted(query_id, rows) if self._limit and query_id else _UNCOUNTED

    @contextmanager
    def _counted(self, query_id: str, rows: int) -> Iterator[None]:
        self._take(query_id, rows)
        try:
            yield
        except BaseException:
            self._give_back(query_id, rows)
            raise

    def _take(self, query_id: str, rows: int) -> None:
        with self._lock:
            taken = self._rows.get(query_id, 0) + rows
            if taken > self._limit:
                raise QueryCapExceeded(
                    f"this query has more than {self._limit} rows to score, the service's cap for one query; "
                    "select fewer rows, score by a batch run, or have SNOWSAGE_MAX_QUERY_ROWS raised"
                )
            self._rows[query_id] = taken
            self._rows.move_to_end(query_id)
            if len(self._rows) > self._kept:
                self._rows.popitem(last=False)

    def _give_back(self, query_id: str, rows: int) -> None:
        with self._lock:
            if query_id in self._rows:
                self._rows[query_id] -= rows
