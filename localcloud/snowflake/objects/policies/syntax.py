"""Statements of policies, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.sql.syntax import Argument, Creation, Name, Statement, Type


@dataclass(frozen=True, kw_only=True)
class CreatePolicy(Creation):
    """``body``: the text after the arrow, an expression over the arguments."""

    arguments: tuple[Argument, ...]
    returns: Type
    body: str


@dataclass(frozen=True, kw_only=True)
class CreateMaskingPolicy(CreatePolicy):
    pass


@dataclass(frozen=True, kw_only=True)
class CreateRowAccessPolicy(CreatePolicy):
    pass


@dataclass(frozen=True)
class Mask:
    """The masking policy of a column; ``None`` for UNSET. ``using``: the columns that its arguments take, the masked one first."""

    column: str
    policy: Name | None
    using: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class SetMasks(Statement):
    """``ALTER TABLE t MODIFY COLUMN c SET MASKING POLICY p, ..`` and UNSET MASKING POLICY. ``kind``: TABLE or VIEW."""

    kind: str
    name: Name
    masks: tuple[Mask, ...]
    if_exists: bool = False


@dataclass(frozen=True)
class SetRowAccess(Statement):
    """ADD and DROP of a row access policy. ``dropped``: the policies to remove, ``None`` for ALL; ``added``: with its columns."""

    kind: str
    name: Name
    dropped: tuple[Name, ...] | None = ()
    added: tuple[Name, tuple[str, ...]] | None = None
    if_exists: bool = False
