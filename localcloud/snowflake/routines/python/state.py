"""Worker processes and procedures of one server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.snowflake.objects.store import Store
from localcloud.snowflake.routines.python.objects import Procedure
from localcloud.snowflake.routines.python.registry import Registry
from localcloud.snowflake.routines.python.runtime import packages
from localcloud.snowflake.routines.python.runtime.worker_pool import Workers
from localcloud.snowflake.sessions.connection import DuckConnection

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.account import Query


class Python:
    """``address`` is the host and port at which procedures reach the server; it is set once the server listens."""

    def __init__(self, duck: DuckConnection, queries: dict[str, Query], procedures: Store[Procedure]) -> None:
        self.workers = Workers()
        self.procedures = procedures
        self.registry = Registry(duck, self.workers, queries)
        self.address = ("127.0.0.1", 0)
        packages.publish(duck)

    def close(self) -> None:
        self.workers.forget()
        self.registry.close()
