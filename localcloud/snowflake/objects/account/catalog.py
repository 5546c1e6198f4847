"""Users, roles, warehouses and grants of an account. They exist as long as the server runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from localcloud.snowflake.failures import existing_object, failure, missing_object
from localcloud.snowflake.objects.account.authentication import Users
from localcloud.snowflake.objects.privileges import Given, Grant, Privileges
from localcloud.snowflake.sessions.state import State

SYSTEM_ROLES = ("ACCOUNTADMIN", "SECURITYADMIN", "USERADMIN", "SYSADMIN", "PUBLIC", "ORGADMIN")


@dataclass
class Role:
    """``owner`` is the role that created it; empty for Snowflake's system roles."""

    name: str
    owner: str
    comment: str = ""
    created: datetime = field(default_factory=lambda: _now())


@dataclass
class Warehouse:
    """``changed`` is the time of the last resume or suspend."""

    name: str
    options: dict[str, str | int | bool]
    suspended: bool = False
    comment: str = ""
    owner: str = "ACCOUNTADMIN"
    created: datetime = field(default_factory=lambda: _now())
    changed: datetime = field(default_factory=lambda: _now())


@dataclass
class Catalog(State):
    """Account objects. Public methods are thread-safe."""

    users: Users
    privileges: Privileges
    roles: dict[str, Role] = field(default_factory=lambda: {name: Role(name, owner="") for name in SYSTEM_ROLES})
    warehouses: dict[str, Warehouse] = field(default_factory=lambda: {"COMPUTE_WH": Warehouse("COMPUTE_WH", {})})
    lock: threading.RLock = field(default_factory=threading.RLock)

    def require_role(self, name: str) -> None:
        with self.lock:
            if name not in self.roles:
                raise missing_object(name, "Role")

    def grant(self, change: Grant, by: str) -> None:
        """Record a grant, or remove a revoked one. Privileges are stored and shown, but not enforced."""
        with self.lock:
            if change.role_granted is not None:
                self.require_role(change.role_granted)
            if change.grantee_kind == "ROLE":
                self.require_role(change.grantee)
            elif change.grantee not in self.users:
                raise missing_object(change.grantee, "User")
            for one in _single(change):
                if change.revoke:
                    self._revoke(one)
                else:
                    self.privileges.add(one, by, grantable=change.with_grant_option)

    def _revoke(self, given: Grant) -> None:
        everything = given.privileges in (("ALL",), ("ALL PRIVILEGES",))
        self.privileges.remove(lambda key: given == (replace(key, privileges=given.privileges) if everything else key))

    def grants(self) -> list[Given]:
        """All grants, oldest first."""
        return self.privileges.all()

    def drop_role(self, name: str) -> bool:
        with self.lock:
            if name in SYSTEM_ROLES:
                raise failure(
                    3001, "42501", f"SQL access control error:\nInsufficient privileges to operate on role '{name}'."
                )
            if self.roles.pop(name, None) is None:
                return False
            self.privileges.remove(lambda key: name in (key.role_granted, _role_of(key)))
            return True

    def rename_role(self, name: str, new_name: str) -> None:
        """Rename a role, and keep its grants in both directions."""
        with self.lock:
            if new_name in self.roles:
                raise existing_object(new_name)
            role = self.roles.pop(name)
            role.name = new_name
            self.roles[new_name] = role
            self.privileges.change(lambda key: _renamed(key, name, new_name))


def _single(change: Grant) -> list[Grant]:
    """One grant per privilege, so that each can be revoked separately."""
    plain = replace(change, revoke=False, with_grant_option=False)
    return [replace(plain, privileges=(one,)) for one in change.privileges] or [plain]


def _role_of(grant: Grant) -> str | None:
    return grant.grantee if grant.grantee_kind == "ROLE" else None


def _renamed(grant: Grant, name: str, new_name: str) -> Grant:
    grantee = new_name if _role_of(grant) == name else grant.grantee
    granted = new_name if grant.role_granted == name else grant.role_granted
    return replace(grant, grantee=grantee, role_granted=granted)


def _now() -> datetime:
    return datetime.now(UTC)
