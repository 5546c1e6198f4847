"""Worker processes and procedures of one server."""

from __future__ import annotations

from localcloud.snowflake.objects.store import Store
from localcloud.snowflake.routines.python.objects import Procedure
from localcloud.snowflake.routines.python.registry import Registry
from localcloud.snowflake.routines.python.runtime import packages
from localcloud.snowflake.routines.python.runtime.worker_pool import Workers
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.state import State


class Python(State):
    def __init__(self, duck: DuckConnection, queries: Queries, procedures: Store[Procedure]) -> None:
        self.workers = Workers()
        self.procedures = procedures
        self.registry = Registry(duck, self.workers, queries)
        packages.publish(duck)

    def session_closed(self, session_id: int) -> None:
        """End the session's processes."""
        self.workers.forget(session_id)

    def query_cancelled(self, session_id: int) -> None:
        self.workers.cancel(session_id)

    def close(self) -> None:
        self.workers.close()
        self.registry.close()
