"""Target table of a load, and the SQL that fills each of its columns from a file.

A cell's value is NULL when the file's value cannot be converted to the column's type; ``validation`` distinguishes such
a NULL from a NULL in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from localcloud.snowflake.failures import compilation, failure, invalid_identifier
from localcloud.snowflake.files import parquet_times
from localcloud.snowflake.files.conversions import from_text
from localcloud.snowflake.files.readers import (
    csv_rows,
    csv_value,
    header,
    json_documents,
    null_if,
    parquet_names,
    parquet_rows,
)
from localcloud.snowflake.files.staged_files import StagedFile
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import Format
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted, text_literal
from localcloud.snowflake.sql.syntax import Path

_ONE_COLUMN = (
    "{0} file format can produce one and only one column of type variant, object, or array. "
    "Use CSV file format if you want to load more than one column."
)


@dataclass(frozen=True)
class Column:
    """A table column. ``position`` counts from 1; ``length`` is the n of VARCHAR(n)."""

    name: str
    type: str
    nullable: bool
    position: int
    length: int | None


@dataclass(frozen=True)
class Table:
    """``sql`` is the table's name in DuckDB; ``columns`` are the columns to load, in the order of the statement."""

    path: Path
    sql: str
    columns: tuple[Column, ...]

    def shown(self, column: Column) -> str:
        """The column as COPY's error messages name it."""
        return f'"{self.path[2]}"["{column.name}":{column.position}]'


@dataclass(frozen=True)
class Cell:
    """SQL expressions for one column of a row.

    ``raw`` is the file's value. ``value`` is the converted value, NULL when the conversion fails. ``strict`` is the
    converted value as an expression that raises DuckDB's error when the conversion fails.
    """

    column: Column
    raw: str
    value: str
    strict: str | None = None

    @property
    def or_error(self) -> str:
        if self.strict is not None or self.value == self.raw:
            return self.strict or self.value
        return f"COALESCE({self.value}, CASE WHEN ({self.raw}) IS NOT NULL THEN error('invalid value') END)"


@dataclass(frozen=True)
class Layout:
    """How the rows of one file map to the table. ``rejecting`` is ``source`` with a placeholder for the options that
    store rejected rows."""

    cells: tuple[Cell, ...]
    source: str
    rejecting: str | None = None


def target(session: Session, statement: ast.CopyIntoTable) -> Table:
    path = session.path(statement.table)
    local = session.temporary.get(path)
    stored = ("temp", "main", local) if local else path
    sql = ".".join(quoted(part) for part in stored)
    try:
        if local is None and session.account.names.kind(path) is None:
            raise duckdb.CatalogException
        session.duck.execute(f"SELECT * FROM {sql} LIMIT 0")
    except duckdb.CatalogException:
        raise compilation(2003, "02000", f"Table '{'.'.join(path)}' does not exist") from None
    columns = {column.name: column for column in _columns(session, stored, session.duck.types)}
    for name in statement.columns:
        if name not in columns:
            raise invalid_identifier(name)
    chosen = [columns[name] for name in statement.columns] if statement.columns else list(columns.values())
    return Table(path, sql, tuple(chosen))


def _columns(session: Session, stored: Sequence[str], types: list[tuple[str, str]]) -> list[Column]:
    where = "WHERE database_name = ? AND schema_name = ? AND table_name = ?"
    session.duck.execute(f"SELECT column_name, is_nullable FROM duckdb_columns() {where}", list(stored))
    nullable = dict(session.duck.fetchall())
    session.duck.execute(
        "SELECT ext_column_name, ext_character_maximum_length FROM _fs_global._fs_information_schema._fs_columns_ext "
        "WHERE ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?",
        list(stored),
    )
    lengths = dict(session.duck.fetchall())
    return [
        Column(name, type_, bool(nullable.get(name, True)), number, lengths.get(name))
        for number, (name, type_) in enumerate(types, 1)
    ]


def require_shape(statement: ast.CopyIntoTable, table: Table, chosen: Format) -> None:
    """Raise if the file format can never fill the table's columns."""
    if statement.query is not None:
        return
    by_name = statement.match_by_column_name != "NONE"
    if chosen.type == "CSV" and by_name and not chosen["PARSE_HEADER"]:
        raise compilation(1008, "22023", "MATCH_BY_COLUMN_NAME with the file format CSV needs PARSE_HEADER = TRUE")
    if chosen.type != "CSV" and not by_name and [column.type for column in table.columns] != ["JSON"]:
        raise compilation(2, "0A000", _ONE_COLUMN.format(chosen.type))


def layout(statement: ast.CopyIntoTable, table: Table, file: StagedFile, chosen: Format) -> Layout:
    made = {"CSV": _csv, "JSON": _json, "PARQUET": _parquet}[chosen.type]
    return made(statement, table, file, chosen)


def _csv(statement: ast.CopyIntoTable, table: Table, file: StagedFile, chosen: Format) -> Layout:
    columns: dict[int, Column] = dict(enumerate(table.columns, 1))
    width = len(columns)
    if statement.match_by_column_name != "NONE":
        names = header(file, chosen)
        width = len(names)
        numbers = {name: number for number, name in enumerate(names, 1)}
        columns = {numbers[found]: column for column, found in matched(statement, table, names)}
    cells = []
    for number, column in columns.items():
        raw = csv_value(number, file, chosen)
        cells.append(Cell(column, raw, _with_length_limit(statement, column, from_text(raw, column.type, chosen))))
    lenient = not chosen["ERROR_ON_COLUMN_COUNT_MISMATCH"]
    rows = csv_rows(file, chosen, width, lenient=lenient)
    return Layout(tuple(cells), rows, csv_rows(file, chosen, width, lenient=lenient, rejects="{rejects}"))


def _json(statement: ast.CopyIntoTable, table: Table, file: StagedFile, chosen: Format) -> Layout:
    source = json_documents(file, chosen)
    if statement.match_by_column_name == "NONE":
        return Layout((Cell(table.columns[0], "json", "json"),), source)
    fold = "lower" if statement.match_by_column_name == "CASE_INSENSITIVE" else ""
    cells = []
    for column in table.columns:
        found = f"json_extract(json, {text_literal('$.' + quoted(column.name))})"
        if fold:
            key = f"list_filter(json_keys(json), lambda k: lower(k) = {text_literal(column.name.lower())})[1]"
            found = f"""json_extract(json, '$."' || {key} || '"')"""
        raw = f"CASE WHEN json_type({found}) = 'NULL' THEN NULL ELSE {found} END"
        cells.append(
            Cell(column, f"({raw} ->> '$')", _with_length_limit(statement, column, _from_json(raw, column, chosen)))
        )
    return Layout(tuple(cells), source)


def _from_json(raw: str, column: Column, chosen: Format) -> str:
    return raw if column.type == "JSON" else from_text(f"({raw} ->> '$')", column.type, chosen)


def _parquet(statement: ast.CopyIntoTable, table: Table, file: StagedFile, chosen: Format) -> Layout:
    names = parquet_names(file)
    source = f"{parquet_rows(file, chosen)} AS staged"
    integers = parquet_times.integers(file.path, chosen)
    if statement.match_by_column_name == "NONE":
        return Layout((Cell(table.columns[0], "to_json(staged)", "to_json(staged)"),), source)
    cells = []
    for column, name in matched(statement, table, names):
        raw = f"staged.{quoted(name)}"
        # Snowflake loads the JSON text of an unloaded VARIANT as a string; only PARSE_JSON turns it into a VARIANT
        # again.
        value = f"to_json({raw})" if column.type == "JSON" else f"TRY_CAST({raw} AS {column.type})"
        strict = value if column.type == "JSON" else f"CAST({raw} AS {column.type})"
        if column.type.startswith("TIMESTAMP") and name in integers:
            value = strict = parquet_times.moment(raw, column.type, name)
        if column.type == "VARCHAR":
            raw = null_if(f"CAST({raw} AS VARCHAR)", [word for word in chosen["NULL_IF"] if word != "\\N"])
            value = _with_length_limit(statement, column, raw)
            cells.append(Cell(column, raw, value))
        else:
            cells.append(Cell(column, raw, value, strict))
    return Layout(tuple(cells), source)


def matched(statement: ast.CopyIntoTable, table: Table, names: list[str]) -> list[tuple[Column, str]]:
    """Pairs of column and file column with the same name. Names that exist on one side only are ignored, as in
    Snowflake."""
    fold = str.upper if statement.match_by_column_name == "CASE_INSENSITIVE" else str
    in_file = {fold(name): name for name in names}
    if len(in_file) != len(names):
        raise failure(100_080, "22000", "The file has several columns of the same name; use CASE_SENSITIVE.")
    return [(column, in_file[fold(column.name)]) for column in table.columns if fold(column.name) in in_file]


def _with_length_limit(statement: ast.CopyIntoTable, column: Column, value: str) -> str:
    """Apply TRUNCATECOLUMNS and ENFORCE_LENGTH to a text for a VARCHAR(n) column."""
    if column.length is None or column.type != "VARCHAR":
        return value
    if statement.truncatecolumns or not statement.enforce_length:
        return f"left({value}, {column.length})"
    return f"CASE WHEN length({value}) <= {column.length} THEN {value} END"
