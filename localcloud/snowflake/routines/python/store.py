"""The functions and procedures of one server, by name and argument types.

In: definitions from the grammar. Out: the same with what CREATE adds. The surprise: a temporary one belongs to its session and
hides a permanent one of the same name and types, and nobody else sees it.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from localcloud.snowflake.failures import existing_object
from localcloud.snowflake.routines.python.syntax import Routine
from localcloud.snowflake.sessions.session import Session

Path = tuple[str, str, str]
_R = TypeVar("_R", bound=Routine)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Made(Generic[_R]):
    """``owner``: the role that made it; ``session_id``: whose it is if temporary; ``number``: of this very definition."""

    path: Path
    definition: _R
    owner: str
    session_id: int | None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def internal(self) -> str:
        """The DuckDB function behind it: the same for every replacement, so that views keep finding it."""
        text = "\0".join((*self.path, *self.definition.types, str(self.session_id or "")))
        return f"_python_{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def seen_by(self, session: Session) -> bool:
        return self.session_id in (None, session.id)


_Key = tuple[Path, tuple[str, ...], int | None]


class Store(Generic[_R]):
    """One kind of routine; every public method takes the lock."""

    def __init__(self) -> None:
        self._made: dict[_Key, Made[_R]] = {}
        self._lock = threading.Lock()

    def put(self, session: Session, path: Path, definition: _R) -> Made[_R] | None:
        """The new routine, or ``None`` where IF NOT EXISTS leaves the old one."""
        made = Made(path, definition, session.role, session.id if definition.temporary else None)
        with self._lock:
            if _key(made) in self._made and not definition.or_replace:
                if definition.if_not_exists:
                    return None
                raise existing_object(path[2])
            self._made[_key(made)] = made
        return made

    def change(self, made: Made[_R], definition: _R, path: Path) -> Made[_R]:
        """The same routine with other properties or another name."""
        changed = replace(made, definition=definition, path=path, number=next(_numbers))
        with self._lock:
            self._made.pop(_key(made), None)
            self._made[_key(changed)] = changed
        return changed

    def drop(self, made: Made[_R]) -> None:
        with self._lock:
            self._made.pop(_key(made), None)

    def all(self, session: Session | None = None) -> list[Made[_R]]:
        """Those that the session sees, by name; temporary ones come first and hide the others."""
        with self._lock:
            found = [made for made in self._made.values() if session is None or made.seen_by(session)]
        found.sort(key=lambda made: (made.path, made.definition.types, made.session_id is None))
        if session is None:
            return found
        return [
            next(group) for _, group in itertools.groupby(found, key=lambda made: (made.path, made.definition.types))
        ]

    def overloads(self, session: Session, path: Path) -> list[Made[_R]]:
        return [made for made in self.all(session) if made.path == path]

    def find(self, session: Session, path: Path, types: tuple[str, ...]) -> Made[_R] | None:
        return next((made for made in self.overloads(session, path) if made.definition.types == types), None)

    def of_session(self, session_id: int) -> list[Made[_R]]:
        with self._lock:
            return [made for made in self._made.values() if made.session_id == session_id]


def _key(made: Made[_R]) -> _Key:
    return made.path, made.definition.types, made.session_id
