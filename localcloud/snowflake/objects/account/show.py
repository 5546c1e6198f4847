"""Rows of SHOW and DESCRIBE for roles, users, warehouses and grants.

SHOW GRANTS lists a role granted to a role as USAGE on the role, but a role granted to a user without a privilege. SHOW
GRANTS OF has its own columns.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import missing_object
from localcloud.snowflake.objects.account import syntax as ast
from localcloud.snowflake.objects.account.authentication import KEY_SLOTS, User
from localcloud.snowflake.objects.account.catalog import Catalog, Warehouse
from localcloud.snowflake.objects.account.statements import full_name
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.objects.privileges import Given
from localcloud.snowflake.result import DESCRIBE, SHOW, Result, rows_result
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Show

_TIME = "timestamp_ltz"
ROLES: Columns = [
    *[("created_on", _TIME), ("name", "text"), ("is_default", "text"), ("is_current", "text")],
    *[("is_inherited", "text"), ("assigned_to_users", "fixed"), ("granted_to_roles", "fixed")],
    *[("granted_roles", "fixed"), ("owner", "text"), ("comment", "text")],
]
USERS: Columns = [
    *[("name", "text"), ("created_on", _TIME), ("login_name", "text"), ("display_name", "text"), ("disabled", "text")],
    *[("default_warehouse", "text"), ("default_namespace", "text"), ("default_role", "text")],
    *[("has_password", "text"), ("has_rsa_public_key", "text"), ("owner", "text"), ("comment", "text")],
]
WAREHOUSES: Columns = [
    *[("name", "text"), ("state", "text"), ("type", "text"), ("size", "text"), ("min_cluster_count", "fixed")],
    *[("max_cluster_count", "fixed"), ("running", "fixed"), ("queued", "fixed"), ("is_default", "text")],
    *[("is_current", "text"), ("auto_suspend", "fixed"), ("auto_resume", "text"), ("created_on", _TIME)],
    *[("resumed_on", _TIME), ("updated_on", _TIME), ("owner", "text"), ("comment", "text")],
    *[("scaling_policy", "text")],
]
DESCRIBED: dict[str, Columns] = {
    "WAREHOUSE": [("created_on", _TIME), ("name", "text"), ("kind", "text")],
    "USER": [("property", "text"), ("value", "text"), ("default", "text"), ("description", "text")],
}
_GRANTS: Columns = [
    *[("created_on", _TIME), ("privilege", "text"), ("granted_on", "text"), ("name", "text")],
    *[("granted_to", "text"), ("grantee_name", "text"), ("grant_option", "text"), ("granted_by", "text")],
]
_TO_USER: Columns = [
    *[("created_on", _TIME), ("privilege", "text"), ("granted_on", "text"), ("name", "text"), ("role", "text")],
    *[("granted_to", "text"), ("grantee_name", "text"), ("grant_option", "text"), ("granted_by", "text")],
]
_OF: Columns = [
    *[("created_on", _TIME), ("role", "text"), ("granted_to", "text"), ("grantee_name", "text")],
    *[("granted_by", "text")],
]
_FUTURE: Columns = [
    *[("created_on", _TIME), ("privilege", "text"), ("grant_on", "text"), ("name", "text")],
    *[("grant_to", "text"), ("grantee_name", "text"), ("grant_option", "text")],
]
# Warehouse sizes as written, mapped to the form in which they are shown.
_SIZES = {
    **dict.fromkeys(("XSMALL", "X-SMALL"), "X-Small"),
    **{size: size.capitalize() for size in ("SMALL", "MEDIUM", "LARGE")},
    **dict.fromkeys(("XLARGE", "X-LARGE"), "X-Large"),
    **dict.fromkeys(("XXLARGE", "X2LARGE", "2X-LARGE"), "2X-Large"),
    **dict.fromkeys(("XXXLARGE", "X3LARGE", "3X-LARGE"), "3X-Large"),
    **{form: f"{n}X-Large" for n in (4, 5, 6) for form in (f"X{n}LARGE", f"{n}X-LARGE")},
}


def roles(session: Session, _statement: Show) -> list[list[Any]]:
    catalog = session.account.state(Catalog)
    given = [one.grant for one in catalog.grants() if one.grant.role_granted]
    inherited = _inherited(session.role, given)
    with catalog.lock:
        found = sorted(catalog.roles.values(), key=lambda role: role.name)
    return [
        [
            role.created,
            role.name,
            "N",
            _yes(role.name == session.role),
            _yes(role.name in inherited),
            sum(one.role_granted == role.name and one.grantee_kind == "USER" for one in given),
            sum(one.role_granted == role.name and one.grantee_kind == "ROLE" for one in given),
            sum(one.grantee == role.name and one.grantee_kind == "ROLE" for one in given),
            role.owner,
            role.comment,
        ]
        for role in found
    ]


def _inherited(role: str, given: list[ast.Grant]) -> set[str]:
    """All roles granted to ``role`` directly or indirectly, without ``role`` itself."""
    found: set[str] = set()
    new = {role}
    while new:
        new = {
            one.role_granted
            for one in given
            if one.grantee_kind == "ROLE" and one.grantee in new and one.role_granted is not None
        } - found
        found |= new
    return found - {role}


def users(session: Session, _statement: Show) -> list[list[Any]]:
    return [
        [
            user.name,
            user.created,
            user.name,
            user.option("DISPLAY_NAME") or user.name,
            str(bool(user.options.get("DISABLED"))).lower(),
            user.option("DEFAULT_WAREHOUSE") or "",
            user.option("DEFAULT_NAMESPACE") or "",
            user.option("DEFAULT_ROLE") or "",
            "false",
            str(bool(user.keys)).lower(),
            user.owner,
            user.option("COMMENT") or "",
        ]
        for user in session.account.state(Catalog).users
    ]


def warehouses(session: Session, _statement: Show) -> list[list[Any]]:
    with session.account.state(Catalog).lock:
        found = sorted(session.account.state(Catalog).warehouses.values(), key=lambda warehouse: warehouse.name)
    return [_warehouse(one, session) for one in found]


def _warehouse(one: Warehouse, session: Session) -> list[Any]:
    options = one.options
    running = sum(query.session.warehouse == one.name for query in session.account.state(Queries))
    return [
        one.name,
        "SUSPENDED" if one.suspended else "STARTED",
        options.get("WAREHOUSE_TYPE", "STANDARD"),
        _SIZES[str(options.get("WAREHOUSE_SIZE", "XSMALL"))],
        options.get("MIN_CLUSTER_COUNT", 1),
        options.get("MAX_CLUSTER_COUNT", 1),
        running,
        0,
        "N",
        _yes(one.name == session.warehouse),
        options.get("AUTO_SUSPEND", 600),
        str(options.get("AUTO_RESUME", True)).lower(),
        one.created,
        one.changed,
        one.changed,
        one.owner,
        one.comment,
        options.get("SCALING_POLICY", "STANDARD"),
    ]


def describe(session: Session, statement: ast.DescribeAccountObject) -> Result:
    catalog, name = session.account.state(Catalog), statement.name.name
    columns = DESCRIBED[statement.kind]
    if statement.kind == "WAREHOUSE":
        with catalog.lock:
            found = catalog.warehouses.get(name)
        if found is None:
            raise missing_object(name, "Warehouse")
        return rows_result(columns, [[found.created, name, "WAREHOUSE"]], DESCRIBE)
    user = catalog.users.get(name)
    if user is None:
        raise missing_object(name, "User")
    return rows_result(columns, _properties(user), DESCRIBE)


def _properties(user: User) -> list[list[str]]:
    fingerprints = {f"{slot}_FP": user.keys[slot].fingerprint if slot in user.keys else "null" for slot in KEY_SLOTS}
    shown = {
        "NAME": (user.name, "Name"),
        "COMMENT": (user.option("COMMENT") or "null", "user comment associated to an object in the dictionary"),
        "LOGIN_NAME": (user.name, "Login name of the user"),
        "DISABLED": (str(bool(user.options.get("DISABLED"))).lower(), "Whether the user is disabled"),
        "DEFAULT_WAREHOUSE": (user.option("DEFAULT_WAREHOUSE") or "null", "Default warehouse for this user"),
        "DEFAULT_NAMESPACE": (user.option("DEFAULT_NAMESPACE") or "null", "Default database namespace prefix"),
        "DEFAULT_ROLE": (user.option("DEFAULT_ROLE") or "null", "Primary principal of user session"),
        **{name: (value, "Fingerprint of user's RSA public key.") for name, value in fingerprints.items()},
    }
    return [[name, value, "null", description] for name, (value, description) in shown.items()]


def grants(session: Session, statement: ast.ShowGrants) -> Result:
    found = [one for one in session.account.state(Catalog).grants() if _is_future(one) == statement.future]
    if statement.direction in ("TO", "OF"):
        name = statement.name.name if statement.name else session.user
        _require_grantee(session, statement.kind, name)
        return _of(found, name) if statement.direction == "OF" else _to(session, statement, found, name)
    rows = [_row(session, one) for one in found if _is_on(session, statement, one)]
    return _future(rows) if statement.future else rows_result(list(_GRANTS), rows, SHOW)


def columns_of_grants(statement: ast.ShowGrants) -> Columns:
    if statement.future:
        return _FUTURE
    if statement.direction == "OF":
        return _OF
    return _TO_USER if (statement.direction, statement.kind) == ("TO", "USER") else _GRANTS


def _require_grantee(session: Session, kind: str, name: str) -> None:
    if kind == "ROLE":
        session.account.state(Catalog).require_role(name)
    elif name not in session.account.state(Catalog).users:
        raise missing_object(name, "User")


def _to(session: Session, statement: ast.ShowGrants, found: list[Given], name: str) -> Result:
    mine = [one for one in found if (one.grant.grantee_kind, one.grant.grantee) == (statement.kind, name)]
    if statement.kind == "USER":
        shown = [
            [one.created, None, "ROLE", one.grant.role_granted, one.grant.role_granted, "USER", name, "false", one.by]
            for one in mine
        ]
        return rows_result(list(_TO_USER), shown, SHOW)
    rows = [_row(session, one) for one in mine]
    return _future(rows) if statement.future else rows_result(list(_GRANTS), rows, SHOW)


def _of(found: list[Given], role: str) -> Result:
    rows = [
        [one.created, role, one.grant.grantee_kind, one.grant.grantee, one.by]
        for one in found
        if one.grant.role_granted == role
    ]
    return rows_result(list(_OF), rows, SHOW)


def _row(session: Session, one: Given) -> list[Any]:
    given = one.grant
    kind = "ROLE" if given.role_granted else (given.object_kind or "").replace(" ", "_")
    name = given.role_granted or str(given.object_name or session.account.name)
    if _is_future(one):
        kind = kind.removesuffix("S")
        name = f"{name}.<{kind}>"
    option = str(one.grantable).lower()
    privilege = given.privileges[0] if given.privileges else "USAGE"
    return [one.created, privilege, kind, name, given.grantee_kind, given.grantee, option, one.by]


def _future(rows: list[list[Any]]) -> Result:
    return rows_result(list(_FUTURE), [row[:7] for row in rows], SHOW)


def _is_future(one: Given) -> bool:
    return (one.grant.scope or "").startswith("FUTURE")


def _is_on(session: Session, statement: ast.ShowGrants, one: Given) -> bool:
    given, name = one.grant, statement.name and full_name(session, statement.kind, statement.name)
    if statement.future:
        return given.scope == f"FUTURE IN {statement.kind}" and given.object_name == name
    if statement.kind == "ROLE":
        return name is not None and given.role_granted == name.name
    return (given.object_kind, given.object_name, given.types) == (statement.kind, name, statement.types)


def _yes(condition: bool) -> str:
    return "Y" if condition else "N"
