"""IMPORTS: copies staged files to the import directory of a handler's process.

CREATE only checks that the files exist. They are read when a process starts, so a replaced file takes effect in the
next process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from localcloud.snowflake.failures import failure
from localcloud.snowflake.objects.stages.locations import FileLocation, resolve_location
from localcloud.snowflake.objects.stages.storage import StoredObject
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import StagePath


def check(session: Session, imports: tuple[StagePath, ...]) -> None:
    """Raise if a stage does not contain an imported file."""
    for path in imports:
        _file(resolve_location(session, path))


def folder(session: Session, imports: tuple[StagePath, ...]) -> tempfile.TemporaryDirectory[str]:
    """A new directory with the imported files. The caller removes it."""
    made: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory(prefix="snowflake-imports-")
    target = Path(made.name)
    try:
        for path in imports:
            file_location = resolve_location(session, path)
            with tempfile.TemporaryDirectory(dir=session.account.folder) as scratch:
                local = file_location.area.local(_file(file_location), Path(scratch))
                (target / Path(path.path).name).write_bytes(local.read_bytes())
    except BaseException:
        made.cleanup()
        raise
    return made


def _file(file_location: FileLocation) -> StoredObject:
    found = next(
        (item for item in file_location.area.objects(file_location.prefix) if item.key == file_location.prefix), None
    )
    if found is None:
        raise failure(
            91_016,
            "22000",
            f"Remote file '{file_location.area.uri(file_location.prefix)}' was not found. There are several potential causes. "
            "The file might not exist. The required credentials may be missing or invalid.",
        )
    return found
