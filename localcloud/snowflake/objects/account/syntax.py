"""Statements of account objects, USE and ALTER SESSION, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from localcloud.snowflake.objects.privileges import Grant as Grant
from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateRole(Creation):
    pass


@dataclass(frozen=True)
class CreateUser(Creation):
    """``options`` holds properties and values, including keys."""

    options: tuple[tuple[str, str | bool], ...] = ()


@dataclass(frozen=True)
class AlterUser(Statement):
    """``options`` holds properties and values; ``None`` for UNSET."""

    name: Name
    if_exists: bool = False
    options: tuple[tuple[str, str | int | bool | None], ...] = ()


@dataclass(frozen=True)
class CreateWarehouse(Creation):
    options: tuple[tuple[str, str | int | bool], ...] = ()


@dataclass(frozen=True)
class AlterWarehouse(Statement):
    name: Name
    action: Literal["SET", "SUSPEND", "RESUME"]
    if_exists: bool = False
    options: tuple[tuple[str, str | int | bool], ...] = ()


@dataclass(frozen=True)
class ShowGrants(Statement):
    """``ON`` an object, ``TO`` or ``OF`` a grantee. ``kind`` is the kind of object, or ROLE or USER.

    ``name`` is ``None`` for the account and for the current user. ``types``: the argument types of a function or procedure.
    """

    direction: Literal["ON", "TO", "OF", "IN"]
    kind: str
    name: Name | None
    future: bool = False
    types: tuple[str, ...] | None = None


@dataclass(frozen=True)
class AlterRole(Statement):
    """Sets ``new_name`` or ``comment``. If both are ``None``, the comment is unset."""

    name: Name
    if_exists: bool = False
    new_name: str | None = None
    comment: str | None = None


@dataclass(frozen=True)
class DescribeAccountObject(Statement):
    kind: Literal["WAREHOUSE", "USER"]
    name: Name


@dataclass(frozen=True)
class Use(Statement):
    kind: Literal["ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "SECONDARY ROLES"]
    name: Name


@dataclass(frozen=True)
class AlterSession(Statement):
    """``parameters`` holds names and values; ``None`` for UNSET."""

    parameters: tuple[tuple[str, str | int | bool | None], ...]


@dataclass(frozen=True)
class AlterAccount(Statement):
    """The account's defaults of session parameters; ``None`` for UNSET."""

    parameters: tuple[tuple[str, str | int | bool | None], ...]


@dataclass(frozen=True)
class ShowParameters(Statement):
    """SHOW PARAMETERS of the session, or of the account."""

    like: str | None
    of_account: bool = False
