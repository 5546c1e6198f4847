"""The local Snowflake as a server that the official connector logs in to.

It runs in threads of this process until ``stop``. Servers share nothing, so several can run at the same time.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn

from localcloud.errors import CallerError, PermanentError
from localcloud.faults.rules import FaultPlan
from localcloud.faults.snowflake import SnowflakeFaultMiddleware
from localcloud.snowflake.assembly import assemble
from localcloud.snowflake.clock import Clock
from localcloud.snowflake.limits import Limits
from localcloud.snowflake.objects.account.authentication import KeyPairVerifier, Users
from localcloud.snowflake.objects.external_functions.http.client import CallRecord, ExternalCaller
from localcloud.snowflake.objects.tasks.scheduler import Scheduler
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.clients import Clients
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.statements import saved_account
from localcloud.snowflake.statements.runner import Observer
from localcloud.snowflake.wire.protocol import Protocol

_START_LIMIT_S = 20.0
# Statements that run at the same time; others wait, as in a warehouse's queue.
_STATEMENTS = 16


class SnowflakeServer:
    """One account with one database, empty at start; ``public_keys``: user name in upper case to PEM.

    ``observe`` is called after each statement, in the thread that ran it. ``faults``: rules for requests.
    ``saved``: folder in which the account is saved at the end, and from which it is restored at the start; None keeps nothing.
    """

    def __init__(
        self,
        *,
        aws_endpoint_url: str,
        public_keys: Mapping[str, str],
        host: str = "127.0.0.1",
        port: int = 0,
        account: str = "LOCAL",
        database: str = "SNOWSAGE",
        external_function_concurrency: int = 8,
        observe: Observer = lambda _statement, _failure: None,
        faults: FaultPlan | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        saved: Path | None = None,
    ) -> None:
        self.port = port
        self._host = host
        self._aws_endpoint_url = aws_endpoint_url
        self._name = account.upper()
        self._database = database.upper()
        self._observe = observe
        self._concurrency = external_function_concurrency
        self._users = Users(public_keys)
        self.faults = faults or FaultPlan()
        self._clock = clock
        self._limits = limits or Limits()
        self._saved = saved
        self._account: Account | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._work: ThreadPoolExecutor | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    @property
    def external_calls(self) -> deque[CallRecord]:
        """The most recent batches sent to external functions, oldest first."""
        return self._started().state(ExternalCaller).records

    @property
    def open_sessions(self) -> int:
        return len(self._started().state(Clients))

    def advance(self, seconds: float) -> None:
        """Advance the ``ManualClock`` and run the tasks that become due. With 0, only tasks started by EXECUTE TASK run."""
        self._started().state(Scheduler).advance(seconds)

    def _started(self) -> Account:
        if self._account is None:
            raise PermanentError("The local Snowflake has not been started; call start() first.")
        return self._account

    def start(self) -> None:
        """Bind the port and serve. Raises ``CallerError`` where the port is in use."""
        listener = self._bind()
        account, runner = assemble(
            self._name,
            self._users,
            address=(self._host, self.port),
            database=self._database,
            aws_endpoint_url=self._aws_endpoint_url,
            concurrency=self._concurrency,
            limits=self._limits,
            observe=self._observe,
            clock=self._clock,
            saved=self._saved,
        )
        self._account = account
        self._work = ThreadPoolExecutor(_STATEMENTS, thread_name_prefix="snowflake-statement")
        account.state(ExternalCaller).faults = self.faults
        self._protocol = Protocol(
            account, runner, KeyPairVerifier(self._name, self._users), self._work, self._limits.answer_s
        )
        app = SnowflakeFaultMiddleware(self._protocol.app(), self.faults)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=3
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="snowflake-server", daemon=True
        )
        self._thread.start()
        self._await_start()

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self.port))
            listener.listen()
        except OSError as error:
            listener.close()
            raise CallerError(
                f"The local Snowflake cannot listen on {self._host}:{self.port} ({error.strerror}); "
                "stop what uses that port, or choose another one."
            ) from error
        self.port = listener.getsockname()[1]
        return listener

    def _await_start(self) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        assert self._server is not None
        assert self._thread is not None
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                self.stop()
                raise PermanentError("The local Snowflake did not start to answer; see the log.")
            time.sleep(0.01)

    def stop(self, *, save: bool = True) -> None:
        """Close sessions, statements, threads and DuckDB. Further calls do nothing.

        ``save``: where the server saves its account, do so.
        """
        if self._account is None or self._server is None or self._thread is None or self._work is None:
            return
        self._account.state(ExternalCaller).stop_waiting()
        self._account.state(Queries).cancel_all()
        self._server.should_exit = True
        self._thread.join()
        self._work.shutdown(wait=True, cancel_futures=True)
        try:
            if save and self._saved is not None:
                saved_account.save(self._account, self._saved)
        finally:
            self._account.close()
        self._protocol.close()
        self._server = self._thread = self._work = None
