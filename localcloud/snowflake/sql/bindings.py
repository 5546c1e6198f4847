"""Bind values as the connector sends them: a type and a text for each placeholder.

Single values are written into the statement as literals. A list of texts is an array binding: a table with one column for each
placeholder.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from fakesnow.converter import from_date, from_time
from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.tokenizer_core import TokenType

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.sql.tokens import TokenStream

Binding = dict[str, Any]
_SHORT_INTEGER = re.compile(r"[+-]?\d{1,18}")
# The types of other columns are inferred from their values.
_ARROW = {"BOOLEAN": pa.bool_(), "BINARY": pa.binary(), "DATE": pa.date32(), "TIME": pa.time64("us")}
# Texts, quoted names and comments are matched so that they are skipped.
_TEXT_OR_PLACEHOLDER = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|\$\$.*?\$\$|/\*.*?\*/|\?", re.DOTALL)


def rows_of(bindings: dict[str, Binding] | None) -> pa.Table | None:
    """The rows of an array binding, one column for each placeholder (``b1``, ``b2``, ...); ``None`` for single values."""
    if not bindings or not any(isinstance(binding["value"], list) for binding in bindings.values()):
        return None
    columns = [_column(binding["type"], binding["value"]) for binding in _ordered(bindings)]
    return pa.table({f"b{position}": column for position, column in enumerate(columns, start=1)})


def _column(type_: str, texts: list[str | None]) -> pa.Array:
    """One placeholder's values in all rows."""
    if type_ == "REAL":
        return pc.cast(pa.array(texts, pa.string()), pa.float64())
    if type_ == "TEXT":
        return pa.array(texts, pa.string())
    if type_ == "FIXED" and all(text is None or _SHORT_INTEGER.fullmatch(text) for text in texts):
        return pc.cast(pa.array(texts, pa.string()), pa.int64())
    values = [value_of(type_, text) for text in texts]
    if type_ == "FIXED":
        exact = [None if value is None else Decimal(value) for value in values]
        scale = max((-int(value.as_tuple().exponent) for value in exact if value is not None), default=0)
        return pa.array(exact, pa.decimal128(38, max(scale, 0)))
    return pa.array(values, _ARROW.get(type_))


def select_rows(insert: exp.Insert, table: str) -> exp.Insert:
    """``INSERT ... VALUES (?, f(?))`` as an INSERT of the rows of ``table``, which has one column for each placeholder."""
    values = insert.expression
    if not isinstance(values, exp.Values) or len(values.expressions) != 1:
        raise unsupported("array binding in an INSERT other than one with a single row of VALUES")
    row = values.expressions[0]
    given = row.expressions if isinstance(row, exp.Tuple) else [row]
    select = exp.select(*given).from_(exp.to_table(table, dialect="duckdb"))
    for index, placeholder in enumerate(list(select.find_all(exp.Placeholder, bfs=False))):
        written = str(placeholder.this or "")
        position = written if written.isdecimal() else str(index + 1)
        placeholder.replace(exp.column(f"b{position}", quoted=True))
    insert.set("expression", select)
    return insert


def number_placeholders(sql: str) -> str:
    """Replace each ``?`` with ``:1``, ``:2``, ... in the order of the text. The syntax tree has another order: WITH comes last."""
    parts, at, count = [], 0, 0
    for token in Snowflake().tokenize(sql):
        if token.token_type is TokenType.PLACEHOLDER:
            count += 1
            parts += [sql[at : token.start], f":{count} "]
            at = token.end + 1
    return "".join(parts) + sql[at:]


def inlined(sql: str, bindings: dict[str, Binding] | None) -> str:
    """Replace each ``?`` of a statement that sqlglot does not parse by its value's literal."""
    if not bindings or "?" not in sql:
        return sql
    values = iter(
        [literal(binding["type"], binding["value"]).sql(dialect="snowflake") for binding in _ordered(bindings)]
    )

    def value(found: re.Match[str]) -> str:
        if found.group() != "?":
            return found.group()
        text = next(values, None)
        if text is None:
            raise compilation(2049, "42601", "Bind variable not set.")
        return text

    return _TEXT_OR_PLACEHOLDER.sub(value, sql)


def bind(expression: exp.Expr, bindings: dict[str, Binding] | None, *, described: bool = False) -> exp.Expr:
    """``expression`` with a typed literal for every placeholder, or NULL in a statement that is only ``described``."""
    values = [literal(binding["type"], binding["value"]) for binding in _ordered(bindings or {})]
    placeholders = list(expression.find_all(exp.Placeholder, bfs=False))
    for index, placeholder in enumerate(placeholders):
        value = exp.Null() if described else _numbered(placeholder, index, values)
        value.meta.update(placeholder.meta)
        placeholder.replace(value)
    for name in list(expression.find_all(exp.DynamicIdentifier)):
        _name_table(name)
    return expression


def _name_table(dynamic: exp.DynamicIdentifier) -> None:
    """Replace ``IDENTIFIER('db.schema.table')`` by the name."""
    table, text = dynamic.parent, dynamic.this
    if not isinstance(table, exp.Table) or not isinstance(text, exp.Literal):
        return
    name = TokenStream(text.name).name()
    for part, word in (("this", name.name), ("db", name.schema), ("catalog", name.database)):
        table.set(part, exp.to_identifier(word, quoted=True) if word is not None else None)


def _numbered(placeholder: exp.Expr, index: int, values: list[exp.Expr]) -> exp.Expr:
    written = str(placeholder.this or "")
    at = int(written) - 1 if written.isdecimal() else index
    if not 0 <= at < len(values):
        raise compilation(2049, "42601", f"Bind variable {at + 1} not set.")
    return values[at].copy()


def _ordered(bindings: dict[str, Binding]) -> list[Binding]:
    return [bindings[position] for position in sorted(bindings, key=int)]


def value_of(type_: str, text: str | None) -> Any:
    """The Python value that DuckDB takes for one bound value."""
    if text is None:
        return None
    if type_ == "FIXED":
        return int(text) if text.lstrip("+-").isdecimal() else Decimal(text)
    if type_ == "REAL":
        return float(text)
    if type_ == "BOOLEAN":
        return text.lower() == "true"
    if type_ == "BINARY":
        return bytes.fromhex(text)
    if type_ == "DATE":
        return from_date(text)
    if type_ == "TIME":
        return from_time(text)
    return _moment(type_, text) if type_.startswith("TIMESTAMP") else text


def _moment(type_: str, text: str) -> datetime:
    """``<epoch nanoseconds>`` and, for TIMESTAMP_TZ, a space and the offset in minutes plus 1440."""
    nanoseconds, _, offset = text.partition(" ")
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(nanoseconds) // 1000)
    if type_ == "TIMESTAMP_NTZ":
        return moment.replace(tzinfo=None)
    return moment.astimezone(timezone(timedelta(minutes=int(offset) - 1440))) if offset else moment


_CASTS = {"DATE": "DATE", "TIME": "TIME", "TIMESTAMP_NTZ": "TIMESTAMPNTZ"}


def literal(type_: str, text: str | None) -> exp.Expr:
    """The literal of Snowflake's dialect for one bound value."""
    value = value_of(type_, text)
    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | Decimal):
        return exp.Neg(this=exp.Literal.number(str(-value))) if value < 0 else exp.Literal.number(str(value))
    if isinstance(value, float):
        return exp.cast(exp.Literal.string(repr(value)), "DOUBLE")
    if isinstance(value, bytes):
        return exp.Anonymous(this="FROM_HEX", expressions=[exp.Literal.string(value.hex())])
    if isinstance(value, str):
        return exp.Literal.string(value)
    shown = value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return exp.cast(exp.Literal.string(shown), _CASTS.get(type_, "TIMESTAMPTZ"))
