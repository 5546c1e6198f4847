"""DuckDB functions that send batches of a query to the worker processes of Python functions.

A batch is the id of the running query followed by the arguments, as Arrow columns of at most 2,048 rows. DuckDB
discards the type of an exception raised in a function, so the error is stored with the query and raised from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyarrow as pa

from localcloud.snowflake.routines.python import types
from localcloud.snowflake.routines.python.objects import PythonFunction
from localcloud.snowflake.routines.python.runtime.worker_pool import Workers
from localcloud.snowflake.routines.python.worker import messages
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.queries import Queries, Query


class Registry:
    """Registers and removes the internal DuckDB functions. One connection holds them all."""

    def __init__(self, duck: DuckConnection, workers: Workers, queries: Queries) -> None:
        self._duck = duck
        self._workers = workers
        self._queries = queries
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def add(self, made: PythonFunction) -> None:
        """Register a function, replacing an earlier definition."""
        self.remove(made)
        arguments = [types.duck_type(argument.type) for argument in made.definition.arguments]
        with self._lock:
            table, returns = made.definition.table, made.definition.returns
            answer = types.duck_type(returns) if table is None else types.rows_type(table)
            self._duck.create_function(made.internal, self._body(made), ["VARCHAR", *arguments], answer)
            self._names.add(made.internal)

    def remove(self, made: PythonFunction) -> None:
        with self._lock:
            if made.internal in self._names:
                self._duck.remove_function(made.internal)
                self._names.discard(made.internal)

    def _body(self, made: PythonFunction) -> Callable[..., pa.Array]:
        def call(*columns: pa.ChunkedArray) -> pa.Array:
            with self._queries.function_call(columns[0][0].as_py()) as query:
                return self._send(made, query, columns)

        return call

    def _send(self, made: PythonFunction, query: Query, columns: tuple[pa.ChunkedArray, ...]) -> pa.Array:
        batch = [_combined(column) for column in columns[1:]]
        with self._workers.use(query.session, made.number, made.definition) as worker:
            _, body = worker.request({"kind": "batch", "rows": len(columns[0])}, messages.packed(batch))
        return messages.unpacked(body)[0]

    def close(self) -> None:
        with self._lock:
            for name in self._names:
                self._duck.remove_function(name)
            self._names.clear()
            self._duck.close()


def _combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
