"""Which databases, schemas, tables and views exist.

The lookup has a connection of its own, so that it does not disturb a session's transaction.
"""

from __future__ import annotations

import threading
from typing import Any

import duckdb

from localcloud.snowflake.failures import missing_object
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Path

_HIDDEN = ("memory", "system", "temp", "_fs_global")

_SCHEMA = "lower(database_name) = lower($1) AND lower(schema_name) = lower($2)"
# By the number of parts of a name.
_SPELLINGS = {
    1: "SELECT database_name FROM duckdb_databases() WHERE lower(database_name) = lower($1)",
    2: f"SELECT database_name, schema_name FROM duckdb_schemas() WHERE {_SCHEMA}",
    3: f"SELECT database_name, schema_name, table_name FROM duckdb_tables() WHERE {_SCHEMA} AND lower(table_name) = lower($3) "
    f"UNION ALL SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE {_SCHEMA} AND lower(view_name) = lower($3)",
}


class NameLookup:
    def __init__(self, duck: DuckConnection) -> None:
        self._duck = duck
        self._lock = threading.Lock()
        # How many databases have been dropped.
        self.dropped = 0

    def _ask(self, sql: str, params: list[Any]) -> list[Any]:
        with self._lock:
            return self._duck.rows(sql, params)

    def note_drop(self) -> None:
        """A database has been dropped: sessions must look whether it is theirs."""
        with self._lock:
            self.dropped += 1

    def has_database(self, database: str) -> bool:
        found = self._ask("SELECT 1 FROM duckdb_databases() WHERE database_name = ?", [database])
        return bool(found) and database not in _HIDDEN

    def is_catalog(self, name: str) -> bool:
        """Whether DuckDB knows a database of this name, in any case of letters, its own ones included."""
        sql = "SELECT 1 FROM duckdb_databases() WHERE lower(database_name) = lower(?)"
        return bool(self._ask(sql, [name]))

    def has_schema(self, database: str, schema: str) -> bool:
        if schema.upper() == "INFORMATION_SCHEMA":
            return True
        sql = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
        return bool(self._ask(sql, [database, schema]))

    def require_schema(self, path: Path) -> None:
        """Raise code 2003 where the database or the schema of ``path`` does not exist."""
        if not self.has_database(path[0]):
            raise missing_object(path[0], "Database")
        if not self.has_schema(path[0], path[1]):
            raise missing_object(f"{path[0]}.{path[1]}", "Schema")

    def kind(self, path: Path) -> str | None:
        """TABLE, VIEW or None."""
        sql = (
            "SELECT 'TABLE' FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2 AND table_name = $3 "
            "UNION ALL SELECT 'VIEW' FROM duckdb_views() "
            "WHERE database_name = $1 AND schema_name = $2 AND view_name = $3"
        )
        found = self._ask(f"SELECT * FROM ({sql})", list(path))
        return str(found[0][0]) if found else None

    def spelling(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        """The database, schema or table that DuckDB, which ignores case, finds under ``path``; ``path`` itself if it exists."""
        found = self._ask(_SPELLINGS[len(path)], list(path))
        if not found:
            return None
        return path if path in found else tuple(found[0])

    def columns(self, path: Path) -> list[str] | None:
        """The columns of a table or view, ``None`` if there is none. DuckDB ignores the case of the path."""
        with self._lock:
            try:
                self._duck.execute(f"SELECT * FROM {quoted(*path)} LIMIT 0")
            except duckdb.Error:
                return None
            return [name for name, _ in self._duck.types]

    def tables(self) -> set[Path]:
        """Every table of every database."""
        found = self._ask("SELECT database_name, schema_name, table_name FROM duckdb_tables()", [])
        return {(database, schema, table) for database, schema, table in found}

    def close(self) -> None:
        self._duck.close()
