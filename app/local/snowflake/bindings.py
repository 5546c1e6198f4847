"""Bind values as the connector sends them: a type word and a text for each placeholder.

In: the request's ``bindings``. Out: literals put in place of the placeholders, or, for an array binding, one row of
Python values per execution. The surprise: a value is a text for every type, and a list of texts makes it an array binding.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from fakesnow.converter import from_date, from_time
from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.tokenizer_core import TokenType

from app.local.snowflake.failures import compilation

Binding = dict[str, Any]
# Texts, quoted names and comments are matched to be left alone.
_TEXT_OR_PLACEHOLDER = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|\$\$.*?\$\$|/\*.*?\*/|\?", re.DOTALL)


def rows_of(bindings: dict[str, Binding] | None) -> list[list[Any]] | None:
    """The rows of an array binding, or ``None`` where the values are single."""
    if not bindings or not any(isinstance(binding["value"], list) for binding in bindings.values()):
        return None
    columns = [[value_of(binding["type"], value) for value in binding["value"]] for binding in _ordered(bindings)]
    return [list(row) for row in zip(*columns, strict=True)]


def number_placeholders(sql: str) -> str:
    """Each ``?`` as ``:1``, ``:2``, ... in the order of the text, which is not that of the syntax tree (WITH comes last there)."""
    parts, at, count = [], 0, 0
    for token in Snowflake().tokenize(sql):
        if token.token_type is TokenType.PLACEHOLDER:
            count += 1
            parts += [sql[at : token.start], f":{count} "]
            at = token.end + 1
    return "".join(parts) + sql[at:]


def inlined(sql: str, bindings: dict[str, Binding] | None) -> str:
    """Each ``?`` of a statement that sqlglot does not read replaced by its value's literal."""
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


def bind(expression: exp.Expr, bindings: dict[str, Binding] | None) -> exp.Expr:
    """``expression`` with a typed literal for every placeholder; without bindings NULL stands for each."""
    values = [literal(binding["type"], binding["value"]) for binding in _ordered(bindings)] if bindings else None
    placeholders = list(expression.find_all(exp.Placeholder, bfs=False))
    for index, placeholder in enumerate(placeholders):
        placeholder.replace(exp.Null() if values is None else _numbered(placeholder, index, values))
    return expression


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
