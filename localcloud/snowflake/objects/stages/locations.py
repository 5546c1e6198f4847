"""Resolution of a stage path or an external URL to a location of files.

A path is a prefix of object keys, not a folder, so ``@stage/part`` also matches ``part-2``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from localcloud.snowflake.failures import compilation, failure, missing_object, unsupported
from localcloud.snowflake.objects.integrations.state import Integrations, check_location
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.state import StageState
from localcloud.snowflake.objects.stages.storage import Area, Folder, Storage, StoredObject
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import StagePath


@dataclass(frozen=True)
class FileLocation:
    """A location of files.

    ``root`` is the prefix of all keys of the stage, ``path`` the path written after it, ``shown`` the stage in file
    names, ``file_format`` the stage's own format, ``name`` the stage's name in COPY_HISTORY.
    """

    area: Area
    root: str
    path: str
    shown: str
    name: str
    file_format: ast.FormatChoice = None

    @property
    def prefix(self) -> str:
        return self.root + self.path

    @property
    def is_internal(self) -> bool:
        return isinstance(self.area, Folder)

    def files(self, pattern: str | None = None) -> list[StoredObject]:
        """Files at the location whose whole path matches the regular expression, as Snowflake applies PATTERN."""
        found = self.area.objects(self.prefix)
        if pattern is None:
            return found
        regex = re.compile(pattern)
        return [item for item in found if regex.fullmatch(item.key) or regex.fullmatch(item.uri)]

    def named(self, names: Sequence[str]) -> list[StoredObject]:
        """The files with these names. Raises 091016 for a missing file, as Snowflake does."""
        return [self._one(name) for name in names]

    def _one(self, name: str) -> StoredObject:
        key = self.prefix + ("/" if self.is_internal and self.path and not self.path.endswith("/") else "") + name
        for item in self.area.objects(key):
            if item.key == key:
                return item
        raise failure(
            91_016,
            "22000",
            f"Remote file '{self.area.uri(key)}' was not found. There are several potential causes. "
            "The file might not exist. The required credentials may be missing or invalid. If you are running a copy "
            "command, please make sure files are not deleted when they are being loaded or files are not being loaded into "
            "two different tables concurrently with auto purge option.",
        )

    def relative(self, item: StoredObject) -> str:
        """A file's name as Snowflake shows it: the lowercase stage name and the path below it."""
        return self.shown + item.key.removeprefix(self.root).lstrip("/")

    def listed(self, item: StoredObject) -> str:
        return self.relative(item) if self.is_internal else item.uri

    def below(self, item: StoredObject) -> str:
        """A file's path below the stage, as METADATA$FILENAME and INFER_SCHEMA show it."""
        return self.relative(item).removeprefix(self.shown) if self.is_internal else item.key


def resolve_location(session: Session, location: ast.Location) -> FileLocation:
    """Resolve a location. Raises if the stage's integration no longer allows its URL."""
    if isinstance(location, ast.ExternalPath):
        check_url(session, location.url, location.storage_integration)
        parts = urlsplit(location.url)
        bucket = session.account.state(Storage).bucket(parts.netloc)
        return FileLocation(bucket, "", parts.path.lstrip("/"), f"s3://{parts.netloc}/", location.url)
    if location.kind == "USER":
        return _internal(session.account.state(StageState).implied("~", session.user), location, "", "@~", None)
    if location.kind == "TABLE":
        return _table_stage(session, location)
    stage = session.account.state(StageState).stages.require(session.id, session.path(location.stage))
    definition = stage.definition
    shown = stage.path[2].lower() + "/"
    if stage.folder is not None:
        return _internal(stage.folder, location, shown, f"@{stage.full_name}", definition.file_format)
    return _external(session, definition, location.path, shown)


def _internal(folder: Folder, location: StagePath, shown: str, name: str, choice: ast.FormatChoice) -> FileLocation:
    parts = location.path.split("/")
    if any(part in ("", ".", "..") for part in parts[:-1]) or parts[-1] in (".", ".."):
        raise unsupported(f"the path '{location.path}' of an internal stage, which has an empty, '.' or '..' part")
    return FileLocation(folder, "", location.path, shown, name, choice)


def _table_stage(session: Session, location: StagePath) -> FileLocation:
    path = session.path(location.stage)
    local = session.temporary.get(path)
    database, schema, name = ("temp", "main", local) if local else path
    # Identify the stage by the table's oid, so that a recreated table has an empty stage and a renamed one keeps its
    # files.
    session.duck.execute(
        "SELECT table_oid FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        [database, schema, name],
    )
    found = session.duck.fetchall()
    if not found:
        raise missing_object(".".join(path), "Table")
    owner = str(session.id) if local else database
    folder = session.account.state(StageState).implied("%", owner, str(found[0][0]))
    return _internal(folder, location, "", f"@{path[0]}.{path[1]}.%{path[2]}", None)


def _external(session: Session, stage: ast.CreateStage, path: str, shown: str) -> FileLocation:
    check_url(session, stage.url, stage.storage_integration)
    parts = urlsplit(stage.url)
    root = parts.path.lstrip("/")
    if path and root and not root.endswith("/"):
        root += "/"
    return FileLocation(
        session.account.state(Storage).bucket(parts.netloc), root, path, shown, stage.url, stage.file_format
    )


def check_url(session: Session, url: str, integration: str) -> None:
    """Raise if the URL is not an S3 URL, or if the integration does not allow it."""
    if not url.startswith("s3://"):
        raise compilation(1011, "42601", f"invalid URL prefix found in: '{url}'")
    check_location(url, session.account.state(Integrations).get(integration, "STORAGE"))
