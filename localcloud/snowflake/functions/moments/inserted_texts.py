"""Texts that INSERT converts in another way than DuckDB.

A moment may have a space before its offset in TIMESTAMP_LTZ and TIMESTAMP_TZ columns. A bound text for a BINARY column holds
hexadecimal digits: the connector binds binaries so when some of them are NULL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import stored, table_name

_SPACED = re.compile(r"(\d{4}-\d\d?-\d\d?[ T]\d\d?:\d\d(?::\d\d(?:\.\d+)?)?)\s+([+-]\d\d(?::?\d\d)?|Z)\s*")
_ZONED = "TIMESTAMP WITH TIME ZONE"
_BOUND = {_ZONED: "_zone_text", "BLOB": "_binary"}
_COLUMNS = """SELECT column_name, data_type FROM duckdb_columns()
    WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index"""


def rewrite(expression: exp.Expr, session: Session) -> None:
    """Convert the texts in place. The table has its name in DuckDB already."""
    if not isinstance(expression, exp.Insert):
        return
    if session.bound is not None:
        _rewrite_bound(expression, session, session.bound)
        return
    found = [(at, value) for at, value in _values(expression) if _SPACED.fullmatch(value.name)]
    if not found:
        return
    types = _types(expression, session)
    for at, value in found:
        if at < len(types) and types[at] == _ZONED:
            value.set("this", _SPACED.sub(r"\1\2", value.name))


def _rewrite_bound(insert: exp.Insert, session: Session, rows: pa.Table) -> None:
    """Convert the texts of an array binding."""
    values = insert.expression.expressions if isinstance(insert.expression, exp.Select) else []
    texts = {field.name for field in rows.schema if pa.types.is_string(field.type)}
    found = [(at, value) for at, value in enumerate(values) if isinstance(value, exp.Column) and value.name in texts]
    types = _types(insert, session) if found else []
    for at, value in found:
        if at < len(types) and (macro := _BOUND.get(types[at])) is not None:
            value.replace(exp.Anonymous(this=macro, expressions=[value.copy()]))


def _values(insert: exp.Insert) -> Iterator[tuple[int, exp.Literal]]:
    """The text literals among the inserted values, with the numbers of their columns."""
    source = insert.expression
    rows = source.expressions if isinstance(source, exp.Values) else [source] if isinstance(source, exp.Select) else []
    for row in rows:
        for at, value in enumerate(row.expressions if isinstance(row, exp.Tuple | exp.Select) else [row]):
            inner = value.unalias().unnest()
            if isinstance(inner, exp.Literal) and inner.is_string:
                yield at, inner


def _types(insert: exp.Insert, session: Session) -> list[str]:
    """The type in DuckDB of each column that is written."""
    target = insert.this
    table = target.this if isinstance(target, exp.Schema) else target
    if not isinstance(table, exp.Table):
        return []
    columns = dict(session.duck.execute(_COLUMNS, list(session.path(table_name(table)))).fetchall())
    if not isinstance(target, exp.Schema):
        return list(columns.values())
    return [columns.get(stored(column), "") for column in target.expressions if isinstance(column, exp.Identifier)]
