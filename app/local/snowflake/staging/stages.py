"""External stages: CREATE STAGE, LIST and REMOVE.

In: statements of the grammar. Out: Snowflake's answers, from what lies on S3 at that moment. The surprise: a path is a prefix
of keys, not a folder, so ``@stage/part`` also finds ``part-2``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from app.local.snowflake.catalog import Stage, check_location
from app.local.snowflake.failures import compilation
from app.local.snowflake.result import Result, rows_result, status
from app.local.snowflake.staging import syntax as ast
from app.local.snowflake.staging.storage import Location, StoredObject
from app.local.snowflake.syntax import Name, Show, StagePath

if TYPE_CHECKING:
    from app.local.snowflake.session import Session

SHOWN = [
    *[("created_on", "timestamp_ltz"), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("url", "text"), ("comment", "text"), ("type", "text"), ("cloud", "text"), ("storage_integration", "text")],
]
LISTED = [("name", "text"), ("size", "fixed"), ("md5", "text"), ("last_modified", "text")]
REMOVED = [("name", "text"), ("result", "text")]


def create(session: Session, statement: ast.CreateStage) -> Result:
    catalog = session.engine.catalog
    path = session.path(statement.name)
    session.engine.names.require_schema(path)
    if not statement.url.startswith("s3://"):
        raise compilation(1011, "42601", f"invalid URL prefix found in: '{statement.url}'")
    integration = catalog.integration(statement.storage_integration, "STORAGE")
    check_location(statement.url, integration)
    if not catalog.create_stage(path, statement):
        return status(f"{path[2]} already exists, statement succeeded.")
    return status(f"Stage area {path[2]} successfully created.")


def drop(session: Session, name: Name) -> bool:
    return session.engine.catalog.drop_stage(session.path(name))


def shown(session: Session, _statement: Show) -> list[list[Any]]:
    """The rows of SHOW STAGES in the session's database."""
    return [
        [
            found.created,
            found.path[2],
            found.path[0],
            found.path[1],
            found.definition.url,
            found.definition.comment or "",
            "EXTERNAL",
            "AWS",
            found.definition.storage_integration,
        ]
        for found in session.engine.catalog.stages()
        if session.database in (None, found.path[0])
    ]


def located(session: Session, location: StagePath) -> tuple[Stage, Location]:
    """The stage of a path, and the place on S3; the integration must still allow it."""
    catalog = session.engine.catalog
    stage = catalog.stage(session.path(location.stage))
    integration = catalog.integration(stage.definition.storage_integration, "STORAGE")
    check_location(stage.definition.url, integration)
    return stage, Location.under(stage.definition.url, location.path)


def matching(objects: list[StoredObject], pattern: str | None) -> list[StoredObject]:
    """The objects whose whole path fits the regular expression, as Snowflake applies PATTERN."""
    if pattern is None:
        return objects
    regex = re.compile(pattern)
    return [found for found in objects if regex.fullmatch(found.key) or regex.fullmatch(found.uri)]


def list_files(session: Session, statement: ast.ListStage) -> Result:
    _, place = located(session, statement.location)
    found = matching(session.engine.storage.objects(place), statement.pattern)
    rows = [[item.uri, item.size, item.etag, item.modified.strftime("%a, %d %b %Y %H:%M:%S GMT")] for item in found]
    return rows_result(LISTED, rows, 0)


def remove_files(session: Session, statement: ast.RemoveStage) -> Result:
    stage, place = located(session, statement.location)
    found = matching(session.engine.storage.objects(place), statement.pattern)
    session.engine.storage.delete(place.bucket, [item.key for item in found])
    return rows_result(REMOVED, [[relative(stage, item), "removed"] for item in found], 0)


def relative(stage: Stage, item: StoredObject) -> str:
    """An object's name as Snowflake shows it: the stage's name in lower case and the path under it."""
    root = Location.under(stage.definition.url, "").prefix
    return f"{stage.path[2].lower()}/{item.key.removeprefix(root).lstrip('/')}"
