"""IMPORTS: files of stages, copied to the directory that a handler's process reads them from.

In: stage paths. Out: a temporary directory. The surprise: CREATE only checks that the files are there; they are read when a
process starts, so a file that was replaced is the new one for the next process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from snowflake.connector.errors import ProgrammingError

from app.local.snowflake.failures import compilation
from app.local.snowflake.staging.storage import Location
from app.local.snowflake.syntax import StagePath

if TYPE_CHECKING:
    from app.local.snowflake.session import Session


def check(session: Session, imports: tuple[StagePath, ...]) -> None:
    """Refuse an import that its stage does not hold."""
    for path in imports:
        _location(session, path)


def folder(session: Session, imports: tuple[StagePath, ...]) -> tempfile.TemporaryDirectory[str]:
    """A new directory with the files; the caller removes it."""
    made: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory(prefix="snowflake-imports-")
    try:
        for path in imports:
            location = _location(session, path)
            session.engine.storage.download(location.bucket, location.prefix, Path(made.name) / Path(path.path).name)
    except BaseException:
        made.cleanup()
        raise
    return made


def _location(session: Session, path: StagePath) -> Location:
    stage = session.engine.catalog.stage(session.path(path.stage))
    location = Location.under(stage.definition.url, path.path)
    if not any(found.key == location.prefix for found in session.engine.storage.objects(location)):
        raise _missing(path)
    return location


def _missing(path: StagePath) -> ProgrammingError:
    return compilation(
        1044, "42P13", f"Remote file '@{path.stage}/{path.path}' was not found. There are several potential causes."
    )
