"""An account assembled from its parts: DuckDB, the state of every feature, and the statement runner."""

from __future__ import annotations

import shutil
from pathlib import Path

from fakesnow.instance import FakeSnow
from fakesnow.transforms.stage import LOCAL_BUCKET_PATH

from localcloud.snowflake.clock import Clock
from localcloud.snowflake.functions import computed, macros
from localcloud.snowflake.limits import Limits
from localcloud.snowflake.objects.account.authentication import Users
from localcloud.snowflake.objects.account.catalog import Catalog
from localcloud.snowflake.objects.external_functions.http.client import ExternalCaller
from localcloud.snowflake.objects.external_functions.registry import Registry
from localcloud.snowflake.objects.privileges import Privileges
from localcloud.snowflake.objects.stages.storage import Storage
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.routines.python.runtime.nested_session import ServerAddress
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.clients import Clients
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.definitions import Definitions
from localcloud.snowflake.sessions.journal import Writers
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.query_history import QueryHistory
from localcloud.snowflake.sessions.result_cache import ResultCache
from localcloud.snowflake.sessions.session import OWN, Session
from localcloud.snowflake.sessions.table_locks import TableLocks
from localcloud.snowflake.statements import saved_account
from localcloud.snowflake.statements.features import FEATURES
from localcloud.snowflake.statements.runner import Observer, StatementRunner
from localcloud.snowflake.tables.letter_case import Spellings
from localcloud.snowflake.tables.properties import TableProperties


def assemble(
    name: str,
    users: Users,
    *,
    database: str,
    address: tuple[str, int],
    aws_endpoint_url: str,
    concurrency: int,
    limits: Limits,
    observe: Observer,
    clock: Clock | None = None,
    saved: Path | None = None,
) -> tuple[Account, StatementRunner]:
    """Create an account with one empty database, and its statement runner.

    ``address``: host and port where the server listens. ``concurrency``: requests to external functions in flight. ``observe``:
    called after each statement. ``saved``: folder of an account that was saved, which is restored.
    """
    account = Account(name, _duckdb(), clock=clock or Clock())
    runner = StatementRunner(account, observe)
    account.add(Queries())
    account.add(QueryHistory())
    account.add(ResultCache())
    account.add(Writers())
    account.add(Definitions())
    account.add(TableLocks())
    account.add(TableProperties())
    account.add(Spellings())
    account.add(Catalog(users, account.add(Privileges())))
    account.add(SchemaObjects(account))
    account.add(Storage(aws_endpoint_url))
    account.add(Clients())
    account.add(ServerAddress(address))
    account.add(ExternalCaller(concurrency=concurrency, limits=limits))
    for feature in FEATURES:
        for state in feature.states:
            account.add(state(account, runner))
    if database not in (saved_account.restore(account, runner, saved) if saved else []):
        _create_database(account, runner, database)
    account.state(Registry).publish_calls(database)
    return account, runner


def _duckdb() -> DuckConnection:
    # fakesnow creates a folder for stages when it is imported. It is not used here, and nothing else would remove it.
    shutil.rmtree(LOCAL_BUCKET_PATH, ignore_errors=True)
    duck = DuckConnection(FakeSnow().duck_conn)
    # With this setting x / 0 is an error, as in Snowflake, instead of infinity.
    duck.execute("SET GLOBAL ieee_floating_point_ops = false")
    computed.register(duck)
    duck.execute(macros.CREATE)
    return duck


def _create_database(account: Account, runner: StatementRunner, database: str) -> None:
    session = Session(account, "SNOWFLAKE", "ACCOUNTADMIN", OWN)
    runner.run(session, f"CREATE DATABASE {database}", query_id="prepare")
    transaction.close(session)
