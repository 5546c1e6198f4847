"""IMPORTS: copies staged files to the import directory of a handler's process.

CREATE only checks that the files exist. They are read when a process starts, so a replaced file takes effect in the
next process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from localcloud.snowflake.failures import failure
from localcloud.snowflake.objects.stages.locations import Place, place_of
from localcloud.snowflake.objects.stages.storage import StoredObject
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import StagePath


def check(session: Session, imports: tuple[StagePath, ...]) -> None:
    """Raise if a stage does not contain an imported file."""
    for path in imports:
        _file(place_of(session, path))


def folder(session: Session, imports: tuple[StagePath, ...]) -> tempfile.TemporaryDirectory[str]:
    """A new directory with the imported files. The caller removes it."""
    made: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory(prefix="snowflake-imports-")
    target = Path(made.name)
    try:
        for path in imports:
            place = place_of(session, path)
            with tempfile.TemporaryDirectory(dir=session.account.folder) as scratch:
                local = place.area.local(_file(place), Path(scratch))
                (target / Path(path.path).name).write_bytes(local.read_bytes())
    except BaseException:
        made.cleanup()
        raise
    return made


def _file(place: Place) -> StoredObject:
    found = next((item for item in place.area.objects(place.prefix) if item.key == place.prefix), None)
    if found is None:
        raise failure(
            91_016,
            "22000",
            f"Remote file '{place.area.uri(place.prefix)}' was not found. There are several potential causes. "
            "The file might not exist. The required credentials may be missing or invalid.",
        )
    return found
