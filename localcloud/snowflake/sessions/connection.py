"""A session's DuckDB connection, with the methods that fakesnow's cursor calls.

Queries run as relations: DuckDB 2.0 warns when Arrow is read from a DB-API result. Other statements are executed directly.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from localcloud.snowflake.sql.identifiers import text_literal
from localcloud.snowflake.sql.time_zones import UTC

_QUERY = re.compile(r"\s*(?:\(\s*)*(SELECT|WITH|VALUES|FROM|DESCRIBE|SHOW|PIVOT|UNPIVOT)\b", re.IGNORECASE)


class DuckConnection:
    """A DuckDB connection. ``types``: (name, DuckDB type) of each column of the last statement's result."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._relation: duckdb.DuckDBPyRelation | None = None
        self.types: list[tuple[str, str]] = []
        self.time_zone = UTC

    def cursor(self) -> DuckConnection:
        """Another connection, with the same time zone."""
        other = DuckConnection(self._connection.cursor())
        other.set_time_zone(self.time_zone)
        return other

    def set_time_zone(self, name: str) -> None:
        """The time zone in which TIMESTAMP WITH TIME ZONE is shown, and converted from and to other types."""
        if name != self.time_zone:
            self._connection.execute(f"SET TimeZone = {text_literal(name)}")
            self.time_zone = name

    def execute(self, sql: str, params: Any = None) -> Self:
        self._relation = None
        if _QUERY.match(sql) and ";" not in sql.rstrip().rstrip(";"):
            self._relation = self._connection.sql(sql, params=params)
        if self._relation is not None:
            self.types = list(zip(self._relation.columns, map(str, self._relation.types), strict=True))
        else:
            self._connection.execute(sql, params)
            described = self._connection.description or []
            self.types = [(column[0], str(column[1])) for column in described]
        return self

    def rows(self, sql: str, params: Any = None) -> list[Any]:
        """The rows of a statement, without their types, which makes small ones faster than ``execute`` does."""
        self._relation = None
        found: list[Any] = self._connection.execute(sql, params).fetchall()
        return found

    def executemany(self, sql: str, rows: list[Any]) -> None:
        self._relation = None
        self._connection.executemany(sql, rows)

    def fetchall(self) -> list[Any]:
        rows: list[Any] = (self._relation if self._relation is not None else self._connection).fetchall()
        return rows

    def fetch_numpy(self) -> dict[str, Any]:
        """The columns of a statement that is not a query."""
        found: dict[str, Any] = self._connection.fetchnumpy()
        return found

    def fetchone(self) -> Any:
        if self._relation is None:
            return self._connection.fetchone()
        rows = self._relation.limit(1).fetchall()
        return rows[0] if rows else None

    def to_arrow_table(self) -> pa.Table:
        if self._relation is not None:
            return self._relation.to_arrow_table()
        rows = self._connection.fetchall()
        columns = list(zip(*rows, strict=True)) if rows else [() for _ in self.types]
        return pa.table({name: list(values) for (name, _), values in zip(self.types, columns, strict=True)})

    def reader(self, sql: str, rows_per_batch: int) -> pa.RecordBatchReader:
        """A query's rows as a stream; ``types`` is set before the first batch."""
        self._relation = self._connection.sql(sql)
        self.types = list(zip(self._relation.columns, map(str, self._relation.types), strict=True))
        return self._relation.to_arrow_reader(rows_per_batch)

    def store(self, name: str, table: pa.Table, select: str) -> None:
        """Keep Arrow rows as a temporary table; ``select`` names and casts its columns."""
        view = f"{name}_arrow"
        self._connection.register(view, table)
        try:
            self._connection.execute(f'CREATE OR REPLACE TEMPORARY TABLE "{name}" AS {select} FROM "{view}"')
        finally:
            self._connection.unregister(view)

    def begin(self) -> None:
        self._connection.begin()

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def interrupt(self) -> None:
        self._connection.interrupt()

    def create_function(
        self, name: str, work: Callable[..., pa.Array], parameters: Sequence[str], returns: str
    ) -> None:
        """Register a function of Arrow columns. ``parameters`` and ``returns`` are DuckDB types. DuckDB calls it at each
        evaluation, also for NULL."""

        def call(*columns: pa.ChunkedArray) -> pa.Array:
            return work(*columns)

        # DuckDB counts the parameters by the signature.
        arguments = [
            inspect.Parameter(f"a{index}", inspect.Parameter.POSITIONAL_ONLY) for index in range(len(parameters))
        ]
        call.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
        self._connection.create_function(
            name, call, list(parameters), returns, type="arrow", null_handling="special", side_effects=True
        )

    def remove_function(self, name: str) -> None:
        self._connection.remove_function(name)

    def close(self) -> None:
        self._relation = None
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
