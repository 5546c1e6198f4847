"""File formats as objects: CREATE, ALTER, DESCRIBE and SHOW.

In: statements of the grammar. Out: Snowflake's answers; which option means what stands in ``formats``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.format_options import DEFAULTS, checked, completed
from localcloud.snowflake.objects.stages.state import StagingState
from localcloud.snowflake.result import DESCRIBE, Result, rows_result, status
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name, Show

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


def create(session: Session, statement: ast.CreateFileFormat) -> Result:
    completed(statement.format)
    made = session.account.state(StagingState).formats.create(session, statement)
    name = statement.name.name
    if made is None:
        return status(f"{name} already exists, statement succeeded.")
    return status(f"File format {name} successfully created.")


def alter(session: Session, statement: ast.AlterFileFormat) -> Result:
    formats = session.account.state(StagingState).formats
    if statement.if_exists and formats.find(session, statement.name) is None:
        return status("Statement executed successfully.")
    entry = formats.get(session, statement.name)
    if statement.renamed is not None:
        formats.rename(session, entry, statement.renamed)
        return status("Statement executed successfully.")
    old = entry.definition.format
    new = replace(old, options={**old.options, **checked(old.type, dict(statement.options))})
    completed(new)
    comment = entry.definition.comment if statement.comment is None else statement.comment
    formats.change(session, entry, format=new, comment=comment)
    return status("Statement executed successfully.")


def drop(session: Session, name: Name) -> bool:
    formats = session.account.state(StagingState).formats
    entry = formats.find(session, name)
    if entry is not None:
        formats.drop(session, entry)
    return entry is not None


def describe(session: Session, statement: ast.DescribeFileFormat) -> Result:
    written = session.account.state(StagingState).formats.get(session, statement.name).definition.format
    return rows_result(DESCRIBED, property_rows(written.type, completed(written).options), DESCRIBE)


def property_rows(type_: str, options: Mapping[str, Any]) -> list[list[Any]]:
    """``property, property_type, property_value, property_default`` for the type and each of its options."""
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


def shown(session: Session, _statement: Show) -> list[list[Any]]:
    """The rows of SHOW FILE FORMATS in the session's database."""
    return [
        [
            *[entry.created, entry.path[2], entry.path[0], entry.path[1], entry.definition.format.type, entry.owner],
            *[entry.definition.comment or "", _options(entry.definition.format), "ROLE"],
        ]
        for entry in session.account.state(StagingState).formats.seen_by(session)
        if session.database in (None, entry.path[0])
    ]


def _options(written: ast.FileFormat) -> str:
    options = completed(written).options
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return json.dumps({"TYPE": written.type, **listed}, separators=(",", ":"))
