"""Table functions: the rows that a handler's ``process`` yields for each input row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from localcloud.snowflake.routines.python.worker import values


class Rows:
    """Calls one instance of the handler for each input row of a batch. ``columns``: name and SQL type of each result column."""

    def __init__(self, handler: Any, columns: list[tuple[str, values.SqlType]]) -> None:
        self._handler = handler
        self._columns = columns

    def answers(self, arguments: list[list[Any]], rows: int, *, strict: bool) -> pa.Array:
        """A list of structures for each input row. A strict function yields nothing for a row with a NULL."""
        instance = self._handler()
        given = list(zip(*arguments, strict=True)) if arguments else [()] * rows
        found: list[list[Any]] = []
        for row in given:
            skipped = strict and any(value is None or isinstance(value, values.SqlNull) for value in row)
            found.append([] if skipped or not hasattr(instance, "process") else list(instance.process(*row) or ()))
        if hasattr(instance, "end_partition"):
            last = list(instance.end_partition() or ())
            if last and rows != 1:
                raise TypeError("the local Snowflake runs end_partition for calls with a single input row only")
            if last:
                found[-1] += last
        return self._lists(found)

    def _lists(self, found: list[list[Any]]) -> pa.Array:
        flat = [self._checked(row) for rows in found for row in rows]
        parts = [values.to_column([row[at] for row in flat], type_) for at, (_, type_) in enumerate(self._columns)]
        structures = pa.StructArray.from_arrays(parts, names=[name for name, _ in self._columns])
        ends = [0]
        for rows in found:
            ends.append(ends[-1] + len(rows))
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), structures)

    def _checked(self, row: Any) -> tuple[Any, ...]:
        if not isinstance(row, Iterable) or isinstance(row, str | bytes | dict):
            raise TypeError("a table function must yield tuples")
        cells = tuple(row)
        if len(cells) != len(self._columns):
            raise TypeError(f"a table function yielded {len(cells)} values for {len(self._columns)} columns")
        return cells
