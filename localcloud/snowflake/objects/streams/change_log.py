"""DuckDB SQL that detects, stores and reads the changes of tables with streams.

Each tracked table has two hidden tables: its rows with a permanent id for each row, and the log of changes. DuckDB's
own row ids change when a transaction ends, so a deleted row is found by its values. Rows that are equal in all values
are interchangeable, so any of them is correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Path

HIDDEN_SCHEMA = "_fs_information_schema"
ACTION, IS_UPDATE, ROW_ID = '"METADATA$ACTION"', '"METADATA$ISUPDATE"', '"METADATA$ROW_ID"'
_VERSION, _SEQUENCE = '"METADATA$VERSION"', '"METADATA$SEQUENCE"'
_AT, _COPY = '"METADATA$AT"', '"METADATA$COPY"'
_BEFORE, _OLD, _KEYED, _NEW = (f'temp.main."_stream_{name}"' for name in ("before", "old", "keyed", "new"))
SCRATCH = (_BEFORE, _OLD, _KEYED, _NEW)


def last_part(name: str) -> str:
    """The unqualified name of a hidden table or view."""
    return name.rsplit(".", 1)[1].strip('"')


@dataclass(frozen=True)
class Names:
    """Names of the hidden tables of tracked table ``number`` in ``database``."""

    database: str
    number: int

    def _hidden(self, name: str) -> str:
        return f"{quoted(self.database)}.{HIDDEN_SCHEMA}.{quoted(name)}"

    @property
    def rows(self) -> str:
        return self._hidden(f"_stream_rows_{self.number}")

    @property
    def changes(self) -> str:
        return self._hidden(f"_stream_changes_{self.number}")

    def view(self, stream: int) -> str:
        return self._hidden(f"_stream_{stream}")

    def initial(self, stream: int) -> str:
        """Table with the initial rows of a stream with SHOW_INITIAL_ROWS."""
        return self._hidden(f"_stream_initial_{stream}")

    @property
    def staged(self) -> str:
        """Temporary table with the changes of an open transaction."""
        return f'temp.main."_stream_staged_{self.number}"'


def table(path: Path) -> str:
    return ".".join(map(quoted, path))


def start_tracking(names: Names, source: str) -> list[str]:
    return [
        f"CREATE TABLE {names.rows} AS SELECT uuid()::VARCHAR AS {ROW_ID}, * FROM {source}",
        f"CREATE TABLE {names.changes} AS SELECT 0::BIGINT AS {_VERSION}, 0::BIGINT AS {_SEQUENCE}, ''::VARCHAR AS {ACTION}, "
        f"FALSE AS {IS_UPDATE}, * FROM {names.rows} LIMIT 0",
    ]


def snapshot(source: str) -> list[str]:
    """SQL to run before a statement that may delete or update."""
    return [f"CREATE OR REPLACE TEMPORARY TABLE {_BEFORE} AS SELECT rowid AS {_AT}, * FROM {source}"]


def inserted(names: Names, source: str, last: int) -> list[str]:
    """SQL to run after a statement that only inserts. ``last`` is the highest row id before the statement."""
    return [
        f"CREATE OR REPLACE TEMPORARY TABLE {_NEW} AS SELECT uuid()::VARCHAR AS {ROW_ID}, * FROM {source} WHERE rowid > {last}",
        f"INSERT INTO {names.rows} SELECT * FROM {_NEW}",
    ]


def changed(names: Names, source: str, columns: Sequence[str]) -> list[str]:
    """SQL to run after any other statement: finds old values of deleted or changed rows with their ids, and the new
    values."""
    listed = ", ".join(map(quoted, columns))
    differs = " OR ".join(f"b.{quoted(name)} IS DISTINCT FROM t.{quoted(name)}" for name in columns)
    same = " AND ".join(f"o.{quoted(name)} IS NOT DISTINCT FROM r.{quoted(name)}" for name in columns)
    copies = f"row_number() OVER (PARTITION BY {listed}) AS {_COPY}"
    return [
        f"CREATE OR REPLACE TEMPORARY TABLE {_OLD} AS SELECT b.* FROM {_BEFORE} b LEFT JOIN {source} t "
        f"ON b.{_AT} = t.rowid WHERE t.rowid IS NULL OR {differs}",
        f"CREATE OR REPLACE TEMPORARY TABLE {_KEYED} AS "
        f"WITH o AS (SELECT *, {copies} FROM {_OLD}), "
        f"r AS (SELECT *, {copies} FROM (SELECT * FROM {names.rows} r WHERE EXISTS (SELECT 1 FROM {_OLD} o WHERE {same}))) "
        f"SELECT r.{ROW_ID}, o.* EXCLUDE ({_COPY}) FROM o JOIN r ON o.{_COPY} = r.{_COPY} AND {same}",
        f"CREATE OR REPLACE TEMPORARY TABLE {_NEW} AS "
        f"SELECT coalesce(k.{ROW_ID}, uuid()::VARCHAR) AS {ROW_ID}, t.* FROM {source} t LEFT JOIN {_KEYED} k ON k.{_AT} = t.rowid "
        f"WHERE k.{_AT} IS NOT NULL OR NOT EXISTS (SELECT 1 FROM {_BEFORE} b WHERE b.{_AT} = t.rowid)",
        f"DELETE FROM {names.rows} WHERE {ROW_ID} IN (SELECT {ROW_ID} FROM {_KEYED})",
        f"INSERT INTO {names.rows} SELECT * FROM {_NEW}",
    ]


LOST = f"SELECT (SELECT count(*) FROM {_OLD}) - (SELECT count(*) FROM {_KEYED})"


def stage(names: Names, sequence: int, *, deletes: bool) -> list[str]:
    """Store the changes of a statement until its transaction commits."""
    into = f"INSERT INTO {names.staged} SELECT {{at}}, '{{action}}', {ROW_ID} IN (SELECT {ROW_ID} FROM {{other}}), * FROM {{rows}}"
    statements = [
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {names.staged} AS SELECT * EXCLUDE ({_VERSION}) FROM {names.changes} LIMIT 0"
    ]
    if not deletes:
        return [*statements, f"INSERT INTO {names.staged} SELECT {2 * sequence + 1}, 'INSERT', FALSE, * FROM {_NEW}"]
    gone = f"(SELECT * EXCLUDE ({_AT}) FROM {_KEYED})"
    return [
        *statements,
        into.format(at=2 * sequence, action="DELETE", other=_NEW, rows=gone),
        into.format(at=2 * sequence + 1, action="INSERT", other=_KEYED, rows=_NEW),
    ]


def publish(names: Names, version: int) -> list[str]:
    """Publish the changes of a transaction as one version when it commits."""
    return [f"INSERT INTO {names.changes} SELECT {version}, * FROM {names.staged}", f"DROP TABLE {names.staged}"]


def newest(names: Names) -> str:
    return f"SELECT coalesce(max({_VERSION}), 0) FROM {names.changes}"


def net_changes(names: Names, columns: Sequence[str], offset: str) -> str:
    """At most one delete and one insert for each row: its values at the offset and now, if they differ."""
    listed = ", ".join(f"{{0}}.{quoted(name)}" for name in columns)
    differs = " OR ".join(f"b.{quoted(name)} IS DISTINCT FROM a.{quoted(name)}" for name in columns)
    order = f"PARTITION BY {ROW_ID} ORDER BY {_VERSION}"
    return (
        f"WITH e AS (SELECT *, row_number() OVER ({order}, {_SEQUENCE}) AS first, "
        f"row_number() OVER ({order} DESC, {_SEQUENCE} DESC) AS last FROM {names.changes} WHERE {_VERSION} > {offset}), "
        f"b AS (SELECT * FROM e WHERE first = 1 AND {ACTION} = 'DELETE'), "
        f"a AS (SELECT * FROM e WHERE last = 1 AND {ACTION} = 'INSERT') "
        f"SELECT {listed.format('b')}, 'DELETE' AS {ACTION}, a.{ROW_ID} IS NOT NULL AS {IS_UPDATE}, b.{ROW_ID} "
        f"FROM b LEFT JOIN a ON a.{ROW_ID} = b.{ROW_ID} WHERE a.{ROW_ID} IS NULL OR {differs} UNION ALL "
        f"SELECT {listed.format('a')}, 'INSERT', b.{ROW_ID} IS NOT NULL, a.{ROW_ID} "
        f"FROM a LEFT JOIN b ON a.{ROW_ID} = b.{ROW_ID} WHERE b.{ROW_ID} IS NULL OR {differs}"
    )


def appended(names: Names, columns: Sequence[str], offset: str) -> str:
    """Every row inserted since the offset, including rows that were deleted later."""
    listed = ", ".join(map(quoted, columns))
    return (
        f"SELECT {listed}, 'INSERT' AS {ACTION}, FALSE AS {IS_UPDATE}, {ROW_ID} FROM {names.changes} "
        f"WHERE {_VERSION} > {offset} AND {ACTION} = 'INSERT' AND NOT {IS_UPDATE}"
    )


def start_with(initial: str, columns: Sequence[str], offset: str, changes: str) -> str:
    """The initial rows while the offset is negative, the changes afterwards."""
    listed = ", ".join(map(quoted, columns))
    return (
        f"SELECT {listed}, 'INSERT' AS {ACTION}, FALSE AS {IS_UPDATE}, {ROW_ID} FROM {initial} WHERE {offset} < 0 "
        f"UNION ALL SELECT * FROM ({changes}) WHERE {offset} >= 0"
    )
