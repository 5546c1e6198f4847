"""Load history: which files were loaded into which table, and with what outcome.

The source of INFORMATION_SCHEMA.LOAD_HISTORY and COPY_HISTORY. The history is stored in the table's own database, so it
commits and rolls back together with the loaded rows. Snowflake keeps it for 64 days; the local server never deletes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted, text_literal
from localcloud.snowflake.sql.names import local_table
from localcloud.snowflake.sql.syntax import Path
from localcloud.snowflake.sql.tokens import TokenStream

_DETAILS = "_fs_copy_history"
CREATE_DETAILS = (
    "CREATE TABLE {0}._fs_information_schema._fs_copy_history (SCHEMA_NAME VARCHAR, TABLE_NAME VARCHAR, URI VARCHAR, "
    "ETAG VARCHAR, FILE_NAME VARCHAR, STAGE_LOCATION VARCHAR, LAST_LOAD_TIME TIMESTAMPTZ, ROW_COUNT BIGINT, ROW_PARSED BIGINT, "
    "FILE_SIZE BIGINT, FIRST_ERROR_MESSAGE VARCHAR, FIRST_ERROR_LINE_NUMBER BIGINT, FIRST_ERROR_CHARACTER_POS BIGINT, "
    "FIRST_ERROR_COLUMN_NAME VARCHAR, ERROR_COUNT BIGINT, ERROR_LIMIT BIGINT, STATUS VARCHAR)"
)
_VIEW = "_copy_history"
_COPY_STATUS = {"LOADED": "Loaded", "PARTIALLY_LOADED": "Partially loaded", "LOAD_FAILED": "Load failed"}


@dataclass(frozen=True)
class Outcome:
    """Result of loading one file. Positions count from 1; fields are ``None`` when there was no error."""

    file: str
    status: str
    parsed: int
    loaded: int
    error_limit: int
    errors: int = 0
    first_error: str | None = None
    line: int | None = None
    character: int | None = None
    column: str | None = None

    def row(self) -> list[Any]:
        return [
            *[self.file, self.status, self.parsed, self.loaded, self.error_limit, self.errors],
            *[self.first_error, self.line, self.character, self.column],
        ]


def _schema(path: Path) -> str:
    return f"{quoted(path[0])}._fs_information_schema"


def loaded(session: Session, path: Path) -> set[tuple[str, str]]:
    """(URI, ETag) of the files that are loaded into the table."""
    session.duck.execute(
        f"SELECT d.URI, d.ETAG FROM {_schema(path)}._fs_load_history AS h JOIN {_schema(path)}.{_DETAILS} AS d "
        "ON (h.SCHEMA_NAME, h.TABLE_NAME, h.FILE_NAME, h.LAST_LOAD_TIME) = "
        "(d.SCHEMA_NAME, d.TABLE_NAME, d.URI, d.LAST_LOAD_TIME) "
        "WHERE h.SCHEMA_NAME = ? AND h.TABLE_NAME = ? AND h.STATUS <> 'LOAD FAILED'",
        list(path[1:]),
    )
    return {(uri, etag) for uri, etag in session.duck.fetchall()}


def record(session: Session, path: Path, *, uri: str, etag: str, size: int, stage: str, outcome: Outcome) -> None:
    session.duck.execute(
        f"DELETE FROM {_schema(path)}._fs_load_history WHERE SCHEMA_NAME = ? AND TABLE_NAME = ? AND FILE_NAME = ?",
        [*path[1:], uri],
    )
    problem = [
        outcome.first_error,
        outcome.line,
        outcome.character,
        outcome.column,
        outcome.errors,
        outcome.error_limit,
    ]
    session.duck.execute(
        f"INSERT INTO {_schema(path)}._fs_load_history (SCHEMA_NAME, TABLE_NAME, FILE_NAME, LAST_LOAD_TIME, STATUS, ROW_COUNT, "
        "ROW_PARSED, FIRST_ERROR_MESSAGE, FIRST_ERROR_LINE_NUMBER, FIRST_ERROR_CHARACTER_POSITION, FIRST_ERROR_COL_NAME, "
        "ERROR_COUNT, ERROR_LIMIT) VALUES (?, ?, ?, now(), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [*path[1:], uri, outcome.status.replace("_", " "), outcome.loaded, outcome.parsed, *problem],
    )
    session.duck.execute(
        f"INSERT INTO {_schema(path)}.{_DETAILS} VALUES (?, ?, ?, ?, ?, ?, now(), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *[
                *path[1:],
                uri,
                etag,
                outcome.file.rpartition("/")[2] if "/" not in outcome.file else outcome.file,
                stage,
            ],
            *[outcome.loaded, outcome.parsed, size, *problem, _COPY_STATUS[outcome.status]],
        ],
    )


def rewrite(node: exp.Expr, session: Session, runner: Runner) -> exp.Expr:
    """Replace ``TABLE(INFORMATION_SCHEMA.COPY_HISTORY(TABLE_NAME => .., START_TIME => ..))`` with a query; return any
    other node unchanged."""
    call = node.this if isinstance(node, exp.TableFromRows) else None
    function = call.expression if isinstance(call, exp.Dot) else call
    if not isinstance(function, exp.Anonymous) or str(function.this).upper() != "COPY_HISTORY":
        return node
    given = {item.this.name.upper(): item.expression for item in function.expressions if isinstance(item, exp.Kwarg)}
    if unknown := set(given) - {"TABLE_NAME", "START_TIME", "END_TIME"}:
        raise compilation(1420, "22023", f"invalid parameter '{min(unknown)}'")
    if "TABLE_NAME" not in given or "START_TIME" not in given:
        raise compilation(
            938, "22023", "not enough arguments for function [COPY_HISTORY], expected TABLE_NAME and START_TIME"
        )
    path = session.path(TokenStream(given["TABLE_NAME"].name).name())
    query = _query(path)
    bounds = [f"LAST_LOAD_TIME >= {_time(given['START_TIME'], session, runner)}"]
    if "END_TIME" in given:
        bounds.append(f"LAST_LOAD_TIME <= {_time(given['END_TIME'], session, runner)}")
    session.duck.execute(f"CREATE OR REPLACE TEMPORARY VIEW {_VIEW} AS {query} AND {' AND '.join(bounds)}")
    session.cleanup.callback(session.drop_view, _VIEW)
    return local_table(_VIEW, node.args.get("alias"))


def _time(written: exp.Expr, session: Session, runner: Runner) -> str:
    query = f"SELECT {written.sql(dialect='snowflake')}"
    return f"CAST(({runner.query_sql(session, query)}) AS TIMESTAMPTZ)"


def _query(path: Path) -> str:
    columns = (
        "FILE_NAME, STAGE_LOCATION, LAST_LOAD_TIME, ROW_COUNT, ROW_PARSED, FILE_SIZE, FIRST_ERROR_MESSAGE, "
        "FIRST_ERROR_LINE_NUMBER, FIRST_ERROR_CHARACTER_POS, FIRST_ERROR_COLUMN_NAME, ERROR_COUNT, ERROR_LIMIT, STATUS"
    )
    pipe = ("PIPE_CATALOG_NAME", "PIPE_SCHEMA_NAME", "PIPE_NAME", "PIPE_RECEIVED_TIME", "FIRST_COMMIT_TIME")
    nothing = ", ".join(f"CAST(NULL AS VARCHAR) AS {name}" for name in pipe)
    return (
        f"SELECT {columns}, {text_literal(path[0])} AS TABLE_CATALOG_NAME, SCHEMA_NAME AS TABLE_SCHEMA_NAME, TABLE_NAME, {nothing} "
        f"FROM {_schema(path)}.{_DETAILS} WHERE SCHEMA_NAME = {text_literal(path[1])} AND TABLE_NAME = {text_literal(path[2])}"
    )
