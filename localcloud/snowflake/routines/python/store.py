"""Store of functions and procedures by name and argument types.

A temporary routine is visible to its own session only, where it hides a permanent one of the same name and types.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from localcloud.snowflake.failures import existing_object
from localcloud.snowflake.routines.python.syntax import Routine

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.session import Session

Path = tuple[str, str, str]
_R = TypeVar("_R", bound=Routine)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Made(Generic[_R]):
    """A stored routine. ``owner`` is the creating role, ``session_id`` the session of a temporary routine, ``number``
    unique to each version."""

    path: Path
    definition: _R
    owner: str
    session_id: int | None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def internal(self) -> str:
        """Name of the internal DuckDB function. It survives CREATE OR REPLACE, so that views keep working."""
        text = "\0".join((*self.path, *self.definition.types, str(self.session_id or "")))
        return f"_python_{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def visible_to(self, session: Session) -> bool:
        return self.session_id in (None, session.id)


_Key = tuple[Path, tuple[str, ...], int | None]


class Store(Generic[_R]):
    """Routines of one kind. Public methods are thread-safe."""

    def __init__(self) -> None:
        self._made: dict[_Key, Made[_R]] = {}
        self._lock = threading.Lock()

    def put(self, session: Session, path: Path, definition: _R) -> Made[_R] | None:
        """Store a routine; return ``None`` if it exists and the statement has IF NOT EXISTS."""
        made = Made(path, definition, session.role, session.id if definition.temporary else None)
        with self._lock:
            if _key(made) in self._made and not definition.or_replace:
                if definition.if_not_exists:
                    return None
                raise existing_object(path[2])
            self._made[_key(made)] = made
        return made

    def change(self, made: Made[_R], definition: _R, path: Path) -> Made[_R]:
        """Replace a routine with one of another definition or path."""
        changed = replace(made, definition=definition, path=path, number=next(_numbers))
        with self._lock:
            self._made.pop(_key(made), None)
            self._made[_key(changed)] = changed
        return changed

    def drop(self, made: Made[_R]) -> None:
        with self._lock:
            self._made.pop(_key(made), None)

    def all(self, session: Session | None = None) -> list[Made[_R]]:
        """The routines visible to the session by name, temporary ones hiding permanent ones; without a session, all
        routines."""
        with self._lock:
            found = [made for made in self._made.values() if session is None or made.visible_to(session)]
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
