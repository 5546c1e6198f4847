"""COPY INTO a table from a SELECT over staged files.

The SELECT is rewritten for each file, because the meaning of ``$1:name`` depends on the columns of the Parquet file.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.copy.targets import Table
from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.files import staged_query
from localcloud.snowflake.files.readers import parquet_names
from localcloud.snowflake.files.staged_files import StagedFile
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import Format
from localcloud.snowflake.objects.stages.locations import FileLocation, resolve_location
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.identifiers import quoted

_VIEW = "_staged_load"


class Transformation:
    def __init__(self, session: Session, runner: Runner, statement: ast.CopyIntoTable, table: Table) -> None:
        self._session = session
        self._runner = runner
        self._table = table
        self._query = statement.query or ""
        select, source = self._parsed()
        if staged_query.format_of(source) is not None or source.args.get("pattern") is not None:
            raise compilation(1003, "42000", "syntax error: FILE_FORMAT and PATTERN of a COPY follow its SELECT.")
        if len(select.expressions) != len(table.columns):
            raise compilation(
                2020,
                "21S01",
                "Insert value list does not match column list expecting "
                f"{len(table.columns)} but got {len(select.expressions)}",
            )
        location = staged_query.location_of(source)
        assert location is not None
        self.file_location: FileLocation = resolve_location(session, location)

    def _parsed(self) -> tuple[exp.Select, exp.Table]:
        select = parsing.parse(self._query)
        found = staged_query.sources(select)
        if not isinstance(select, exp.Select) or len(found) != 1 or select.args.get("joins"):
            raise compilation(1003, "42000", "syntax error: the SELECT of a COPY must read from exactly one stage.")
        for clause in ("where", "group", "order", "limit", "having"):
            if select.args.get(clause) is not None:
                raise unsupported(f"{clause.upper()} in the SELECT of a COPY (Snowflake does not support it either)")
        return select, found[0]

    def insert(self, file: StagedFile, chosen: Format) -> str:
        """INSERT statement for one file. The view over the file replaces the previous file's view."""
        select, source = self._parsed()
        names = set(parquet_names(file)) if chosen.type == "PARQUET" else set()
        columns = staged_query.attach(select, source, _VIEW, chosen, names, variant=False)
        staged_query.create_view(self._session, _VIEW, [file], chosen, columns)
        for column, value in zip(self._table.columns, list(select.expressions), strict=True):
            inner = value.this if isinstance(value, exp.Alias) else value
            if _is_variant(inner, chosen) and column.type != "JSON":
                inner.replace(exp.Cast(this=inner.copy(), to=exp.DataType.build(column.type, dialect="duckdb")))
        query = self._runner.query_sql(self._session, select)
        listed = ", ".join(quoted(column.name) for column in self._table.columns)
        return f"INSERT INTO {self._table.sql} ({listed}) {query}"


def _is_variant(value: exp.Expr, chosen: Format) -> bool:
    """Whether a value is a VARIANT. Snowflake casts it to the column's type; a DuckDB insert would keep the JSON
    quotes."""
    if isinstance(value, exp.JSONExtract):
        return True
    return chosen.type != "CSV" and isinstance(value, exp.Column) and value.name == "$1"
