"""CREATE, ALTER, DESCRIBE and SHOW FILE FORMAT. ``format_options`` defines the options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import DEFAULTS, checked, completed
from localcloud.snowflake.objects.stages.state import NamedFileFormat
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Alter, Path

SHOWN = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[
        ("type", "text"),
        ("owner", "text"),
        ("comment", "text"),
        ("format_options", "text"),
        ("owner_role_type", "text"),
    ],
]
DESCRIBED = [
    *[("property", "text"), ("property_type", "text"), ("property_value", "text"), ("property_default", "text")],
]


def make(session: Session, statement: ast.CreateFileFormat, path: Path, _runner: Runner) -> NamedFileFormat:
    completed(statement.format)
    return NamedFileFormat(
        path=path,
        owner=session.role,
        created=session.account.clock.now(),
        comment=statement.comment or "",
        session_id=session.id if statement.temporary else None,
        format=statement.format,
    )


def alter(_session: Session, found: NamedFileFormat, statement: Alter, _runner: Runner) -> None:
    old = found.format
    changes = {name: value for name, value in statement.options.items() if name != "COMMENT"}
    new = replace(old, options={**old.options, **checked(old.type, changes)})
    completed(new)
    found.format = new


def properties(_session: Session, found: NamedFileFormat) -> list[list[Any]]:
    """The rows of DESCRIBE FILE FORMAT."""
    return property_rows(found.format.type, completed(found.format).options)


def property_rows(type_: str, options: Mapping[str, Any]) -> list[list[Any]]:
    """Rows of property, property_type, property_value and property_default for the type and each of its options."""
    rows: list[list[Any]] = [["TYPE", "String", type_, "CSV"]]
    for name, default in DEFAULTS[type_].items():
        rows.append([name, _type(default), _shown(options[name]), _shown(default)])
    return rows


def _type(default: Any) -> str:
    if isinstance(default, bool):
        return "Boolean"
    if isinstance(default, int):
        return "Integer"
    return "List" if isinstance(default, tuple) else "String"


def _shown(value: Any) -> str:
    if value is None:
        return "NONE"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(text.replace("\\", "\\\\") for text in value) + "]"
    return str(value).replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def row(_session: Session, found: NamedFileFormat) -> list[Any]:
    return [
        *[found.created, found.path[2], found.path[0], found.path[1], found.format.type, found.owner],
        *[found.comment, _options(found.format), "ROLE"],
    ]


def _options(written: ast.FileFormat) -> str:
    options = completed(written).options
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return json.dumps({"TYPE": written.type, **listed}, separators=(",", ":"))
