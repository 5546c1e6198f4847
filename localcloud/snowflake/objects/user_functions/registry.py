"""Every overload of every kind of user-defined function, as the statements that all kinds share see them.

In: from each subject that makes functions (external functions, Python functions) one source, a callable that lists its
overloads; it joins by ``engine.user_functions.add_source(source)``. Out: overloads by name and argument types. The surprise:
nothing is kept here; each subject keeps its own functions, and this module only asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from localcloud.snowflake.failures import compilation, existing_object
from localcloud.snowflake.objects.user_functions.syntax import AlterFunction
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Argument, Creation, Type

Path = tuple[str, str, str]


@dataclass(frozen=True)
class UserFunction:
    """One overload. ``language`` as SHOW FUNCTIONS words it; ``optional``: how many of the last arguments have defaults.
    ``session_id``: whose it is if it is temporary.

    ``describe`` gives the rows of DESCRIBE FUNCTION, ``alter`` refuses what its kind cannot change, and moves the function
    to ``new_path`` where the statement renames it.
    """

    path: Path
    arguments: tuple[Argument, ...]
    returns: Type
    created: datetime
    language: str
    drop: Callable[[], None]
    describe: Callable[[Session], list[list[str | None]]]
    alter: Callable[[Session, AlterFunction, Path | None], None]
    comment: str | None = None
    secure: bool = False
    external: bool = False
    table: bool = False
    optional: int = 0
    session_id: int | None = None

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(argument.type.name for argument in self.arguments)


Source = Callable[[], Iterable[UserFunction]]


class UserFunctions(State):
    """The functions of one server, over all sources."""

    def __init__(self) -> None:
        self._sources: list[Source] = []

    def add_source(self, source: Source) -> None:
        self._sources.append(source)

    def seen_by(self, session: Session) -> UserFunctions:
        """The same without the temporary functions of other sessions."""
        seen = UserFunctions()
        seen.add_source(lambda: [function for function in self.all() if function.session_id in (None, session.id)])
        return seen

    def all(self) -> list[UserFunction]:
        found = [function for source in self._sources for function in source()]
        return sorted(found, key=lambda function: (function.path, function.types, function.session_id is None))

    def overloads(self, path: Path) -> list[UserFunction]:
        return [function for function in self.all() if function.path == path]

    def find(self, path: Path, types: tuple[str, ...]) -> UserFunction | None:
        return next((function for function in self.overloads(path) if function.types == types), None)

    def require(self, path: Path, types: tuple[str, ...]) -> UserFunction:
        found = self.find(path, types)
        if found is None:
            shown = f"{'.'.join(path)}({', '.join(types)})"
            raise compilation(2003, "02000", f"Function '{shown}' does not exist or not authorized.")
        return found

    def make_room(self, path: Path, types: tuple[str, ...], definition: Creation) -> bool:
        """Drop what OR REPLACE replaces, of whatever kind; false where IF NOT EXISTS leaves it as it is."""
        found = self.find(path, types)
        if found is None:
            return True
        if definition.or_replace:
            found.drop()
            return True
        if definition.if_not_exists:
            return False
        raise existing_object(path[2])
