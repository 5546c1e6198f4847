"""Internal DuckDB functions of external functions: one that sends rows, one that fetches the answers.

DuckDB discards the type of an exception raised in a Python function, so the error is stored with the query and raised
from there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, replace

import pyarrow as pa
import pyarrow.compute as pc

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.external_functions.context_headers import context_headers
from localcloud.snowflake.objects.external_functions.function import ExternalFunction
from localcloud.snowflake.objects.external_functions.http import response
from localcloud.snowflake.objects.external_functions.http.batches import Outbox
from localcloud.snowflake.objects.external_functions.http.client import ExternalCaller
from localcloud.snowflake.objects.external_functions.http.request import Call
from localcloud.snowflake.objects.external_functions.row_encoding import WRONG_TYPE
from localcloud.snowflake.objects.integrations.state import Integrations, check_prefix
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.queries import Queries, Query
from localcloud.snowflake.sessions.state import State

# DuckDB's threads once there is a function, more than there are cores: a thread that sends rows waits for the network, not for the
# processor. Before, DuckDB's own number makes small statements faster.
_THREADS = 8
_CALLS = "_external_function_calls"
SENDS, FETCHES = "_sends", "_fetches"


class Outboxes:
    """A query's outboxes, by the internal name of the function."""

    def __init__(self) -> None:
        self._outboxes: dict[str, Outbox] = {}

    def find(self, internal: str) -> Outbox | None:
        return self._outboxes.get(internal)

    def add(self, internal: str, outbox: Outbox) -> None:
        self._outboxes[internal] = outbox

    def close(self) -> None:
        for outbox in self._outboxes.values():
            outbox.close()


class Registry(State):
    """Registers and removes the DuckDB functions. One connection holds them all."""

    def __init__(
        self, duck: DuckConnection, caller: ExternalCaller, queries: Queries, integrations: Integrations
    ) -> None:
        self._duck = duck
        self._caller = caller
        self._queries = queries
        self._integrations = integrations
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def add(self, function: ExternalFunction) -> None:
        """Register an overload, replacing an earlier definition."""
        self.remove(function)

        checked = {"OBJECT", "ARRAY"}.intersection(function.types)

        def send(outbox: Outbox, rows: pa.Array) -> pa.Array:
            if checked and pc.any(pc.match_substring(rows, WRONG_TYPE)).as_py():
                raise compilation(1044, "42P13", f"Invalid argument types for function '{function.path[2]}'")
            return outbox.add(rows)

        with self._lock:
            self._duck.execute(f"SET threads = {_THREADS}")
            self._create(function, SENDS, send, "VARCHAR", "BIGINT")
            self._create(function, FETCHES, Outbox.take, "BIGINT", response.duck_type(function.definition.returns))

    def _create(
        self,
        function: ExternalFunction,
        suffix: str,
        work: Callable[[Outbox, pa.Array], pa.Array],
        takes: str,
        gives: str,
    ) -> None:
        def call(query_ids: pa.ChunkedArray, column: pa.ChunkedArray) -> pa.Array:
            with self._queries.function_call(query_ids[0].as_py()) as query:
                return work(self._outbox(function, query), column.combine_chunks())

        name = function.internal + suffix
        self._duck.create_function(name, call, ["VARCHAR", takes], gives)
        self._names.add(name)

    def _outbox(self, function: ExternalFunction, query: Query) -> Outbox:
        """The query's outbox for the function. The integration is checked again, because it may have changed since
        CREATE."""
        with query.lock:
            outboxes = query.states.get(Outboxes)
            found = outboxes.find(function.internal)
            if found is None:
                definition = function.definition
                integration = self._integrations.get(definition.api_integration, "API")
                key = check_prefix(definition.url, integration).api_key
                # A copy: the query keeps the definition with which it started.
                call = Call(replace(function), query.query_id, context_headers(function, query.session), key)
                found = Outbox(self._caller, call, lambda: query.failure is not None, query.fail)
                outboxes.add(function.internal, found)
            return found

    def remove(self, function: ExternalFunction) -> None:
        with self._lock:
            for name in (function.internal + SENDS, function.internal + FETCHES):
                if name in self._names:
                    self._duck.remove_function(name)
                    self._names.discard(name)

    def publish_calls(self, database: str) -> None:
        """Make the call records readable as ``<database>.SNOWSAGE_LOCAL.EXTERNAL_FUNCTION_CALLS``."""

        def records(column: pa.ChunkedArray) -> pa.Array:
            text = json.dumps([asdict(record) for record in list(self._caller.records)])
            return pa.array([text] * len(column))

        fields = {"query_id": "VARCHAR", "batch_id": "VARCHAR", "function": "VARCHAR", "rows": "BIGINT"}
        fields |= {"status": "BIGINT", "attempts": "BIGINT", "milliseconds": "DOUBLE"}
        shown = ", ".join(f'call.{name} AS "{_shown_name(name)}"' for name in fields)
        with self._lock:
            self._duck.create_function(_CALLS, records, ["VARCHAR"], "VARCHAR")
            self._names.add(_CALLS)
            self._duck.execute(f"CREATE SCHEMA IF NOT EXISTS {database}.SNOWSAGE_LOCAL")
            self._duck.execute(
                f"CREATE OR REPLACE VIEW {database}.SNOWSAGE_LOCAL.EXTERNAL_FUNCTION_CALLS AS SELECT {shown} FROM "
                f"(SELECT unnest(from_json({_CALLS}(''), '[{json.dumps(fields)}]')) AS call)"
            )

    def close(self) -> None:
        with self._lock:
            for name in self._names:
                self._duck.remove_function(name)
            self._names.clear()
            self._duck.close()


def _shown_name(field: str) -> str:
    return {"function": "FUNCTION_NAME", "rows": "ROW_COUNT"}.get(field, field.upper())
