"""The stages and file formats of one server, and the folder in which the internal stages' files lie.

In: a session and a name. Out: the object, a session's own temporary one before a permanent one of the same name. Everything
lives as long as the server, what is temporary as long as its session. The surprise: user and table stages are nobody's
objects, they are there as soon as somebody names them.
"""

from __future__ import annotations

import shutil
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any, Generic, TypeVar

from localcloud.snowflake.failures import existing_object, missing_object
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.storage import Folder
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Name, Path

_D = TypeVar("_D", ast.CreateStage, ast.CreateFileFormat)


@dataclass(frozen=True)
class Entry(Generic[_D]):
    """An object and what made it; ``folder``: where an internal stage's files lie."""

    path: Path
    definition: _D
    created: datetime
    owner: str
    folder: Folder | None = None


class Objects(Generic[_D]):
    """The objects of one kind, by name; ``kind`` is the word for it in messages."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._permanent: dict[Path, Entry[_D]] = {}
        self._temporary: dict[tuple[int, Path], Entry[_D]] = {}
        self._lock = threading.RLock()

    def find(self, session: Session, name: Name) -> Entry[_D] | None:
        path = session.path(name)
        with self._lock:
            return self._temporary.get((session.id, path)) or self._permanent.get(path)

    def get(self, session: Session, name: Name) -> Entry[_D]:
        found = self.find(session, name)
        if found is None:
            raise missing_object(".".join(session.path(name)), self._kind)
        return found

    def create(self, session: Session, definition: _D, folder: Folder | None = None) -> Entry[_D] | None:
        """The object that was replaced, itself where there was none; ``None`` where the statement leaves an old one alone."""
        path = session.path(definition.name)
        session.account.names.require_schema(path)
        made = Entry(path, definition, datetime.now(UTC), session.role, folder)
        with self._lock:
            old = self._get(session, path, temporary=definition.temporary)
            if old is not None and not definition.or_replace:
                if definition.if_not_exists:
                    return None
                raise existing_object(path[2])
            self._put(session, made)
            return old or made

    def _get(self, session: Session, path: Path, *, temporary: bool) -> Entry[_D] | None:
        return self._temporary.get((session.id, path)) if temporary else self._permanent.get(path)

    def _put(self, session: Session, entry: Entry[_D]) -> None:
        if entry.definition.temporary:
            self._temporary[session.id, entry.path] = entry
        else:
            self._permanent[entry.path] = entry

    def change(self, session: Session, entry: Entry[_D], **fields: Any) -> None:
        with self._lock:
            self._put(session, replace(entry, definition=replace(entry.definition, **fields)))

    def rename(self, session: Session, entry: Entry[_D], name: Name) -> None:
        path = session.path(name)
        session.account.names.require_schema(path)
        with self._lock:
            if self._get(session, path, temporary=entry.definition.temporary) is not None:
                raise existing_object(path[2])
            self.drop(session, entry)
            self._put(session, replace(entry, path=path))

    def drop(self, session: Session, entry: Entry[_D]) -> None:
        with self._lock:
            if entry.definition.temporary:
                self._temporary.pop((session.id, entry.path), None)
            else:
                self._permanent.pop(entry.path, None)

    def forget(self, session_id: int) -> list[Entry[_D]]:
        """Take away a session's temporary objects, and give them back."""
        with self._lock:
            gone = [key for key in self._temporary if key[0] == session_id]
            return [self._temporary.pop(key) for key in gone]

    def forget_within(self, database: str, schema: str | None) -> list[Entry[_D]]:
        """Take away what lies in a schema, or in all of a database, and give it back."""
        with self._lock:
            gone = [path for path in self._permanent if path[0] == database and schema in (None, path[1])]
            return [self._permanent.pop(path) for path in gone]

    def seen_by(self, session: Session) -> list[Entry[_D]]:
        """All objects, by name."""
        with self._lock:
            own = {path: entry for (owner, path), entry in self._temporary.items() if owner == session.id}
            found = {**self._permanent, **own}
        return [found[path] for path in sorted(found)]


class StagingState(State):
    def __init__(self, folder: FilePath) -> None:
        self.folder = folder
        self.stages: Objects[ast.CreateStage] = Objects("Stage")
        self.formats: Objects[ast.CreateFileFormat] = Objects("File format")
        self._implied: dict[tuple[str, ...], Folder] = {}
        self._lock = threading.Lock()

    def new_folder(self) -> Folder:
        path = self.folder / uuid.uuid4().hex
        path.mkdir()
        return Folder(path)

    def implied(self, *owner: str) -> Folder:
        """The folder of a user's or a table's own stage."""
        with self._lock:
            if owner not in self._implied:
                self._implied[owner] = self.new_folder()
            return self._implied[owner]

    def discard(self, folder: Folder | None) -> None:
        if folder is not None:
            shutil.rmtree(folder.path, ignore_errors=True)

    def session_closed(self, session_id: int) -> None:
        """Drop its temporary stages with their files, and its temporary file formats."""
        self.formats.forget(session_id)
        for entry in self.stages.forget(session_id):
            self.discard(entry.folder)

    def forget_within(self, database: str, schema: str | None) -> None:
        """A schema or a whole database is gone, and its stages and file formats with it."""
        self.formats.forget_within(database, schema)
        for entry in self.stages.forget_within(database, schema):
            self.discard(entry.folder)
