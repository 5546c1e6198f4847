"""The store of the schema objects that DuckDB's catalog does not hold."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import existing_object, missing_object
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path

Types = tuple[str, ...] | None


@dataclass(eq=False, kw_only=True)
class SchemaObject:
    """``owner``: the role that created the object. ``session_id``: the session of a temporary object."""

    takes_future_grants: ClassVar[bool] = True

    path: Path
    owner: str
    created: datetime
    comment: str = ""
    session_id: int | None = None

    @property
    def types(self) -> Types:
        """The argument types that distinguish overloads; ``None`` for kinds without arguments."""
        return None

    @property
    def full_name(self) -> str:
        return ".".join(self.path)


O = TypeVar("O", bound=SchemaObject)  # noqa: E741
_Key = tuple[Path, Types, int | None]


def _key(found: SchemaObject) -> _Key:
    return found.path, found.types, found.session_id


def _nothing(_account: Account, _found: Any) -> None:
    return None


@dataclass(frozen=True, eq=False, kw_only=True)
class Kind(Generic[O]):
    """A kind of object. ``word``: as statements write it, such as ``FILE FORMAT``.

    ``published`` registers an object in DuckDB under its name, and ``withdrawn`` unregisters it. ``released`` frees the resources
    of a replaced or dropped object. ``dropped`` updates other objects after a drop.
    """

    word: str
    published: Callable[[Account, O], None] = _nothing
    withdrawn: Callable[[Account, O], None] = _nothing
    released: Callable[[Account, O], None] = _nothing
    dropped: Callable[[Account, O], None] = _nothing

    @property
    def title(self) -> str:
        """The kind in messages: ``File format``."""
        return self.word.capitalize()


class Store(Generic[O]):
    """The objects of one kind, in the order of their creation.

    A session sees its own temporary objects, which shadow permanent ones of the same name, and all permanent objects.
    ``title`` names the kind in messages. ``lock`` is reentrant: callers hold it over several steps.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.lock = threading.RLock()
        self._objects: dict[_Key, O] = {}

    def at(self, path: Path, types: Types = None, session_id: int | None = None) -> O | None:
        """Exactly this object: the permanent one, or the temporary one of ``session_id``."""
        with self.lock:
            return self._objects.get((path, types, session_id))

    def find(self, session_id: int, path: Path, types: Types = None) -> O | None:
        """The object that the name means in a session."""
        with self.lock:
            return self.at(path, types, session_id) or self.at(path, types)

    def require(self, session_id: int, path: Path, types: Types = None) -> O:
        """Like ``find``, but raises code 2003 if there is none."""
        found = self.find(session_id, path, types)
        if found is None:
            raise self.missing(path, types)
        return found

    def missing(self, path: Path, types: Types = None) -> ProgrammingError:
        arguments = "" if types is None else f"({', '.join(types)})"
        return missing_object(".".join(path) + arguments, self.title)

    def put(self, made: O, *, replace: bool = False) -> O | None:
        """Add an object; returns the one that it replaces. Raises code 2002 if the name is taken."""
        with self.lock:
            replaced = self._objects.get(_key(made))
            if replaced is not None and not replace:
                raise existing_object(made.path[2])
            self._objects.pop(_key(made), None)
            self._objects[_key(made)] = made
            return replaced

    def remove(self, found: O) -> bool:
        """Remove the object; returns false if it is no longer in the store."""
        with self.lock:
            if self._objects.get(_key(found)) is not found:
                return False
            del self._objects[_key(found)]
            return True

    def move(self, found: O, path: Path) -> None:
        """Rename the object; raises code 2002 if the new name is taken."""
        with self.lock:
            if (path, found.types, found.session_id) in self._objects:
                raise existing_object(path[2])
            del self._objects[_key(found)]
            found.path = path
            self._objects[_key(found)] = found

    def take(self, matches: Callable[[O], bool]) -> list[O]:
        """Remove the objects that match, and return them."""
        with self.lock:
            taken = [found for found in self._objects.values() if matches(found)]
            for found in taken:
                del self._objects[_key(found)]
            return taken

    @property
    def empty(self) -> bool:
        return not self._objects

    def all(self) -> list[O]:
        """Every object, temporary ones of all sessions included."""
        with self.lock:
            return list(self._objects.values())

    def visible(self, session_id: int) -> list[O]:
        """What a session sees, by name and argument types."""
        seen = [found for found in self.all() if found.session_id in (None, session_id)]
        seen.sort(key=lambda found: (found.path, found.types or (), found.session_id is None))
        return [next(same) for _, same in itertools.groupby(seen, key=lambda found: (found.path, found.types))]

    def overloads(self, session_id: int, path: Path) -> list[O]:
        """The visible objects of one name."""
        return [found for found in self.visible(session_id) if found.path == path]


def within(path: Path, container: tuple[str, ...]) -> bool:
    """Whether ``path`` is in a database ``(database,)`` or a schema ``(database, schema)``."""
    return path[: len(container)] == container


class SchemaObjects(State):
    """The stores of one account, by kind."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._stores: dict[Kind[Any], Store[Any]] = {}
        self._lock = threading.Lock()

    def of(self, kind: Kind[O]) -> Store[O]:
        with self._lock:
            return self._stores.setdefault(kind, Store(kind.title))

    def stores(self) -> list[tuple[Kind[Any], Store[Any]]]:
        """The stores in use."""
        with self._lock:
            return list(self._stores.items())

    def drop(self, kind: Kind[O], matches: Callable[[O], bool]) -> bool:
        """Drop the objects of a kind that match; returns whether there were any."""
        dropped = self.of(kind).take(matches)
        for found in dropped:
            kind.withdrawn(self._account, found)
            kind.released(self._account, found)
            kind.dropped(self._account, found)
        return bool(dropped)

    def session_closed(self, session_id: int) -> None:
        """Drop the session's temporary objects."""
        for kind, _ in self.stores():
            self.drop(kind, lambda found: found.session_id == session_id)
