"""The values of tags on objects and columns, and how they are inherited: database, schema, table, column."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from localcloud.snowflake.objects.store import SchemaObject, Store
from localcloud.snowflake.sessions.state import State


@dataclass(eq=False, kw_only=True)
class Tag(SchemaObject):
    """``allowed``: the values that it may have; ``None`` for any."""

    allowed: tuple[str, ...] | None = None


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


class TagReferences(State):
    """Thread-safe."""

    def __init__(self, tags: Store[Tag]) -> None:
        self.tags = tags
        self._values: dict[Target, dict[Tag, str]] = {}
        self._lock = threading.RLock()

    def set(self, target: Target, tag: Tag, value: str | None) -> None:
        """``None`` removes the tag from the object."""
        with self._lock:
            values = self._values.setdefault(target, {})
            values.pop(tag, None)
            if value is not None:
                values[tag] = value
            if not values:
                del self._values[target]

    def on(self, target: Target) -> dict[Tag, str]:
        """The tags that are set on the object itself."""
        with self._lock:
            return dict(self._values.get(target, {}))

    def found(self, target: Target) -> dict[Tag, tuple[str, Target]]:
        """The tags of the object with their values and where they are set; the nearest one counts."""
        result: dict[Tag, tuple[str, Target]] = {}
        for place in target.lineage():
            for tag, value in self.on(place).items():
                result.setdefault(tag, (value, place))
        return result

    def forget_tag(self, tag: Tag) -> None:
        self._change(lambda _target, values: {one: value for one, value in values.items() if one is not tag})

    def forget(self, parts: tuple[str, ...]) -> None:
        """The object, schema or database was dropped with what it holds."""
        self._change(lambda target, values: {} if target.parts[: len(parts)] == parts else values)

    def _change(self, kept: Callable[[Target, dict[Tag, str]], dict[Tag, str]]) -> None:
        with self._lock:
            changed = {target: kept(target, values) for target, values in self._values.items()}
            self._values = {target: values for target, values in changed.items() if values}

    def rename(self, moves: dict[tuple[str, ...], tuple[str, ...]]) -> None:
        """Objects or columns got new names; two of them may have exchanged theirs."""
        with self._lock:
            self._values = {_moved(target, moves): values for target, values in self._values.items()}

    def copy(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        """A clone has the tags of its source, and so has what it holds."""
        with self._lock:
            for target, values in list(self._values.items()):
                if target.parts[: len(old)] == old:
                    self._values[Target(target.domain, (*new, *target.parts[len(old) :]))] = dict(values)

    def saved(self, folder: FilePath) -> Any:  # noqa: ARG002  # no files
        with self._lock:
            return [
                [target.domain, target.parts, tag.path, value]
                for target, values in self._values.items()
                for tag, value in values.items()
            ]

    def restore(self, saved: Any, folder: FilePath) -> None:  # noqa: ARG002  # no files
        for domain, parts, (database, schema, name), value in saved:
            if (tag := self.tags.at((database, schema, name))) is not None:
                self.set(Target(domain, tuple(parts)), tag, value)


def _moved(target: Target, moves: dict[tuple[str, ...], tuple[str, ...]]) -> Target:
    for old, new in moves.items():
        if target.parts[: len(old)] == old:
            return Target(target.domain, (*new, *target.parts[len(old) :]))
    return target
