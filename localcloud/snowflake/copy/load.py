"""COPY INTO a table: load staged files as rows.

Files that were loaded before, with the same name and the same content, are skipped unless FORCE = TRUE. When ON_ERROR
is not ABORT_STATEMENT each file is read twice: once to find its bad rows, once to insert the good ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import duckdb
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.copy import load_history
from localcloud.snowflake.copy.load_history import Outcome
from localcloud.snowflake.copy.targets import Layout, Table, layout, require_shape, target
from localcloud.snowflake.copy.transformation import Transformation
from localcloud.snowflake.copy.validation import REJECTS, Report, bad_cell, unreadable, validate
from localcloud.snowflake.failures import refusal
from localcloud.snowflake.files.staged_files import StagedFile, fetch
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import Format, resolved
from localcloud.snowflake.objects.stages.locations import FileLocation, resolve_location
from localcloud.snowflake.objects.stages.storage import StoredObject
from localcloud.snowflake.objects.streams import change_tracking
from localcloud.snowflake.result import COPY, Result, rows_result, status
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted

COLUMNS = [
    *[("file", "text"), ("status", "text"), ("rows_parsed", "fixed"), ("rows_loaded", "fixed")],
    *[("error_limit", "fixed"), ("errors_seen", "fixed"), ("first_error", "text"), ("first_error_line", "fixed")],
    *[("first_error_character", "fixed"), ("first_error_column_name", "text")],
]
ERRORS = [
    *[("ERROR", "text"), ("FILE", "text"), ("LINE", "fixed"), ("CHARACTER", "fixed"), ("BYTE_OFFSET", "fixed")],
    *[("CATEGORY", "text"), ("CODE", "fixed"), ("SQL_STATE", "text"), ("COLUMN_NAME", "text")],
    *[("ROW_NUMBER", "fixed"), ("ROW_START_LINE", "fixed"), ("REJECTED_RECORD", "text")],
]
_MAX_ERRORS = 10_000


def columns_of(statement: ast.CopyIntoTable) -> list[tuple[str, str]]:
    return ERRORS if statement.validation_mode in ("RETURN_ERRORS", "RETURN_ALL_ERRORS") else COLUMNS


def copy_into_table(session: Session, statement: ast.CopyIntoTable, runner: Runner) -> Result:
    table = target(session, statement)
    transformation = Transformation(session, runner, statement, table) if statement.query is not None else None
    file_location = transformation.file_location if transformation else resolve_location(session, statement.location)
    chosen = resolved(session, statement.file_format, file_location.file_format)
    require_shape(statement, table, chosen)
    load = _Load(session, statement, table, file_location, chosen, transformation)
    wanted = file_location.named(statement.files) if statement.files else file_location.files(statement.pattern)
    if statement.validation_mode is not None:
        return load.validated(wanted)
    done = set() if statement.force else load_history.loaded(session, table.path)
    fresh = _within_size_limit(statement.size_limit, [item for item in wanted if (item.uri, item.etag) not in done])
    if not fresh:
        return status("Copy executed with 0 files processed.", COPY)

    def work() -> list[Outcome]:
        return transaction.atomically(session, lambda: [load.load_file(item) for item in fresh])

    tracked = None if table.path in session.temporary else table.path
    outcomes = change_tracking.recorded(session, tracked, work, inserts=True)
    if statement.purge:
        good = [item.key for item, outcome in zip(fresh, outcomes, strict=True) if outcome.status == "LOADED"]
        file_location.area.delete(good)
    if statement.return_failed_only:
        outcomes = [outcome for outcome in outcomes if outcome.status == "LOAD_FAILED"]
    return rows_result(COLUMNS, [outcome.row() for outcome in outcomes], COPY)


def _within_size_limit(limit: int | None, items: list[StoredObject]) -> list[StoredObject]:
    """Files until their total size passes SIZE_LIMIT, and at least one."""
    if limit is None:
        return items
    taken, total = [], 0
    for item in items:
        if total >= limit:
            break
        taken.append(item)
        total += item.size
    return taken


@dataclass(frozen=True)
class _Load:
    session: Session
    statement: ast.CopyIntoTable
    table: Table
    file_location: FileLocation
    chosen: Format
    transformation: Transformation | None

    def _fetch(self, item: StoredObject) -> StagedFile:
        return fetch(self.file_location, item, self.chosen, self.session.scratch())

    def load_file(self, item: StoredObject) -> Outcome:
        outcome = self._outcome_of(item)
        if self.table.path not in self.session.temporary:
            load_history.record(
                self.session,
                self.table.path,
                uri=item.uri,
                etag=item.etag,
                size=item.size,
                stage=self.file_location.name,
                outcome=outcome,
            )
        return outcome

    def _outcome_of(self, item: StoredObject) -> Outcome:
        try:
            file = self._fetch(item)
        except ProgrammingError as error:
            if self.statement.on_error == "ABORT_STATEMENT" or self.transformation is not None:
                raise
            return _failed(self.file_location.relative(item), error)
        try:
            return self._outcome(file)
        finally:
            # Delete each local copy at once, so that disk usage is bounded by one file.
            file.path.unlink(missing_ok=True)

    def _outcome(self, file: StagedFile) -> Outcome:
        on_error = self.statement.on_error
        if self.transformation is not None:
            count = self._insert(self.transformation.insert(file, self.chosen))
            return Outcome(file.shown, "LOADED", count, count, 1)
        if on_error == "ABORT_STATEMENT":
            count = self._insert_all(file)
            return Outcome(file.shown, "LOADED", count, count, 1)
        try:
            plan = layout(self.statement, self.table, file, self.chosen)
            report = validate(self.session, self.table, file, self.chosen, plan)
        except duckdb.InvalidInputException as error:
            if (refused := refusal(error)) is not None:
                raise refused from None
            return _failed(file.shown, unreadable(file, self.chosen, error))
        except ProgrammingError as error:
            return _failed(file.shown, error)
        limit = _limit(on_error, report)
        if report.bad >= limit:
            return report.outcome(file, "LOAD_FAILED", 0, limit)
        count = self._insert(self._insertion(plan, skip_bad=report.bad > 0))
        self.session.duck.execute(f"DROP TABLE IF EXISTS {REJECTS}")
        self.session.duck.execute(f"DROP TABLE IF EXISTS {REJECTS}_scan")
        state = "LOADED" if not report.bad else "PARTIALLY_LOADED" if count else "LOAD_FAILED"
        return report.outcome(file, state, count, limit)

    def _insert(self, sql: str) -> int:
        self.session.duck.execute(sql)
        return int(self.session.duck.fetchall()[0][0])

    def _insertion(self, plan: Layout, *, skip_bad: bool) -> str:
        """INSERT statement for one file: of the good rows only, or of all rows such that a bad one raises an error."""
        names = ", ".join(quoted(cell.column.name) for cell in plan.cells)
        into = f"INSERT INTO {self.table.sql} ({names})"
        if not plan.cells:
            return f"INSERT INTO {self.table.sql} ({quoted(self.table.columns[0].name)}) SELECT NULL FROM {plan.source}"
        if skip_bad:
            source = plan.source if plan.rejecting is None else plan.rejecting.replace("{rejects}", REJECTS)
            values = ", ".join(cell.value for cell in plan.cells)
            return f"{into} SELECT {values} FROM {source} WHERE ({bad_cell(plan.cells)}) IS NULL"
        values = ", ".join(cell.or_error for cell in plan.cells)
        return f"{into} SELECT {values} FROM {plan.source}"

    def _insert_all(self, file: StagedFile) -> int:
        plan = layout(self.statement, self.table, file, self.chosen)
        try:
            return self._insert(self._insertion(plan, skip_bad=False))
        except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.ConstraintException) as error:
            # Suppress the cause: the session would translate the DuckDB error instead of this one.
            raise self._snowflake_error(file, plan, error) from None

    def _snowflake_error(self, file: StagedFile, plan: Layout, error: duckdb.Error) -> duckdb.Error | ProgrammingError:
        """Snowflake's error for a value that DuckDB rejected."""
        if isinstance(error, duckdb.ConstraintException):
            return error
        try:
            report = validate(self.session, self.table, file, self.chosen, plan)
        except duckdb.InvalidInputException as unread:
            return unreadable(file, self.chosen, unread)
        return report.problems[0].error(file) if report.problems else error

    def validated(self, items: list[StoredObject]) -> Result:
        """VALIDATION_MODE: return the errors or the first rows; nothing is loaded."""
        mode = self.statement.validation_mode or ""
        if mode in ("RETURN_ERRORS", "RETURN_ALL_ERRORS"):
            return rows_result(ERRORS, [row for item in items for row in self._error_rows(item)], COPY)
        return self._first_rows(items, int(re.sub(r"\D", "", mode)))

    def _error_rows(self, item: StoredObject) -> list[list[Any]]:
        file = self._fetch(item)
        plan = layout(self.statement, self.table, file, self.chosen)
        report = validate(self.session, self.table, file, self.chosen, plan, most=_MAX_ERRORS)
        return [
            [
                *[problem.message, file.shown, problem.line, problem.character, None, problem.category],
                *[problem.code, problem.state, problem.column, problem.row, problem.line, problem.record],
            ]
            for problem in report.problems
        ]

    def _first_rows(self, items: list[StoredObject], count: int) -> Result:
        selects = []
        for item in items:
            file = self._fetch(item)
            plan = layout(self.statement, self.table, file, self.chosen)
            report = validate(self.session, self.table, file, self.chosen, plan)
            if report.problems and report.problems[0].row <= count:
                raise report.problems[0].error(file)
            values = ", ".join(f"{cell.value} AS {quoted(cell.column.name)}" for cell in plan.cells)
            selects.append(f"(SELECT {values} FROM {plan.source} LIMIT {count})")
        if not selects:
            return status("Copy executed with 0 files processed.", COPY)
        self.session.duck.execute(f"SELECT * FROM ({' UNION ALL '.join(selects)}) LIMIT {count}")
        return Result(self.session.duck.to_arrow_table(), tuple(self.session.duck.types), COPY)


def _limit(on_error: str, report: Report) -> int:
    """The number of bad rows at which the file is skipped; CONTINUE never reaches it."""
    if on_error == "CONTINUE":
        return max(report.rows, 1) + 1
    number = on_error.removeprefix("SKIP_FILE").strip("_")
    if number.endswith("%"):
        return max(1, -(-report.rows * int(number[:-1]) // 100))
    return int(number) if number else 1


def _failed(shown: str, error: ProgrammingError) -> Outcome:
    """Outcome of a file that cannot be read at all, when ON_ERROR is not ABORT_STATEMENT."""
    return Outcome(shown, "LOAD_FAILED", 0, 0, 1, 1, str(error.raw_msg).split("\n")[0], 1, None, None)
