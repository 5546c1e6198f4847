"""What all sessions of one server share: DuckDB, the catalog, S3, the caller of external functions, the running queries.

In: logins. Out: sessions. Nothing here is global to the process, so two servers side by side know nothing of each other.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer

from fakesnow.instance import FakeSnow
from fakesnow.transforms.stage import LOCAL_BUCKET_PATH
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.clock import Clock
from localcloud.snowflake.failures import failure
from localcloud.snowflake.limits import Limits
from localcloud.snowflake.objects.account.parameters import timeout_s
from localcloud.snowflake.objects.catalog import Catalog, Path
from localcloud.snowflake.objects.dynamic_tables.state import DynamicTables
from localcloud.snowflake.objects.event_tables.state import Events
from localcloud.snowflake.objects.external_functions import statements as external_statements
from localcloud.snowflake.objects.external_functions.http.batches import Outbox
from localcloud.snowflake.objects.external_functions.http.client import ExternalCaller
from localcloud.snowflake.objects.external_functions.registry import Registry
from localcloud.snowflake.objects.stages.state import StagingState
from localcloud.snowflake.objects.stages.storage import Storage
from localcloud.snowflake.objects.streams.state import Streams
from localcloud.snowflake.objects.tasks.scheduler import Scheduler, session_options
from localcloud.snowflake.objects.tasks.state import Run, Tasks
from localcloud.snowflake.objects.user_functions.registry import UserFunctions
from localcloud.snowflake.routines.python import statements as python_statements
from localcloud.snowflake.routines.python.runtime.nested_session import Entry
from localcloud.snowflake.routines.python.state import Python
from localcloud.snowflake.sessions.authentication import LoginRefused, User, Users
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.name_lookup import NameLookup
from localcloud.snowflake.sessions.query_history import QueryHistory
from localcloud.snowflake.sessions.result_cache import RecentResults
from localcloud.snowflake.sessions.savepoints import Writers
from localcloud.snowflake.sessions.session import Session

# More than there are cores: one call of an external function a thread waits for the network, not for the processor.
_DUCKDB_THREADS = 8


# Told of each statement when it has ended, and how it failed.
Observer = Callable[[str, ProgrammingError | None], None]


@dataclass
class Query:
    """A statement that runs. ``failure``: what a function called from inside DuckDB wants the client to be told.

    ``outboxes``: its rows for external functions, by the function's internal name.
    """

    session: Session
    failure: ProgrammingError | None = None
    outboxes: dict[str, Outbox] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, error: ProgrammingError) -> None:
        """The first failure is the one that the client is told."""
        self.failure = self.failure or error

    def cancel(self) -> None:
        self._end(failure(604, "57014", "SQL execution canceled"))

    def time_out(self, limit_s: int) -> None:
        text = f"Statement reached its statement or warehouse timeout of {limit_s} second(s) and was canceled."
        self._end(failure(630, "57014", text))

    def _end(self, error: ProgrammingError) -> None:
        self.fail(error)
        self.session.duck.interrupt()
        self.session.engine.python.workers.cancel(self.session.id)


class Engine:
    def __init__(
        self,
        *,
        account: str,
        users: Users,
        database: str,
        aws_endpoint_url: str,
        concurrency: int,
        limits: Limits,
        observe: Observer,
        clock: Clock | None = None,
    ) -> None:
        self.observe = observe
        self.account = account
        self.clock = clock or Clock()
        self.streams = Streams(self.clock)
        self.writers = Writers()
        # OBJECT and ARRAY columns of tables and views.
        self.nested_types: dict[Path, Mapping[str, str]] = {}
        # Tables made with TRANSIENT.
        self.transient: set[Path] = set()
        self.dynamic = DynamicTables(self.clock)
        self.events = Events()
        self.catalog = Catalog(users, account)
        self.storage = Storage(aws_endpoint_url)
        self.staging = StagingState()
        # fakesnow makes a folder for stages as soon as it is imported; they lie elsewhere here, so it would only be left behind.
        shutil.rmtree(LOCAL_BUCKET_PATH, ignore_errors=True)
        self._fakesnow = FakeSnow()
        self._root = DuckConnection(self._fakesnow.duck_conn)
        self._root.execute(f"SET threads = {_DUCKDB_THREADS}")
        # DuckDB then refuses x / 0 as Snowflake does, instead of answering infinity.
        self._root.execute("SET GLOBAL ieee_floating_point_ops = false")
        self.history = QueryHistory()
        self.results = RecentResults()
        self.names = NameLookup(self._root.cursor())
        self._queries: dict[str, Query] = {}
        self.sessions: dict[str, Session | Entry] = {}
        self._lock = threading.Lock()
        self.caller = ExternalCaller(concurrency=concurrency, limits=limits)
        self.functions = Registry(self._root.cursor(), self.caller, self._queries, self.catalog)
        self.user_functions = UserFunctions()
        self.user_functions.add_source(lambda: external_statements.overloads(self))
        self.tasks = Tasks()
        self.scheduler = Scheduler(self)
        self.python = Python(self._root.cursor(), self._queries)
        self.user_functions.add_source(lambda: python_statements.overloads(self))
        self._prepare(database)

    def task_session(self, run: Run) -> Session:
        """A session of the task's owner, in the task's own database and schema."""
        session = self._new_session("SYSTEM", run.task.owner, autocommit=True)
        session.use(*run.task.path[:2])
        session.warehouse = run.task.options.get("WAREHOUSE")
        session.parameters.update(session_options(run.task))
        session.task_run = run
        return session

    def system_session(self, role: str) -> Session:
        """A session of the server's own, in the role that owns what it works on."""
        return self._new_session("SYSTEM", role, autocommit=True)

    def _prepare(self, database: str) -> None:
        session = self._new_session("SNOWFLAKE", "ACCOUNTADMIN", autocommit=True)
        session.run(f"CREATE DATABASE {database}", None, query_id="prepare")
        session.close()
        self.functions.publish_calls(database)

    def _new_session(self, user: str, role: str, *, autocommit: bool) -> Session:
        return Session(self, user, self._root.cursor(), role=role, autocommit=autocommit)

    def open(
        self,
        token: str,
        user: User,
        *,
        database: str | None,
        schema: str | None,
        warehouse: str | None,
        role: str | None,
        autocommit: bool,
    ) -> Session:
        """A session for a user who has proved who they are; a role that does not exist is refused, as Snowflake does."""
        wanted = role or user.option("DEFAULT_ROLE") or "ACCOUNTADMIN"
        if wanted not in self.catalog.roles:
            raise LoginRefused(
                "390189", f"Role '{wanted}' specified in the connect string does not exist or not authorized."
            )
        session = self._new_session(user.name, wanted, autocommit=autocommit)
        warehouse = warehouse or user.option("DEFAULT_WAREHOUSE")
        if warehouse in self.catalog.warehouses:
            session.warehouse = warehouse
        if database is None:
            database, _, own_schema = (user.option("DEFAULT_NAMESPACE") or "").partition(".")
            schema = schema or own_schema or None
        if database and self.names.has_database(database):
            schema = schema or "PUBLIC"
            session.use(database, schema if self.names.has_schema(database, schema) else None)
        with self._lock:
            self.sessions[token] = session
        return session

    def close_session(self, token: str) -> None:
        with self._lock:
            session = self.sessions.pop(token, None)
        if session is not None:
            session.close()
            if isinstance(session, Session):
                self.writers.forget(session)
                self.python.forget(session.id)
                self.staging.forget(session)

    def cancel(self, query_id: str) -> str:
        """Interrupt one running statement; Snowflake answers with a sentence either way."""
        query = self._queries.get(query_id)
        if query is None:
            return "Identified SQL statement is not currently executing."
        query.cancel()
        return f"query [{query_id}] terminated."

    def cancel_all(self, session_id: int, *, but: Session) -> None:
        for query in self.running():
            if query.session.id == session_id and query.session is not but:
                query.cancel()

    @contextmanager
    def query(self, session: Session) -> Iterator[Query]:
        """Make the running statement known by its id to the external functions that it calls."""
        query = Query(session)
        query_id = session.query_id
        self._queries[query_id] = query
        limit_s = timeout_s(session)
        timer = Timer(limit_s, query.time_out, [limit_s]) if limit_s else None
        if timer:
            timer.daemon = True
            timer.start()
        try:
            yield query
        finally:
            if timer:
                timer.cancel()
            for outbox in query.outboxes.values():
                outbox.close()
            del self._queries[query_id]

    def check_running(self, session: Session) -> None:
        """Raise what the session's statement has failed with, where it was cancelled meanwhile."""
        query = self._queries.get(session.query_id)
        if query is not None and query.failure is not None:
            raise query.failure

    def running(self) -> list[Query]:
        """The statements that run at this moment."""
        return list(self._queries.values())

    def interrupt(self) -> None:
        """Make running statements end, so that nobody waits for them."""
        self.caller.stop_waiting()
        for query in self.running():
            query.cancel()

    def close(self) -> None:
        self.interrupt()
        self.scheduler.close()
        for token in list(self.sessions):
            self.close_session(token)
        self.caller.close()
        self.functions.close()
        self.python.close()
        self.names.close()
        self.storage.close()
        self.staging.close()
        self._root.close()
