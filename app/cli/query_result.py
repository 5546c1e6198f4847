"""A query's result as text: a table that fits the terminal, one column a line, CSV, or JSON."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from app.cli import console
from app.ports import Table

#: Rows that people are shown by default; the rest is counted.
SHOWN_ROWS = 20

#: Characters to which a text column may be narrowed before the layout changes to one column a line.
_NARROWEST_TEXT = 16
#: Characters that a table needs for each column next to its content, and for the last border.
_BORDER, _LAST_BORDER = 3, 1


class Format(StrEnum):
    """How `sql` shows results. ``auto``: a table if it fits the terminal, else one column a line."""

    AUTO = "auto"
    TABLE = "table"
    VERTICAL = "vertical"
    CSV = "csv"
    JSON = "json"


def show(answer: Table, wanted: Format, rows: int = SHOWN_ROWS) -> None:
    """Print one result to standard output; not for JSON. ``rows``: that a table shows, 0 for all; CSV always has all."""
    if wanted is Format.CSV:
        sys.stdout.write(as_csv(answer))
        return
    # Programs that read the output look for whole lines, so only a terminal has a width. A table has at least what it needs.
    bounded = console.out.is_terminal or "COLUMNS" in os.environ
    width = console.out.width if bounded else _widest_table(answer, rows)
    out = Console(highlight=False, width=max(width, _narrowest(answer, rows)))
    out.print(laid_out(answer, wanted, width, rows), soft_wrap=not bounded)


def laid_out(answer: Table, wanted: Format, width: int, rows: int = SHOWN_ROWS) -> RenderableType:
    """A result for people, in a terminal ``width`` characters wide."""
    vertical = wanted is Format.VERTICAL or (wanted is Format.AUTO and _narrowest(answer, rows) > width)
    return vertical_text(answer, rows) if vertical else answer_table(answer, rows)


def answer_table(answer: Table, rows: int = SHOWN_ROWS) -> RichTable:
    """The first rows as a table; numbers are never cut."""
    table = RichTable(header_style="bold")
    for index, name in enumerate(answer.columns):
        fixed = _fixed(answer, index, rows)
        table.add_column(
            escape(name),
            justify="right" if fixed and _numeric(answer, index) else "left",
            no_wrap=fixed,
            overflow="fold",
            min_width=_narrowest_column(answer, index, rows),
        )
    for row in _first(answer, rows):
        table.add_row(*(escape(shown(value)) for value in row))
    table.caption = _rest(answer, rows) or None
    return table


def vertical_text(answer: Table, rows: int = SHOWN_ROWS) -> Text:
    """The first rows, one column a line, below a line with the row's number."""
    wide = max((cell_len(name) for name in answer.columns), default=0)
    lines = []
    for number, row in enumerate(_first(answer, rows), 1):
        lines.append(f"-- row {number} --")
        for name, value in zip(answer.columns, row, strict=True):
            # Further lines of a value are indented below its first.
            text = shown(value).replace("\n", "\n" + " " * (wide + 3))
            lines.append(f"{name}{' ' * (wide - cell_len(name))} : {text}")
    return Text("\n".join([*lines, _rest(answer, rows) or ("no rows" if not answer.rows else "")]).rstrip("\n"))


def as_csv(answer: Table) -> str:
    """All rows below a line of names. NULL is an empty field, and an empty text is two quotes."""
    written = io.StringIO()
    names = csv.writer(written, lineterminator="\n")
    names.writerow(answer.columns)
    for row in answer.rows:
        written.write(",".join(_csv_field(value) for value in row) + "\n")
    return written.getvalue()


def as_objects(answer: Table) -> list[dict[str, Any]]:
    """All rows as JSON objects. A column whose name occurs before gets a number, such as ``N_2``."""
    names = _distinct(answer.columns)
    return [dict(zip(names, row, strict=True)) for row in answer.rows]


def shown(value: Any) -> str:
    """One value of a result, for people."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.6g}"
    return _text(value)


def _text(value: Any) -> str:
    return bytes(value).hex().upper() if isinstance(value, bytes | bytearray) else str(value)


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    text = _text(value)
    return '"' + text.replace('"', '""') + '"' if text == "" or set(text) & set(',"\r\n') else text


def _distinct(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _first(answer: Table, rows: int) -> Sequence[Sequence[Any]]:
    return answer.rows[:rows] if rows else answer.rows


def _rest(answer: Table, rows: int) -> str:
    left = len(answer.rows) - len(_first(answer, rows))
    return f"{left:,} more row{'s' if left > 1 else ''} (--rows 0 shows all)" if left else ""


def _numeric(answer: Table, index: int) -> bool:
    values = [row[index] for row in answer.rows if row[index] is not None]
    return bool(values) and all(isinstance(value, int | float | Decimal) for value in values)


def _fixed(answer: Table, index: int, rows: int) -> bool:
    """Whether a column must not be narrowed: only texts may, and the longer ones at that."""
    values = [row[index] for row in _first(answer, rows)]
    return not any(isinstance(value, str | bytes | bytearray) for value in values)


def _lines_of(values: Iterable[Any]) -> Iterable[int]:
    return (cell_len(line) for value in values for line in shown(value).splitlines() or [""])


def _widest(answer: Table, index: int, rows: int) -> int:
    return max([cell_len(answer.columns[index]), *_lines_of(row[index] for row in _first(answer, rows))])


def _narrowest_column(answer: Table, index: int, rows: int) -> int:
    widest = _widest(answer, index, rows)
    return widest if _fixed(answer, index, rows) else min(widest, _NARROWEST_TEXT)


def _narrowest(answer: Table, rows: int) -> int:
    """The width that the table needs at least."""
    return sum(_narrowest_column(answer, at, rows) + _BORDER for at in range(len(answer.columns))) + _LAST_BORDER


def _widest_table(answer: Table, rows: int) -> int:
    """The width of the table without folded cells."""
    return sum(_widest(answer, at, rows) + _BORDER for at in range(len(answer.columns))) + _LAST_BORDER
