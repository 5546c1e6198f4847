"""What is attached to objects and columns by name, such as tags and policies, and what DDL on the objects does to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from localcloud.snowflake.objects.store import SchemaObject
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.state import State

O = TypeVar("O", bound=SchemaObject)  # noqa: E741
V = TypeVar("V")


@dataclass(frozen=True)
class Target:
    """What has a tag. ``parts``: the database, schema, object and column, as far as the domain has them."""

    domain: str
    parts: tuple[str, ...]

    def lineage(self) -> Iterator[Target]:
        """The target itself, then the containers from which it inherits."""
        yield self
        if self.domain == "COLUMN":
            yield from Target("TABLE", self.parts[:3]).lineage()
        elif self.domain == "SCHEMA":
            yield Target("DATABASE", self.parts[:1])
        elif len(self.parts) == 3:
            yield from Target("SCHEMA", self.parts[:2]).lineage()


class References(State, Generic[O, V]):
    """For each target the attached objects, each with a value. Thread-safe."""

    def __init__(self) -> None:
        self._values: dict[Target, dict[O, V]] = {}
        self._lock = threading.RLock()

    @property
    def empty(self) -> bool:
        return not self._values

    def set(self, target: Target, attached: O, value: V | None) -> None:
        """``None`` detaches the object from the target."""
        with self._lock:
            values = self._values.setdefault(target, {})
            values.pop(attached, None)
            if value is not None:
                values[attached] = value
            if not values:
                del self._values[target]

    def on(self, target: Target) -> dict[O, V]:
        """What is attached to the target itself."""
        with self._lock:
            return dict(self._values.get(target, {}))

    def all(self) -> list[tuple[Target, O, V]]:
        with self._lock:
            return [(target, *item) for target, values in self._values.items() for item in values.items()]

    def forget_attached(self, attached: O) -> None:
        self._change(lambda _target, values: {one: value for one, value in values.items() if one is not attached})

    def forget(self, parts: tuple[str, ...]) -> None:
        """The object, schema or database was dropped with what it holds."""
        self._change(lambda target, values: {} if target.parts[: len(parts)] == parts else values)

    def _change(self, kept: Callable[[Target, dict[O, V]], dict[O, V]]) -> None:
        with self._lock:
            changed = {target: kept(target, values) for target, values in self._values.items()}
            self._values = {target: values for target, values in changed.items() if values}

    def rename(self, moves: dict[tuple[str, ...], tuple[str, ...]]) -> None:
        """Objects or columns got new names; two of them may have exchanged theirs."""
        with self._lock:
            self._values = {_moved(target, moves): values for target, values in self._values.items()}

    def copy(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        """A clone has what is attached to its source, and so has what it holds."""
        with self._lock:
            for target, values in list(self._values.items()):
                if target.parts[: len(old)] == old:
                    self._values[Target(target.domain, (*new, *target.parts[len(old) :]))] = dict(values)


class Attachments:
    """The references of all kinds of an account, for DDL on the objects that they are attached to."""

    def __init__(self, account: Account) -> None:
        self._states = [state for state in account.states() if isinstance(state, References)]

    def forget(self, parts: tuple[str, ...]) -> None:
        for state in self._states:
            state.forget(parts)

    def rename(self, moves: dict[tuple[str, ...], tuple[str, ...]]) -> None:
        for state in self._states:
            state.rename(moves)

    def copy(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        for state in self._states:
            state.copy(old, new)


def _moved(target: Target, moves: dict[tuple[str, ...], tuple[str, ...]]) -> Target:
    for old, new in moves.items():
        if target.parts[: len(old)] == old:
            return Target(target.domain, (*new, *target.parts[len(old) :]))
    return target
