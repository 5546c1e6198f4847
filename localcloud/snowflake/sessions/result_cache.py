"""The results of recent statements, for RESULT_SCAN."""

from __future__ import annotations

import threading
from collections import OrderedDict

from localcloud.snowflake.failures import failure
from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.state import State

_KEPT = 200
_LARGEST_BYTES = 64 * 2**20
_ALL_BYTES = 512 * 2**20


class ResultCache(State):
    """The newest results by query id, each readable by the user who ran the statement. Results above 64 MiB are not kept."""

    def __init__(self) -> None:
        self._results: OrderedDict[str, tuple[str, Result, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def keep(self, query_id: str, user: str, result: Result) -> None:
        size = result.table.nbytes
        if size > _LARGEST_BYTES:
            return
        with self._lock:
            _, _, replaced = self._results.pop(query_id, ("", None, 0))
            self._results[query_id] = (user, result, size)
            self._bytes += size - replaced
            while len(self._results) > _KEPT or self._bytes > _ALL_BYTES:
                _, (_, _, freed) = self._results.popitem(last=False)
                self._bytes -= freed

    def get(self, query_id: str, user: str) -> Result:
        with self._lock:
            owner, result, _ = self._results.get(query_id, ("", None, 0))
        if result is None or owner != user:
            raise failure(709, "02000", f"Statement {query_id} not found")
        return result
