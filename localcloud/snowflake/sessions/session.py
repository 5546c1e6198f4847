"""One session: its user, its current objects, its parameters, its connection, and the running statement."""

from __future__ import annotations

import itertools
import re
import threading
from collections import ChainMap
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
from fakesnow.conn import FakeSnowflakeConnection
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.journal import Transaction
from localcloud.snowflake.sessions.state import States
from localcloud.snowflake.sql.identifiers import quoted, text_literal
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.sql.tokens import TokenStream

#: Parameters of the server's own sessions, whatever the account's are.
OWN = {"AUTOCOMMIT": True}

PUBLIC = "PUBLIC"
#: The default of the parameter SEARCH_PATH.
SEARCH_PATH = "$current, $public"
_SEARCHED = re.compile(r'(?:"(?:[^"]|"")*"|[^,"\s])+')
_session_ids = itertools.count(4_500_000_001)


class Session:
    """``role``, ``warehouse``: what USE sets. ``parameters``: its own, then its user's (``defaults``), then the account's.

    ``temporary``: the session's temporary tables, with their names in DuckDB's schema ``temp.main``. ``lock``: held while a
    statement runs. ``states``: what features keep for the session.
    """

    def __init__(self, account: Account, user: str, role: str, defaults: dict[str, Any] | None = None) -> None:
        self.account = account
        self.id = next(_session_ids)
        self.user = user
        self.role = role
        self.warehouse: str | None = None
        # Name and version of the client's driver.
        self.client = "Snowflake"
        self.parameters: ChainMap[str, Any] = ChainMap({}, defaults or {}, account.parameters)
        self.duck = account.duck.cursor()
        self.fakesnow = FakeSnowflakeConnection(
            self.duck, {}, None, None, create_database=False, create_schema=False, paramstyle="qmark"
        )
        # Of ``NameLookup.dropped``: how many dropped databases this session knows of.
        self.dropped_databases = account.names.dropped
        self.temporary: dict[Path, str] = {}
        self.temporary_created: dict[Path, datetime] = {}
        self.transaction = Transaction()
        self.states = States()
        self.lock = threading.Lock()
        self.last_query_id = ""
        # The running statement.
        self.query_id = ""
        self.statement = ""
        # The rows of its array binding.
        self.bound: pa.Table | None = None
        # Whether it advances the offsets of the streams that it reads.
        self.consumes = False
        # Callbacks for its end.
        self.cleanup = ExitStack()

    @property
    def database(self) -> str | None:
        found: str | None = self.fakesnow.database
        return found

    @property
    def schema(self) -> str | None:
        found: str | None = self.fakesnow.schema
        return found

    def path(self, name: Name) -> Path:
        """``name`` with this session's database and schema filled in."""
        database, schema = name.database or self.database, name.schema or self.schema
        if database is None:
            raise _no_current("database", "USE DATABASE", 90_105)
        if schema is None:
            raise _no_current("schema", "USE SCHEMA", 90_106)
        return database, schema, name.name

    def search_path(self) -> list[tuple[str, str]]:
        """Database and schema in which an unqualified name of a query is looked up, in order."""
        found: list[tuple[str, str]] = []
        for written in _SEARCHED.findall(str(self.parameters.get("SEARCH_PATH", SEARCH_PATH))):
            schema = {"$CURRENT": self.schema, "$PUBLIC": PUBLIC}.get(written.upper(), "")
            database = self.database
            if schema == "":
                name = TokenStream(written).name()
                database, schema = name.schema or database, name.name
            if database and schema and (database, schema) not in found:
                found.append((database, schema))
        return found

    def use(self, database: str, schema: str | None) -> None:
        """Set the current database and schema, which must exist."""
        self.duck.execute(f"SET schema = {text_literal(quoted(database, schema or 'main'))}")
        self.fakesnow.database, self.fakesnow.database_set = database, True
        self.fakesnow._schema, self.fakesnow.schema_set = schema, schema is not None

    def leave_database(self) -> None:
        """Unset the current database, which is about to be dropped."""
        self.duck.execute("SET schema = 'memory.main'")
        self.fakesnow.database = self.fakesnow._schema = None
        self.fakesnow.database_set = self.fakesnow.schema_set = False

    def scratch(self) -> FilePath:
        """A folder that is removed when the running statement ends."""
        folder = TemporaryDirectory(prefix="scratch-", dir=self.account.folder)
        return FilePath(self.cleanup.enter_context(folder))

    def drop_view(self, name: str) -> None:
        """Drop a temporary view of the running statement; an aborted transaction has dropped it already."""
        with suppress(duckdb.Error):
            self.duck.execute(f'DROP VIEW IF EXISTS temp.main."{name}"')


def _no_current(what: str, cure: str, code: int) -> ProgrammingError:
    return compilation(
        code,
        "22000",
        f"Cannot perform the statement. This session does not have a current {what}. Call '{cure}', or use a qualified name.",
    )
