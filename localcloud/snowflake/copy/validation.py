"""Validation of a file's rows before a load: counts, and the position of each error.

DuckDB's CSV reader reports rows with a broken structure; SQL finds values of a wrong type. The line number of a bad
value is computed from both.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

import duckdb
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.copy.load_history import Outcome
from localcloud.snowflake.copy.targets import Cell, Layout, Table
from localcloud.snowflake.failures import NULL_RESULT, failure, refusal, unsupported
from localcloud.snowflake.files.conversions import conversion_error
from localcloud.snowflake.files.staged_files import StagedFile
from localcloud.snowflake.objects.stages.format_options import Format
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sessions.session import Session

REJECTS = "_rejected_rows"
_HINT = (
    "\n  If you would like to continue loading when an error is encountered, use other values such as 'SKIP_FILE' or "
    "'CONTINUE' for the ON_ERROR option. For more information on loading options, please run 'info loading_data' in a "
    "SQL client."
)


@dataclass(frozen=True)
class Problem:
    """One bad row. ``row`` and positions count from 1; ``line`` is the line in the file."""

    code: int
    state: str
    message: str
    line: int
    character: int | None
    column: str | None
    row: int
    record: str
    category: str = "conversion"

    def error(self, file: StagedFile) -> ProgrammingError:
        """The error that fails the whole statement."""
        where = f"line {self.line}" + (f", character {self.character}" if self.character is not None else "")
        row = f"Row {self.row}" + (f" starts at line {self.line}" if self.category == "parsing" else "")
        column = f", column {self.column}" if self.column else ""
        return failure(self.code, self.state, f"{self.message}\n  File '{file.shown}', {where}\n  {row}{column}{_HINT}")


@dataclass(frozen=True)
class Report:
    rows: int
    bad: int
    problems: list[Problem]

    def outcome(self, file: StagedFile, status: str, loaded: int, error_limit: int) -> Outcome:
        if not self.problems:
            return Outcome(file.shown, status, self.rows, loaded, error_limit)
        first = self.problems[0]
        return Outcome(
            file.shown,
            status,
            self.rows,
            loaded,
            error_limit,
            self.bad,
            first.message,
            first.line,
            first.character,
            first.column,
        )


def bad_cell(cells: tuple[Cell, ...]) -> str:
    """SQL for the index of a row's first bad cell, counted from 0; NULL for a good row."""
    whens = []
    for number, cell in enumerate(cells):
        wrong = f"({cell.value}) IS NULL"
        if cell.column.nullable:
            if cell.value == cell.raw:
                continue
            wrong += f" AND ({cell.raw}) IS NOT NULL"
        whens.append(f"WHEN {wrong} THEN {number}")
    return f"CASE {' '.join(whens)} END" if whens else "CAST(NULL AS INTEGER)"


def validate(
    session: Session, table: Table, file: StagedFile, chosen: Format, plan: Layout, *, most: int = 1
) -> Report:
    """Read the whole file without loading it; at most ``most`` problems are reported. Raises for an unreadable file."""
    # Use a separate connection: an error would end the session's transaction.
    with session.duck.cursor() as probe:
        rejected = _Rejected(probe) if plan.rejecting is not None else None
        source = plan.source if plan.rejecting is None else plan.rejecting.replace("{rejects}", REJECTS)
        cells = plan.cells
        raws = ", ".join(f"CAST({cell.raw} AS VARCHAR)" for cell in cells) or "NULL"
        # Use one pass: DuckDB skips parsing in a query that only counts, so it would miss broken rows.
        probe.execute(
            "CREATE OR REPLACE TEMPORARY TABLE _examined AS SELECT count(*) AS total, count(bad) AS wrong, "
            f"arg_min({{'n': n, 'bad': bad, 'raws': raws}}, n, {most}) FILTER (bad IS NOT NULL) AS first FROM ("
            f"SELECT row_number() OVER () AS n, {bad_cell(cells)} AS bad, [{raws}] AS raws FROM {source})"
        )
        lines = rejected.read() if rejected else []
        rows, bad, first = probe.execute("SELECT * FROM _examined").fetchall()[0]
        probe.execute("DROP TABLE _examined")
        wrong = [(found["n"], found["bad"], found["raws"]) for found in first or ()]
        where = _Lines(file, chosen, plan, probe, [line for line, *_ in lines])
        problems = [_value_problem(table, cells[index], row, values[index], where) for row, index, values in wrong]
    problems += [_row_problem(table, chosen, plan, found) for found in lines[:most]]
    problems.sort(key=lambda problem: problem.line)
    return Report(rows + len(lines), bad + len(lines), problems[:most])


class _Rejected:
    """The rows that DuckDB's CSV reader rejected."""

    def __init__(self, probe: DuckConnection) -> None:
        self._probe = probe

    def read(self) -> list[tuple[int, int, str, str, str]]:
        """One (line, column counted from 1, kind of error, text of the line, DuckDB's message) for each rejected line."""
        self._probe.execute(
            "SELECT line, any_value(column_idx), any_value(CAST(error_type AS VARCHAR)), any_value(csv_line), "
            f"any_value(error_message) FROM {REJECTS} GROUP BY line ORDER BY line"
        )
        return list(self._probe.fetchall())


class _Lines:
    """Maps row numbers of the reader to lines of the file."""

    def __init__(
        self, file: StagedFile, chosen: Format, plan: Layout, probe: DuckConnection, rejected: list[int]
    ) -> None:
        self._file = file
        self._chosen = chosen
        self._plan = plan
        self._probe = probe
        self._rejected = rejected

    def of(self, row: int) -> int:
        if self._chosen.type != "CSV":
            return row
        line = row + (1 if self._chosen["PARSE_HEADER"] else int(self._chosen["SKIP_HEADER"]))
        if self._chosen["FIELD_OPTIONALLY_ENCLOSED_BY"]:
            line += self._breaks(row)
        for rejected in self._rejected:
            line += rejected <= line
        return line

    def _breaks(self, row: int) -> int:
        """Number of line breaks inside the values of the previous rows."""
        inside = " + ".join(
            f"length(COALESCE({cell.raw}, '')) - length(replace(COALESCE({cell.raw}, ''), chr(10), ''))"
            for cell in self._plan.cells
        )
        self._probe.execute(
            f"SELECT COALESCE(sum(b), 0) FROM (SELECT row_number() OVER () AS n, {inside} AS b FROM {self._plan.source}) "
            f"WHERE n < {row}"
            if not self._rejected
            else "SELECT 0"
        )
        return int(self._probe.fetchall()[0][0])

    def text(self, line: int) -> str:
        if self._chosen.type != "CSV":
            return ""
        with self._file.path.open(encoding="utf-8-sig", errors="replace") as lines:
            return next(itertools.islice(lines, line - 1, None), "").rstrip("\n")

    def character(self, record: str, position: int) -> int | None:
        """Position of the field with this index in the line, counted from 1."""
        if self._chosen.type != "CSV":
            return None
        quote = re.escape(self._chosen["FIELD_OPTIONALLY_ENCLOSED_BY"] or "\0")
        delimiter = re.escape(self._chosen["FIELD_DELIMITER"] or "\0")
        field = rf"(?:{quote}(?:[^{quote}]|{quote}{quote})*{quote}|(?:(?!{delimiter}).)*){delimiter}"
        found = re.match(rf"(?:{field}){{{position}}}", record)
        return (found.end() if found else 0) + 1


def _value_problem(table: Table, cell: Cell, row: int, value: Any, where: _Lines) -> Problem:
    column, line = cell.column, where.of(row)
    record = where.text(line)
    position = (line, where.character(record, _number_in_file(where, cell)), table.shown(column), row, record)
    if value is None:
        return Problem(100_072, "22000", NULL_RESULT, *position)
    if column.length is not None and len(value) > column.length:
        message = f"User character length limit ({column.length}) exceeded by string '{value[:50]}'"
        return Problem(100_074, "54000", message, *position)
    code, state, message = conversion_error(value, column.type)
    return Problem(code, state, message, *position)


def _number_in_file(where: _Lines, cell: Cell) -> int:
    """Index of the cell's field in the line."""
    found = re.search(r"\bc(\d+)\b", cell.raw)
    return int(found[1]) - 1 if found and where._chosen.type == "CSV" else 0


def _row_problem(table: Table, chosen: Format, plan: Layout, found: tuple[int, int, str, str, str]) -> Problem:
    line, index, kind, record, words = found
    expected = len(plan.cells)
    row = line - (1 if chosen["PARSE_HEADER"] else int(chosen["SKIP_HEADER"]))
    column = table.shown(plan.cells[min(index, expected) - 1].column) if plan.cells else None
    if kind in ("TOO MANY COLUMNS", "MISSING COLUMNS"):
        counted = re.search(r"Found: (\d+)", words)
        message = (
            f"Number of columns in file ({counted[1] if counted else '?'}) does not match that of the corresponding table "
            f"({expected}), use file format option error_on_column_count_mismatch=false to ignore this error"
        )
        return Problem(100_080, "22000", message, line, len(record or "") + 1, column, row, record or "", "parsing")
    if kind == "INVALID ENCODING":
        return Problem(100_144, "22000", "Invalid UTF8 detected in string", line, 1, column, row, "", "parsing")
    message = f"Found a character instead of field delimiter '{chosen['FIELD_DELIMITER']}'"
    return Problem(100_065, "22000", message, line, 1, column, row, record or "", "parsing")


def unreadable(file: StagedFile, chosen: Format, error: duckdb.Error) -> ProgrammingError:
    """Error for a file that is not valid JSON, or a CSV file that DuckDB's reader cannot parse."""
    if (refused := refusal(error)) is not None:
        return refused
    reason = str(error).split("\n")[0].partition(": ")[2]
    reason = re.sub(r'\s*in file "[^"]*"', "", reason).strip()
    if chosen.type == "CSV":
        return unsupported(
            f"the file '{file.shown}' ({reason}); check that all its lines end in the same line terminator"
        )
    return failure(100_069, "22P02", f"Error parsing JSON: {reason}\n  File '{file.shown}'{_HINT}")
