"""What one server knows of Python: functions, procedures, and the processes that run them."""

from __future__ import annotations

from localcloud.snowflake.routines.python.registry import Registry
from localcloud.snowflake.routines.python.runtime import packages
from localcloud.snowflake.routines.python.runtime.worker_pool import Workers
from localcloud.snowflake.routines.python.store import Store
from localcloud.snowflake.routines.python.syntax import CreateFunction, CreateProcedure
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.state import State


class Python(State):
    """``address``: host and port of the server, where procedures reach it; set when it listens."""

    def __init__(self, duck: DuckConnection, queries: Queries) -> None:
        self.workers = Workers()
        self.functions: Store[CreateFunction] = Store()
        self.procedures: Store[CreateProcedure] = Store()
        self.registry = Registry(duck, self.workers, queries)
        self.address = ("127.0.0.1", 0)
        packages.publish(duck)

    def session_closed(self, session_id: int) -> None:
        """End its processes; drop its temporary functions and procedures."""
        self.workers.forget(session_id)
        for function in self.functions.of_session(session_id):
            self.functions.drop(function)
            self.registry.remove(function)
        for procedure in self.procedures.of_session(session_id):
            self.procedures.drop(procedure)

    def query_cancelled(self, session_id: int) -> None:
        self.workers.cancel(session_id)

    def close(self) -> None:
        self.workers.forget()
        self.registry.close()
