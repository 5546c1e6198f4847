"""Grants on objects, and what DDL does to them.

A grant belongs to an object, not to its name: DROP and CREATE OR REPLACE end it, COPY GRANTS copies it to the replacement,
and RENAME keeps it. A new object gets the future grants of its schema, or, if the schema has none for that kind, those of its
database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from sqlglot import exp

from localcloud.snowflake.objects.table_names import dropped_container, path_of
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Name, Path, Statement

Types = tuple[str, ...] | None

# Kinds whose names have no database before them.
_OF_ACCOUNT = ("ACCOUNT", "WAREHOUSE", "INTEGRATION", "ROLE", "USER")


@dataclass(frozen=True)
class Grant(Statement):
    """GRANT, or REVOKE if ``revoke`` is set. A role grant has no ``privileges``; its role is ``role_granted``.

    ``types``: the argument types of a function or procedure.
    """

    grantee_kind: Literal["ROLE", "USER"]
    grantee: str
    privileges: tuple[str, ...] = ()
    object_kind: str | None = None
    object_name: Name | None = None
    scope: str | None = None
    role_granted: str | None = None
    with_grant_option: bool = False
    revoke: bool = False
    types: Types = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The object's path, or that of the schema or database of a grant on all or future objects."""
        name = self.object_name
        if name is None or self.object_kind in _OF_ACCOUNT:
            return ()
        return tuple(part for part in (name.database, name.schema, name.name) if part is not None)


@dataclass(frozen=True)
class Given:
    """A grant of one privilege or role: when and by which role it was granted, and whether the grantee may grant it on."""

    grant: Grant
    created: datetime
    by: str
    grantable: bool


class Privileges(State):
    """All grants of an account, oldest first. Methods are thread-safe."""

    def __init__(self) -> None:
        self._given: dict[Grant, Given] = {}
        self._lock = threading.RLock()

    def all(self) -> list[Given]:
        with self._lock:
            return list(self._given.values())

    def add(self, grant: Grant, by: str, *, grantable: bool) -> None:
        with self._lock:
            self._given[grant] = Given(grant, datetime.now(UTC), by, grantable)

    def remove(self, matches: Callable[[Grant], bool]) -> None:
        with self._lock:
            self._given = {key: given for key, given in self._given.items() if not matches(key)}

    def change(self, changed: Callable[[Grant], Grant]) -> None:
        """Replace each grant by ``changed`` of it."""
        with self._lock:
            self._given = {changed(key): replace(given, grant=changed(key)) for key, given in self._given.items()}

    def forget(self, path: Path, types: Types = None) -> None:
        """The object was dropped."""
        self.remove(lambda grant: _is_on(grant, path, types))

    def forget_within(self, container: tuple[str, ...]) -> None:
        """The database or schema was dropped with all that it holds."""
        self.remove(lambda grant: grant.parts[: len(container)] == container)

    def move(self, old: Path, new: Path, types: Types = None) -> None:
        """The object was renamed."""
        self.change(lambda grant: _on(grant, new) if _is_on(grant, old, types) else grant)

    def swap(self, left: Path, right: Path) -> None:
        """The tables exchanged their names, and with them their grants."""
        moves = {left: right, right: left}
        self.change(lambda grant: next((_on(grant, to) for at, to in moves.items() if _is_on(grant, at)), grant))

    def copy(self, source: Path, target: Path) -> None:
        """COPY GRANTS from a table to its clone: all but OWNERSHIP."""
        for given in self.all():
            if _is_on(given.grant, source) and given.grant.privileges != ("OWNERSHIP",):
                self.add(_on(given.grant, target), given.by, grantable=given.grantable)

    def apply_future(self, kind: str, path: Path, types: Types = None) -> None:
        """Give a new object the future grants of its schema, or else of its database."""
        of_kind = [
            given for given in self.all() if (given.grant.object_kind, given.grant.revoke) == (_plural(kind), False)
        ]
        for inside, container in (("SCHEMA", path[:2]), ("DATABASE", path[:1])):
            scope = f"FUTURE IN {inside}"
            future = [one for one in of_kind if (one.grant.scope, one.grant.parts) == (scope, container)]
            for given in future:
                grant = replace(_on(given.grant, path), object_kind=kind, scope=None, types=types)
                self.add(grant, given.by, grantable=given.grantable)
            if future:
                return


def _plural(kind: str) -> str:
    return f"{kind}S"


def _is_on(grant: Grant, path: Path, types: Types = None) -> bool:
    return grant.scope is None and grant.parts == path and grant.types == types


def _on(grant: Grant, path: Path) -> Grant:
    return replace(grant, object_name=Name(path[2], path[1], path[0]))


def follow_ddl(session: Session, expression: exp.Expr) -> Callable[[], None]:
    """A function to call after DDL on a table, view, schema or database has run."""
    privileges = session.account.state(Privileges)
    container = dropped_container(session, expression)
    if container is not None:
        return lambda: privileges.forget_within(container)
    kind, table = str(expression.args.get("kind") or "").upper(), expression.find(exp.Table)
    path = path_of(session, table) if table is not None and kind in ("TABLE", "VIEW") else None
    if path is None or expression.find(exp.TemporaryProperty):
        return lambda: None
    if isinstance(expression, exp.Drop):
        return lambda: privileges.forget(path)
    if isinstance(expression, exp.Alter):
        rename = next((action for action in expression.args["actions"] if isinstance(action, exp.AlterRename)), None)
        new = path_of(session, rename.this) if rename is not None else None
        return (lambda: privileges.move(path, new)) if new is not None else (lambda: None)
    existed = session.account.names.kind(path) is not None
    copies = expression.find(exp.CopyGrantsProperty) is not None

    def created() -> None:
        if existed and copies:
            return
        privileges.forget(path)
        privileges.apply_future(kind, path)

    return created if isinstance(expression, exp.Create) else (lambda: None)
