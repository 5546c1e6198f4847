"""Roles, warehouses, grants, USE and ALTER SESSION, as frozen values: out of the grammar, into the handlers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateRole(Creation):
    pass


@dataclass(frozen=True)
class CreateUser(Creation):
    """``options``: property to value, keys among them."""

    options: tuple[tuple[str, str | bool], ...] = ()


@dataclass(frozen=True)
class AlterUser(Statement):
    """``options``: property to value, ``None`` for UNSET."""

    name: Name
    if_exists: bool = False
    options: tuple[tuple[str, str | bool | None], ...] = ()


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
class Grant(Statement):
    """With ``revoke`` it is a REVOKE. A role grant has no ``privileges`` but ``role_granted``."""

    grantee_kind: Literal["ROLE", "USER"]
    grantee: str
    privileges: tuple[str, ...] = ()
    object_kind: str | None = None
    object_name: Name | None = None
    scope: str | None = None
    role_granted: str | None = None
    with_grant_option: bool = False
    revoke: bool = False


@dataclass(frozen=True)
class ShowGrants(Statement):
    """``ON`` an object, ``TO`` or ``OF`` a grantee; ``kind`` is the object's kind, or ROLE or USER.

    ``name`` is ``None`` for the account, and for the current user.
    """

    direction: Literal["ON", "TO", "OF", "IN"]
    kind: str
    name: Name | None
    future: bool = False


@dataclass(frozen=True)
class AlterRole(Statement):
    """``new_name`` or ``comment``; a comment of ``None`` with no new name is UNSET."""

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
    """``parameters``: name to value, ``None`` for UNSET."""

    parameters: tuple[tuple[str, str | int | bool | None], ...]


@dataclass(frozen=True)
class ShowParameters(Statement):
    """SHOW PARAMETERS of the session."""

    like: str | None
