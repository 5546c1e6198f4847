"""Values that features keep for an account, a session or a query, one of each type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")


class State:
    """What one feature keeps for an account. The account calls these methods; by default they do nothing."""

    def session_closed(self, session_id: int) -> None:
        """A session has ended: release what belongs to it."""

    def query_cancelled(self, session_id: int) -> None:
        """The session's running statement is cancelled: end work outside of DuckDB."""

    def saved(self, folder: Path) -> Any | None:  # noqa: ARG002  # subclasses need it
        """What the account's definitions do not say, as a JSON value; files go to a subfolder of ``folder``."""
        return None

    def restore(self, saved: Any, folder: Path) -> None:
        """Take back what ``saved`` gave, once the account's objects are defined again."""

    def close(self) -> None:
        """The server stops. States are closed in reverse order of registration."""


class States:
    """Values by their type."""

    def __init__(self) -> None:
        self._values: dict[type[Any], Any] = {}

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._values.values()))

    def put(self, value: _T) -> _T:
        """Store ``value``; replaces an earlier value of its type."""
        self._values[type(value)] = value
        return value

    def find(self, kind: type[_T]) -> _T | None:
        found: _T | None = self._values.get(kind)
        return found

    def get(self, kind: type[_T]) -> _T:
        """The value of this type, created without arguments at the first call."""
        found = self.find(kind)
        return self.put(kind()) if found is None else found
