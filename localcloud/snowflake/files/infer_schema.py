"""INFER_SCHEMA and CREATE TABLE .. USING TEMPLATE: column definitions from staged files.

A Parquet file declares its types; the types of CSV and JSON columns are inferred from all values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.files import parquet_times
from localcloud.snowflake.files.inferred_types import common, json_kinds, narrowest_types, parquet_type
from localcloud.snowflake.files.readers import csv_rows, csv_value, header, json_documents, parquet_names
from localcloud.snowflake.files.staged_files import StagedFile, fetch
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import Format, resolved
from localcloud.snowflake.objects.stages.locations import resolve_location
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.identifiers import quoted, text_literal
from localcloud.snowflake.sql.names import local_table
from localcloud.snowflake.sql.tokens import TokenStream

COLUMNS = ("COLUMN_NAME", "TYPE", "NULLABLE", "EXPRESSION", "FILENAMES", "ORDER_ID")
_ARGUMENTS = ("LOCATION", "FILE_FORMAT", "FILES", "IGNORE_CASE", "MAX_FILE_COUNT", "MAX_RECORDS_PER_FILE", "KIND")
_TABLE = "_inferred_schema"
_PLAIN = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Found:
    """A column found in the files. ``source`` is the part before ``::type`` in EXPRESSION."""

    name: str
    type: str
    nullable: bool
    source: str
    files: tuple[str, ...]


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """Replace ``TABLE(INFER_SCHEMA(LOCATION => ..))`` with a table; return any other node unchanged."""
    call = node.this if isinstance(node, exp.TableFromRows) else None
    if not isinstance(call, exp.Anonymous) or str(call.this).upper() != "INFER_SCHEMA":
        return node
    given = {item.this.name.upper(): item.expression for item in call.expressions if isinstance(item, exp.Kwarg)}
    if unknown := set(given) - set(_ARGUMENTS):
        raise compilation(1420, "22023", f"invalid parameter '{min(unknown)}'")
    if not {"LOCATION", "FILE_FORMAT"} <= set(given):
        raise compilation(
            938, "22023", "not enough arguments for function [INFER_SCHEMA], expected LOCATION and FILE_FORMAT"
        )
    if "KIND" in given and given["KIND"].name.upper() != "STANDARD":
        raise unsupported(f"INFER_SCHEMA for {given['KIND'].name}")
    _store(session, _columns(session, given))
    return local_table(_TABLE, node.args.get("alias"))


def _store(session: Session, columns: list[Found]) -> None:
    rows = [
        (column.name, column.type, column.nullable, f"{column.source}::{column.type}", ", ".join(column.files), order)
        for order, column in enumerate(columns)
    ]
    types = (pa.string(), pa.string(), pa.bool_(), pa.string(), pa.string(), pa.int64())
    arrays = [pa.array([row[index] for row in rows], type_) for index, type_ in enumerate(types)]
    session.duck.store(_TABLE, pa.Table.from_arrays(arrays, names=list(COLUMNS)), "SELECT *")


def _columns(session: Session, given: dict[str, exp.Expr]) -> list[Found]:
    location = TokenStream(text_literal(given["LOCATION"].name)).stage_path()
    if location.kind == "TABLE":
        raise compilation(1420, "22023", "INFER_SCHEMA does not support table stages")
    file_location = resolve_location(session, location)
    chosen = resolved(session, ast.NamedFormat(TokenStream(given["FILE_FORMAT"].name).name()))
    names = given.get("FILES")
    listed = [
        item.name for item in (names.expressions if isinstance(names, exp.Tuple | exp.Array) else [names]) if item
    ]
    items = file_location.named(listed) if listed else file_location.files()
    items = items[: _number(given, "MAX_FILE_COUNT")]
    records = _number(given, "MAX_RECORDS_PER_FILE")
    ignore_case = isinstance(given.get("IGNORE_CASE"), exp.Boolean) and bool(given["IGNORE_CASE"].this)
    found: list[list[Found]] = []
    for item in items:
        file = fetch(file_location, item, chosen, session.scratch())
        columns = _of_file(session, file, chosen, records)
        found.append([_folded(column) for column in columns] if ignore_case else columns)
    return merged(found)


def _number(given: dict[str, exp.Expr], name: str) -> int | None:
    return int(given[name].name) if name in given else None


def _folded(column: Found) -> Found:
    source = column.source
    if source.startswith("$1:"):
        source = f"GET_IGNORE_CASE ($1, '{column.name.upper()}')"
    return replace(column, name=column.name.upper(), source=source)


def _of_file(session: Session, file: StagedFile, chosen: Format, records: int | None) -> list[Found]:
    if chosen.type == "PARQUET":
        parquet_names(file)
        schema, times = pq.read_schema(file.path), parquet_times.kinds(file.path, chosen)
        types = {field.name: _time_type(times.get(field.name)) or parquet_type(field.type) for field in schema}
        return [
            Found(field.name, types[field.name], field.nullable, _path(field.name), (file.name,)) for field in schema
        ]
    limit = "" if records is None else f" LIMIT {records}"
    if chosen.type == "JSON":
        return _of_json(session, file, f"(SELECT json FROM {json_documents(file, chosen)}{limit})")
    return _of_csv(session, file, chosen, limit)


def _time_type(kind: str | None) -> str | None:
    return "NUMBER(38, 0)" if kind == parquet_times.INTEGER else kind


def _path(name: str) -> str:
    return f"$1:{name}" if _PLAIN.fullmatch(name) else f"$1:{quoted(name)}"


def _of_csv(session: Session, file: StagedFile, chosen: Format, limit: str) -> list[Found]:
    if chosen["PARSE_HEADER"]:
        names = header(file, chosen)
    else:
        # The file has no header: number the columns by the fields of its first line.
        names = [f"c{number}" for number in range(1, len(header(file, chosen)) + 1)]
    if not names:
        return []
    values = ", ".join(f"{csv_value(number, file, chosen)} AS v{number}" for number in range(1, len(names) + 1))
    rows = csv_rows(file, chosen, len(names), lenient=not chosen["ERROR_ON_COLUMN_COUNT_MISMATCH"])
    source = f"(SELECT {values} FROM {rows}{limit})"
    types = narrowest_types(session, [f"v{number}" for number in range(1, len(names) + 1)], source)
    return [
        Found(name, type_, nullable=True, source=f"${number}", files=(file.name,))
        for number, (name, type_) in enumerate(zip(names, types, strict=True), 1)
    ]


def _of_json(session: Session, file: StagedFile, source: str) -> list[Found]:
    session.duck.execute(
        "SELECT key FROM (SELECT unnest(keys) AS key, generate_subscripts(keys, 1) AS position, n FROM "
        f"(SELECT json_keys(json) AS keys, row_number() OVER () AS n FROM {source})) "
        "GROUP BY key ORDER BY min(n), arg_min(position, n)"
    )
    keys = [row[0] for row in session.duck.fetchall()]
    if not keys:
        return []
    values = [f"json_extract(json, {text_literal('$.' + quoted(key))})" for key in keys]
    kinds = json_kinds(session, values, source)
    types = narrowest_types(session, [f"({value} ->> '$')" for value in values], source)
    return [
        Found(key, kind or type_, nullable=True, source=_path(key), files=(file.name,))
        for key, kind, type_ in zip(keys, kinds, types, strict=True)
    ]


def merged(files: list[list[Found]]) -> list[Found]:
    """Merge the columns of all files by name, in order of first appearance."""
    found: dict[str, Found] = {}
    for columns in files:
        for column in columns:
            old = found.get(column.name)
            found[column.name] = column if old is None else _joined(old, column)
    return [replace(column, nullable=column.nullable or len(column.files) < len(files)) for column in found.values()]


def _joined(one: Found, other: Found) -> Found:
    return replace(
        one,
        type=common(one.type, other.type),
        nullable=one.nullable or other.nullable,
        files=tuple(dict.fromkeys((*one.files, *other.files))),
    )


def with_template(session: Session, expression: exp.Create, runner: Runner) -> exp.Create:
    """Turn ``CREATE TABLE t USING TEMPLATE (SELECT ARRAY_AGG(OBJECT_CONSTRUCT(*)) ..)`` into a CREATE TABLE with
    columns."""
    template = expression.find(exp.UsingTemplateProperty)
    if template is None:
        return expression
    query = template.this.this if isinstance(template.this, exp.Subquery) else template.this
    columns = _template_columns(session, query, runner)
    listed = ", ".join(
        f"{quoted(row['COLUMN_NAME'])} {row['TYPE']}{'' if row['NULLABLE'] else ' NOT NULL'}" for row in columns
    )
    if not listed:
        raise compilation(2026, "42601", "Invalid column definition list")
    schema = parsing.parse(f"CREATE TABLE t ({listed})").this
    schema.set("this", expression.this)
    expression.set("this", schema)
    template.pop()
    return expression


def _template_columns(session: Session, query: exp.Expr, runner: Runner) -> list[dict[str, Any]]:
    (wanted,) = query.expressions if isinstance(query, exp.Select) and len(query.expressions) == 1 else (None,)
    order = wanted.expression if isinstance(wanted, exp.WithinGroup) else None
    aggregate = wanted.this if isinstance(wanted, exp.WithinGroup) else wanted
    if not isinstance(aggregate, exp.ArrayAgg) or not isinstance(aggregate.this, exp.StarMap):
        raise unsupported("USING TEMPLATE other than ARRAY_AGG(OBJECT_CONSTRUCT(*))")
    assert isinstance(query, exp.Select)
    plain = query.copy()
    plain.set("expressions", [exp.column(name, quoted=True) for name in COLUMNS])
    if isinstance(order, exp.Order):
        plain.set("order", order.copy())
    session.duck.execute(runner.query_sql(session, plain))
    return [dict(zip(COLUMNS, row, strict=True)) for row in session.duck.fetchall()]
