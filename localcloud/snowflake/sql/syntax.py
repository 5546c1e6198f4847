"""The statements of the project's own grammar, as frozen values.

Names are as Snowflake stores them: upper case unless they were quoted. ``None``: the statement does not specify the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# A schema object's full name as Snowflake stores it: database, schema, name.
Path = tuple[str, str, str]


@dataclass(frozen=True)
class Name:
    """An object's name with the database and schema that were written before it."""

    name: str
    schema: str | None = None
    database: str | None = None

    def __str__(self) -> str:
        return ".".join(part for part in (self.database, self.schema, self.name) if part is not None)


@dataclass(frozen=True)
class Statement:
    """Any statement of the grammar."""


@dataclass(frozen=True)
class Creation(Statement):
    """What every CREATE has: at most one of OR REPLACE and IF NOT EXISTS is set.

    ``copy_grants``: with COPY GRANTS. ``tags``: the names and values of WITH TAG.
    """

    name: Name
    or_replace: bool = False
    if_not_exists: bool = False
    comment: str | None = None
    temporary: bool = False
    copy_grants: bool = False
    tags: tuple[tuple[Name, str], ...] = ()

    @property
    def types(self) -> tuple[str, ...] | None:
        """The names of the argument types; ``None`` for objects without arguments."""
        return None


@dataclass(frozen=True)
class Type:
    """A Snowflake SQL type: ``FLOAT``, ``NUMBER(38,0)``, ``VARCHAR``; synonyms are resolved."""

    name: str
    precision: int | None = None
    scale: int | None = None

    def __str__(self) -> str:
        if self.name == "NUMBER":
            return f"NUMBER({self.precision},{self.scale})" if self.precision is not None else "NUMBER"
        return f"{self.name}({self.precision})" if self.precision is not None else self.name


@dataclass(frozen=True)
class Argument:
    name: str
    type: Type


@dataclass(frozen=True)
class StagePath:
    """``@stage/path``, ``@~/path`` (USER) or ``@%table/path`` (TABLE); ``path`` has no leading slash and may be empty."""

    stage: Name
    path: str = ""
    kind: Literal["NAMED", "USER", "TABLE"] = "NAMED"


@dataclass(frozen=True)
class Clone(Creation):
    """``CREATE kind name CLONE source``."""

    kind: str = ""
    source: Name = field(default_factory=lambda: Name(""))


@dataclass(frozen=True)
class Drop(Statement):
    """``kind``: the words for the kind, such as ``FILE FORMAT``. ``types``: the argument types of a function or procedure."""

    kind: str
    name: Name
    if_exists: bool = False
    types: tuple[Type, ...] | None = None


@dataclass(frozen=True)
class Describe(Statement):
    """DESCRIBE of a schema object."""

    kind: str
    name: Name
    types: tuple[Type, ...] | None = None


@dataclass(frozen=True)
class Alter(Statement):
    """ALTER of a schema object, or COMMENT ON one.

    ``action``: SET, UNSET, RENAME TO, or a word of the kind's own. ``options``: SET's properties by name, those of UNSET with
    ``None``, and what else the action takes; RENAME TO has ``NAME``.
    """

    kind: str
    name: Name
    action: str
    options: Mapping[str, Any] = field(default_factory=dict)
    if_exists: bool = False
    types: tuple[Type, ...] | None = None


@dataclass(frozen=True)
class Show(Statement):
    """``kind``: the words for the kinds, such as ``FILE FORMATS``.

    ``starts_with``, unlike ``like``, is exact about case. ``after``: the text of LIMIT .. FROM; names after it are listed.
    """

    kind: str
    like: str | None = None
    scope: Scope | None = None
    starts_with: str | None = None
    limit: int | None = None
    after: str | None = None


@dataclass(frozen=True)
class Scope:
    """``IN ACCOUNT``, ``IN DATABASE d`` or ``IN SCHEMA s``; ``name`` is ``None`` for the current one."""

    kind: Literal["ACCOUNT", "DATABASE", "SCHEMA"]
    name: Name | None = None
