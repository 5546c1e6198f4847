"""How many rows each query had scored: a cap against a slip of the pen, such as a join that multiplies its rows.

Each process counts for itself. Rows count once their batch is scored; while it is on its way they are reserved, so that batches
side by side cannot pass the cap together.

The one surprise: the newest few thousand queries are remembered, and one that was forgotten begins anew. The cap keeps an honest
user from an expensive mistake; it is no fence against somebody who invents names of queries.
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


class Capped(CallerError):
    """The query has had as many rows scored as one may."""

    problem = "query-cap"


class QueryRows:
    """Rows by query, of the newest ``kept`` queries. ``limit``: rows a query may have scored, 0 for any number. Safe in
    several threads."""

    def __init__(self, limit: int, kept: int = QUERIES_KEPT) -> None:
        self._limit, self._kept, self._lock = limit, kept, Lock()
        self._rows: OrderedDict[str, int] = OrderedDict()

    def reserved(self, query_id: str, rows: int) -> AbstractContextManager[None]:
        """Count ``rows`` of a query whose scoring is the block; given back where it fails. Raises Capped beyond the cap."""
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
                raise Capped(
                    f"this query asks for more than {self._limit} scored rows, the service's cap for one query; "
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
