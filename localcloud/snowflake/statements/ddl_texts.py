"""The CREATE statements of GET_DDL, from what the server keeps about an object. ``name``: the name as the statement shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from localcloud.snowflake.objects.dynamic_tables.state import DynamicTable
from localcloud.snowflake.objects.external_functions.syntax import CreateExternalFunction
from localcloud.snowflake.objects.sequences import Sequence
from localcloud.snowflake.objects.streams.state import Stream
from localcloud.snowflake.objects.tags.references import Tag
from localcloud.snowflake.objects.tasks.state import Task
from localcloud.snowflake.objects.user_functions.syntax import CreateRoutine
from localcloud.snowflake.routines.python.syntax import CreateProcedure, Routine
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Path, StagePath

_PLAIN = re.compile(r"[A-Z_][A-Z0-9_$]*")
_PART = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_VIEW = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?P<secure>SECURE\s+)?(?:RECURSIVE\s+)?VIEW\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"{_PART}(?:\s*\.\s*{_PART})*",
    re.IGNORECASE,
)


def shown_name(*parts: str) -> str:
    return ".".join(part if _PLAIN.fullmatch(part) else quoted(part) for part in parts)


def text_of(value: str | None) -> str:
    """A text in single quotes, for Snowflake."""
    return "'" + (value or "").replace("\\", "\\\\").replace("'", "''") + "'"


def _comment(found: Any) -> str:
    return f" comment={text_of(found.comment)}" if found.comment else ""


def view(name: str, created: str) -> str:
    """The statement with which the client created the view."""
    head = _VIEW.match(created)
    if head is None:
        return created.rstrip(" ;\n") + ";"
    secure = "secure " if head["secure"] else ""
    rest = created[head.end() :].strip().removesuffix(";").rstrip()
    return f"create or replace {secure}view {name}{rest if rest.startswith('(') else ' ' + rest};"


def sequence(name: str, found: Sequence) -> str:
    order = "order" if found.ordered else "noorder"
    return f"create or replace sequence {name} start with {found.start} increment by {found.counter.step} {order}{_comment(found)};"


def stream(name: str, found: Stream) -> str:
    append = " append_only = true" if found.append_only else ""
    return f"create or replace stream {name} on table {shown_name(*found.table.path)}{append}{_comment(found)};"


def task(name: str, found: Task) -> str:
    lines = [f"create or replace task {name}"]
    lines += [f"\t{option.lower()}={_option(value)}" for option, value in found.options.items() if value is not None]
    if found.comment:
        lines.append(f"\tCOMMENT={text_of(found.comment)}")
    if found.after:
        lines.append("\tafter " + ", ".join(shown_name(*path) for path in sorted(found.after)))
    if found.when is not None:
        lines.append(f"\twhen {found.when}")
    return "\n".join([*lines, f"\tas {found.body};"])


def _option(value: Any) -> str:
    if isinstance(value, tuple):
        return shown_name(*value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else text_of(str(value))


def tag(name: str, found: Tag) -> str:
    allowed = "" if not found.allowed else " allowed_values " + ", ".join(map(text_of, found.allowed))
    return f"create or replace tag {name}{allowed}{_comment(found)};"


def dynamic_table(name: str, found: DynamicTable) -> str:
    query = found.query.strip().removesuffix(";")
    return (
        f"create or replace dynamic table {name}\n\ttarget_lag = {text_of(found.lag)} refresh_mode = {found.mode} "
        f"warehouse = {shown_name(found.warehouse)}{_comment(found)}\n\tas\n{query};"
    )


def file_format(name: str, type_: str, options: Mapping[str, Any]) -> str:
    lines = [f"\t{option} = {_option_of_format(value)}" for option, value in options.items()]
    return "\n".join([f"create or replace file format {name}", f"\tTYPE = {type_}", *lines]) + "\n;"


def _option_of_format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(text_of(str(item)) for item in value)})"
    return (
        str(value).upper() if isinstance(value, bool) else str(value) if isinstance(value, int) else text_of(str(value))
    )


def routine(kind: str, path: Path, full: bool, found: Any) -> str:
    """A function or procedure of any language."""
    definition: CreateRoutine = found.definition
    name = quoted(*(path if full else path[2:]))
    defaults = definition.defaults if isinstance(definition, Routine) else ()
    first = len(definition.arguments) - len(defaults)
    arguments = ", ".join(
        f"{quoted(argument.name)} {argument.type}" + (f" DEFAULT {defaults[at - first]}" if at >= first else "")
        for at, argument in enumerate(definition.arguments)
    )
    secure = "SECURE " if definition.secure else ""
    external = "EXTERNAL " if isinstance(definition, CreateExternalFunction) else ""
    lines = [f"CREATE OR REPLACE {secure}{external}{kind} {name}({arguments})", f"RETURNS {_returned(definition)}"]
    if definition.strict:
        lines.append("STRICT")
    if definition.immutable:
        lines.append("IMMUTABLE")
    lines += _external(definition) if isinstance(definition, CreateExternalFunction) else _code(definition)
    if found.comment:
        lines.insert(-1, f"COMMENT={text_of(found.comment)}")
    return "\n".join(lines) + ";"


def _returned(definition: CreateRoutine) -> str:
    table = definition.table if isinstance(definition, Routine) else None
    if table is not None:
        return f"TABLE ({', '.join(f'{quoted(column.name)} {column.type}' for column in table)})"
    return f"{definition.returned}{' NOT NULL' if definition.not_null else ''}"


def _external(definition: CreateExternalFunction) -> list[str]:
    lines = [f"API_INTEGRATION = {shown_name(definition.api_integration)}"]
    if definition.headers:
        lines.append(
            f"HEADERS = ({', '.join(f'{text_of(name)} = {text_of(value)}' for name, value in definition.headers)})"
        )
    if definition.context_headers:
        lines.append(f"CONTEXT_HEADERS = ({', '.join(definition.context_headers)})")
    if definition.max_batch_rows is not None:
        lines.append(f"MAX_BATCH_ROWS = {definition.max_batch_rows}")
    return [*lines, f"COMPRESSION = {definition.compression}", f"AS {text_of(definition.url)}"]


def _code(definition: CreateRoutine) -> list[str]:
    code = getattr(definition, "code", None)
    if code is None:
        return []
    lines = ["LANGUAGE PYTHON", f"RUNTIME_VERSION = {text_of(code.runtime)}"]
    if code.packages:
        lines.append(f"PACKAGES = ({','.join(map(text_of, code.packages))})")
    if code.imports:
        lines.append(f"IMPORTS = ({','.join(text_of(_location(path)) for path in code.imports)})")
    lines.append(f"HANDLER = {text_of(code.handler)}")
    if isinstance(definition, CreateProcedure):
        lines.append(f"EXECUTE AS {'CALLER' if definition.as_caller else 'OWNER'}")
    return [*lines, f"AS {text_of(code.body)}"] if code.body is not None else lines


def _location(path: StagePath) -> str:
    return f"@{path.stage}/{path.path}"
