"""The statements of the project's own grammar, as frozen values.

Out of ``grammar.parse_statement``, into the handlers in ``statements``. Names are as Snowflake stores them: upper case
unless they were quoted. ``None`` means that the statement did not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    """What every CREATE has: at most one of the two flags is set."""

    name: Name
    or_replace: bool = False
    if_not_exists: bool = False
    comment: str | None = None


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
class Drop(Statement):
    """``kind``: one of the subjects' droppable kinds, such as ``STAGE``."""

    kind: str
    name: Name
    if_exists: bool = False


@dataclass(frozen=True)
class Show(Statement):
    """``kind``: one of the subjects' shown kinds, such as ``STAGES``.

    ``starts_with``, unlike ``like``, is exact about case. ``after``: the text at or after which names are listed.
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
