"""Stages as objects and the files on them: CREATE, ALTER, DESCRIBE, SHOW, LIST and REMOVE.

In: statements of the grammar. Out: Snowflake's answers, from what lies on the stage at that moment.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.file_formats import property_rows
from localcloud.snowflake.objects.stages.format_options import resolved
from localcloud.snowflake.objects.stages.locations import check_url, place_of
from localcloud.snowflake.objects.stages.state import Entry, StagingState
from localcloud.snowflake.result import DESCRIBE, Result, rows_result, status
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name, Show

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


def create(session: Session, statement: ast.CreateStage) -> Result:
    staging = session.account.state(StagingState)
    if statement.url:
        check_url(session, statement.url, statement.storage_integration)
    folder = None if statement.url else staging.new_folder()
    replaced = staging.stages.create(session, statement, folder)
    if replaced is None:
        staging.discard(folder)
        return status(f"{statement.name.name} already exists, statement succeeded.")
    if replaced.folder is not folder:
        staging.discard(replaced.folder)
    return status(f"Stage area {statement.name.name} successfully created.")


def alter(session: Session, statement: ast.AlterStage) -> Result:
    stages = session.account.state(StagingState).stages
    if statement.if_exists and stages.find(session, statement.name) is None:
        return status("Statement executed successfully.")
    entry = stages.get(session, statement.name)
    if statement.renamed is not None:
        stages.rename(session, entry, statement.renamed)
        return status("Statement executed successfully.")
    changes = dict(statement.changes)
    url = changes.get("url", entry.definition.url)
    if not entry.definition.url and {"url", "storage_integration"} & set(changes):
        raise compilation(1420, "22023", "invalid parameter 'URL' of an internal stage")
    if url:
        check_url(session, url, changes.get("storage_integration", entry.definition.storage_integration))
    stages.change(session, entry, **changes)
    return status(f"Stage area {entry.path[2]} successfully altered.")


def drop(session: Session, name: Name) -> bool:
    staging = session.account.state(StagingState)
    entry = staging.stages.find(session, name)
    if entry is None:
        return False
    staging.stages.drop(session, entry)
    staging.discard(entry.folder)
    return True


def shown(session: Session, _statement: Show) -> list[list[Any]]:
    """The rows of SHOW STAGES in the session's database."""
    found = session.account.state(StagingState).stages.seen_by(session)
    return [_shown(entry) for entry in found if session.database in (None, entry.path[0])]


def _shown(entry: Entry[ast.CreateStage]) -> list[Any]:
    stage, external = entry.definition, bool(entry.definition.url)
    kind = ("EXTERNAL" if external else "INTERNAL") + (" TEMPORARY" if stage.temporary else "")
    if not external and stage.encryption == "SNOWFLAKE_SSE":
        kind += " NO CSE"
    return [
        *[entry.created, entry.path[2], entry.path[0], entry.path[1], stage.url, "N", "N", entry.owner],
        *[stage.comment or "", None, kind, "AWS" if external else None, None],
        *[stage.storage_integration if external else None, None, "ROLE", "Y" if stage.directory else "N"],
    ]


def describe(session: Session, statement: ast.DescribeStage) -> Result:
    """Each property of the stage; the format's come first, as in Snowflake."""
    entry = session.account.state(StagingState).stages.get(session, statement.name)
    stage = entry.definition
    rows: list[list[Any]] = []
    if isinstance(stage.file_format, ast.NamedFormat):
        name = str(stage.file_format.name)
        rows.append(["STAGE_FILE_FORMAT", "FORMAT_NAME", "String", name, ""])
    else:
        chosen = resolved(session, stage.file_format)
        rows += [["STAGE_FILE_FORMAT", *row] for row in property_rows(chosen.type, chosen.options)]
    rows.append(["STAGE_LOCATION", "URL", "String", f'["{stage.url}"]' if stage.url else "", ""])
    if stage.url:
        rows.append(["STAGE_INTEGRATION", "STORAGE_INTEGRATION", "String", stage.storage_integration, ""])
    rows.append(["DIRECTORY", "ENABLE", "Boolean", str(stage.directory).lower(), "false"])
    return rows_result(DESCRIBED, rows, DESCRIBE)


def list_files(session: Session, statement: ast.ListStage) -> Result:
    place = place_of(session, statement.location)
    rows = [
        [place.listed(item), item.size, item.etag, item.modified.strftime("%a, %d %b %Y %H:%M:%S GMT")]
        for item in place.files(statement.pattern)
    ]
    return rows_result(LISTED, rows, 0)


def remove_files(session: Session, statement: ast.RemoveStage) -> Result:
    place = place_of(session, statement.location)
    found = place.files(statement.pattern)
    place.area.delete([item.key for item in found])
    return rows_result(REMOVED, [[place.relative(item), "removed"] for item in found], 0)
