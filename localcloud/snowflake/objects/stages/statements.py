"""CREATE, ALTER, DESCRIBE and SHOW STAGE, and LIST and REMOVE."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.file_formats import property_rows
from localcloud.snowflake.objects.stages.format_options import resolved
from localcloud.snowflake.objects.stages.locations import check_url, resolve_location
from localcloud.snowflake.objects.stages.state import Stage, StageState
from localcloud.snowflake.result import Result, rows_result, status
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Alter, Path

SHOWN = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("url", "text"), ("has_credentials", "text"), ("has_encryption_key", "text"), ("owner", "text")],
    *[("comment", "text"), ("region", "text"), ("type", "text"), ("cloud", "text"), ("notification_channel", "text")],
    *[("storage_integration", "text"), ("endpoint", "text"), ("owner_role_type", "text")],
    ("directory_enabled", "text"),
]
DESCRIBED = [
    *[("parent_property", "text"), ("property", "text"), ("property_type", "text")],
    *[("property_value", "text"), ("property_default", "text")],
]
LISTED = [("name", "text"), ("size", "fixed"), ("md5", "text"), ("last_modified", "text")]
REMOVED = [("name", "text"), ("result", "text")]


def make(session: Session, statement: ast.CreateStage, path: Path, _runner: Runner) -> Stage:
    if statement.url:
        check_url(session, statement.url, statement.storage_integration)
    return Stage(
        path=path,
        owner=session.role,
        created=session.account.clock.now(),
        comment=statement.comment or "",
        session_id=session.id if statement.temporary else None,
        definition=statement,
        folder=None if statement.url else session.account.state(StageState).new_folder(),
    )


def alter(session: Session, stage: Stage, statement: Alter, _runner: Runner) -> Result:
    definition = stage.definition
    changes = {name.lower(): value for name, value in statement.options.items() if name != "COMMENT"}
    url = changes.get("url", definition.url)
    if not definition.url and {"url", "storage_integration"} & set(changes):
        raise compilation(1420, "22023", "invalid parameter 'URL' of an internal stage")
    if url:
        check_url(session, url, changes.get("storage_integration", definition.storage_integration))
    stage.definition = replace(definition, **changes)
    return status(f"Stage area {stage.path[2]} successfully altered.")


def release(account: Account, stage: Stage) -> None:
    account.state(StageState).discard(stage.folder)


def row(_session: Session, stage: Stage) -> list[Any]:
    definition, external = stage.definition, bool(stage.definition.url)
    kind = ("EXTERNAL" if external else "INTERNAL") + (" TEMPORARY" if definition.temporary else "")
    if not external and definition.encryption == "SNOWFLAKE_SSE":
        kind += " NO CSE"
    return [
        *[stage.created, stage.path[2], stage.path[0], stage.path[1], definition.url, "N", "N", stage.owner],
        *[stage.comment, None, kind, "AWS" if external else None, None],
        *[definition.storage_integration if external else None, None, "ROLE", "Y" if definition.directory else "N"],
    ]


def properties(session: Session, stage: Stage) -> list[list[Any]]:
    """The rows of DESCRIBE STAGE, the properties of the file format first, as in Snowflake."""
    definition = stage.definition
    rows: list[list[Any]] = []
    if isinstance(definition.file_format, ast.NamedFormat):
        name = str(definition.file_format.name)
        rows.append(["STAGE_FILE_FORMAT", "FORMAT_NAME", "String", name, ""])
    else:
        chosen = resolved(session, definition.file_format)
        rows += [["STAGE_FILE_FORMAT", *row] for row in property_rows(chosen.type, chosen.options)]
    rows.append(["STAGE_LOCATION", "URL", "String", f'["{definition.url}"]' if definition.url else "", ""])
    if definition.url:
        rows.append(["STAGE_INTEGRATION", "STORAGE_INTEGRATION", "String", definition.storage_integration, ""])
    rows.append(["DIRECTORY", "ENABLE", "Boolean", str(definition.directory).lower(), "false"])
    return rows


def list_files(session: Session, statement: ast.ListStage) -> Result:
    file_location = resolve_location(session, statement.location)
    rows = [
        [file_location.listed(item), item.size, item.etag, item.modified.strftime("%a, %d %b %Y %H:%M:%S GMT")]
        for item in file_location.files(statement.pattern)
    ]
    return rows_result(LISTED, rows, 0)


def remove_files(session: Session, statement: ast.RemoveStage) -> Result:
    file_location = resolve_location(session, statement.location)
    found = file_location.files(statement.pattern)
    file_location.area.delete([item.key for item in found])
    return rows_result(REMOVED, [[file_location.relative(item), "removed"] for item in found], 0)
