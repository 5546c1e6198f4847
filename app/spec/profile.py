"""What a table's columns hold, as a first pipeline file needs to know it: kinds, NULLs, distinct values, ranges.

Read by one description and two queries, whatever the number of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from app.ports import ColumnType, Warehouse
from app.sql import Name, Statement, columns, identifier, literal, naive_utc

#: Distinct values up to which a text column is listed.
MOST_CATEGORIES = 50

_COUNTED = ("number", "text", "boolean", "time")


@dataclass(frozen=True)
class ColumnProfile:
    """One column. ``filled``: rows in which it is not NULL. ``numeric``: texts that hold a number; ``blank``: that hold nothing.

    ``values``: (value as text, rows) of columns with few distinct values, ascending; empty for others.
    """

    name: str
    kind: str
    filled: int = 0
    distinct: int = 0
    numeric: int = 0
    blank: int = 0
    least: Any = None
    greatest: Any = None
    values: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class TableProfile:
    """A table with its number of rows."""

    table: Name
    rows: int
    columns: tuple[ColumnProfile, ...]

    def find(self, name: str) -> ColumnProfile | None:
        """The column of this name: as written, in upper case, or in another case if only one column has it."""
        named = {column.name: column for column in self.columns}
        similar = [column for column in self.columns if column.name.casefold() == name.casefold()]
        return named.get(name) or named.get(name.upper()) or (similar[0] if len(similar) == 1 else None)


def read_profile(warehouse: Warehouse, table: Name) -> TableProfile:
    """The profile of ``table``. Raises NotFound for a table that does not exist."""
    described = warehouse.describe(f"SELECT * FROM {table.sql}")
    row = list(warehouse.run(_counts(table, described)).rows[0])
    rows, position, found = int(row[0]), 1, []
    for column in described:
        if column.kind not in _COUNTED:
            found.append(ColumnProfile(column.name, column.kind))
            continue
        filled, distinct, numeric, blank, least, greatest = row[position : position + 6]
        position += 6
        kind = "other" if least is not None and column.kind == "time" and not isinstance(least, date) else column.kind
        ends = (_moment(least), _moment(greatest)) if kind == "time" else (least, greatest)
        found.append(
            ColumnProfile(
                column.name, kind, int(filled), int(distinct), int(numeric or 0), int(blank or 0), *ends
            )
        )  # fmt: skip
    return TableProfile(table, rows, _with_values(warehouse, table, found))


def count_entities(warehouse: Warehouse, table: Name, names: Sequence[str]) -> int:
    """The number of distinct combinations of several columns."""
    query = f"SELECT COUNT(*) FROM (SELECT DISTINCT {columns(names)} FROM {table.sql})"
    return int(warehouse.run(Statement(query)).scalar())


def _counts(table: Name, described: Sequence[ColumnType]) -> Statement:
    parts = ["COUNT(*)"]
    for column in described:
        if column.kind not in _COUNTED:
            continue
        name = identifier(column.name)
        text, ordered = column.kind == "text", column.kind in ("number", "time")
        parts += [
            f"COUNT({name})",
            f"COUNT(DISTINCT {name})",
            f"COUNT_IF(TRY_TO_DOUBLE(TRIM({name})) IS NOT NULL)" if text else "0",
            f"COUNT_IF(TRIM({name}) = '')" if text else "0",
            f"MIN({name})" if ordered else "NULL",
            f"MAX({name})" if ordered else "NULL",
        ]
    return Statement(f"SELECT {', '.join(parts)} FROM {table.sql}")


def _with_values(warehouse: Warehouse, table: Name, found: Sequence[ColumnProfile]) -> tuple[ColumnProfile, ...]:
    few = [column for column in found if column.kind in ("text", "number") and 0 < column.distinct <= _listed(column)]
    values: dict[str, list[tuple[str, int]]] = {column.name: [] for column in few}
    if few:
        queries = (
            f"SELECT {literal(column.name)} AS COLUMN_NAME, TO_VARCHAR({identifier(column.name)}) AS COLUMN_VALUE, "
            f"COUNT(*) AS ROW_COUNT FROM {table.sql} WHERE {identifier(column.name)} IS NOT NULL "
            f"GROUP BY {identifier(column.name)}"
            for column in few
        )
        for name, value, count in warehouse.run(Statement("\nUNION ALL\n".join(queries))).rows:
            values[name].append((value, int(count)))
    return tuple(
        ColumnProfile(**{**vars(column), "values": tuple(sorted(values.get(column.name, [])))}) for column in found
    )


def _listed(column: ColumnProfile) -> int:
    return MOST_CATEGORIES if column.kind == "text" else 2


def _moment(value: date | datetime | None) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return naive_utc(value) if value else None
    return datetime(value.year, value.month, value.day)
