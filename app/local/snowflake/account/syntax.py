"""Roles, warehouses, grants, USE and ALTER SESSION, as frozen values: out of the grammar, into the handlers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.local.snowflake.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateRole(Creation):
    pass


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
    """``revoke`` turns it round. A role grant has no ``privileges``; its role stands in ``role_granted``."""

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
class Use(Statement):
    kind: Literal["ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "SECONDARY ROLES"]
    name: Name


@dataclass(frozen=True)
class AlterSession(Statement):
    """``parameters``: name to value, ``None`` for UNSET."""

    parameters: tuple[tuple[str, str | int | bool | None], ...]
