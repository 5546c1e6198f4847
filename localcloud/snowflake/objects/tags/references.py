"""The values of tags on objects and columns, and how they are inherited: database, schema, table, column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from localcloud.snowflake.objects.references import References, Target
from localcloud.snowflake.objects.store import SchemaObject, Store


@dataclass(eq=False, kw_only=True)
class Tag(SchemaObject):
    """``allowed``: the values that it may have; ``None`` for any."""

    allowed: tuple[str, ...] | None = None


class TagReferences(References[Tag, str]):
    """The value of each tag on each target."""

    def __init__(self, tags: Store[Tag]) -> None:
        super().__init__()
        self.tags = tags

    def found(self, target: Target) -> dict[Tag, tuple[str, Target]]:
        """The tags of the object with their values and where they are set; the nearest one counts."""
        result: dict[Tag, tuple[str, Target]] = {}
        for place in target.lineage():
            for tag, value in self.on(place).items():
                result.setdefault(tag, (value, place))
        return result

    def saved(self, folder: FilePath) -> Any:  # noqa: ARG002  # no files
        return [[target.domain, target.parts, tag.path, value] for target, tag, value in self.all()]

    def restore(self, saved: Any, folder: FilePath) -> None:  # noqa: ARG002  # no files
        for domain, parts, (database, schema, name), value in saved:
            if (tag := self.tags.at((database, schema, name))) is not None:
                self.set(Target(domain, tuple(parts)), tag, value)
