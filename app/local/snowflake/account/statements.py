"""Roles, warehouses, grants, USE, DROP and ALTER SESSION.

In: statements of the grammar. Out: Snowflake's answers. Privileges are recorded and shown, not enforced; names must exist.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from snowflake.connector.errors import ProgrammingError

from app.local.snowflake.account import syntax as ast
from app.local.snowflake.catalog import Warehouse
from app.local.snowflake.failures import compilation, existing_object, missing_object
from app.local.snowflake.result import SCL, Result, done, status
from app.local.snowflake.subject import Columns
from app.local.snowflake.syntax import Creation, Name, Show

if TYPE_CHECKING:
    from app.local.snowflake.session import Session

_TIME = "timestamp_ltz"

ROLES: Columns = [
    *[("created_on", _TIME), ("name", "text"), ("is_default", "text"), ("is_current", "text")],
    *[("is_inherited", "text"), ("comment", "text")],
]
WAREHOUSES: Columns = [("name", "text"), ("state", "text"), ("type", "text"), ("size", "text"), ("comment", "text")]
GRANTS: Columns = [
    *[("created_on", _TIME), ("privilege", "text"), ("granted_on", "text"), ("name", "text")],
    *[("granted_to", "text"), ("grantee_name", "text"), ("grant_option", "text")],
]


def create_role(session: Session, statement: ast.CreateRole) -> Result:
    catalog, name = session.engine.catalog, statement.name.name
    with catalog.lock:
        if name in catalog.roles and not statement.or_replace:
            return _already(statement, name)
        catalog.roles[name] = statement.comment or ""
    return status(f"Role {name} successfully created.")


def create_warehouse(session: Session, statement: ast.CreateWarehouse) -> Result:
    catalog, name = session.engine.catalog, statement.name.name
    with catalog.lock:
        if name in catalog.warehouses and not statement.or_replace:
            return _already(statement, name)
        options = dict(statement.options)
        suspended = bool(options.pop("INITIALLY_SUSPENDED", False))
        catalog.warehouses[name] = Warehouse(name, options, suspended, statement.comment or "")
    session.warehouse = name
    return status(f"Warehouse {name} successfully created.")


def _already(statement: Creation, name: str) -> Result:
    if not statement.if_not_exists:
        raise existing_object(name)
    return status(f"{name} already exists, statement succeeded.")


def alter_warehouse(session: Session, statement: ast.AlterWarehouse) -> Result:
    catalog, name = session.engine.catalog, statement.name.name
    with catalog.lock:
        warehouse = catalog.warehouses.get(name)
        if warehouse is None:
            if statement.if_exists:
                return done()
            raise missing_object(name, "Warehouse")
        if statement.action == "SET":
            options = dict(statement.options)
            warehouse.comment = str(options.pop("COMMENT", warehouse.comment))
            warehouse.options.update(options)
        elif statement.action == "RESUME" and not warehouse.suspended:
            raise compilation(90_063, "55000", f"Invalid state. Warehouse '{name}' cannot be resumed.")
        else:
            warehouse.suspended = statement.action == "SUSPEND"
    return done()


def alter_session(session: Session, statement: ast.AlterSession) -> Result:
    for name, value in statement.parameters:
        if name == "AUTOCOMMIT":
            session.end(commit=True)
        if name == "QUOTED_IDENTIFIERS_IGNORE_CASE" and value:
            raise compilation(2, "0A000", "The local Snowflake does not support QUOTED_IDENTIFIERS_IGNORE_CASE = TRUE.")
        if value is None:
            session.parameters.pop(name, None)
        else:
            session.parameters[name] = value
    session.parameters.setdefault("AUTOCOMMIT", True)
    return done(SCL)


def grant(session: Session, statement: ast.Grant) -> Result:
    session.engine.catalog.grant(statement)
    return done()


def use(session: Session, statement: ast.Use) -> Result:
    catalog, name = session.engine.catalog, statement.name
    if statement.kind == "ROLE":
        if name.name not in catalog.roles:
            raise _cannot_use()
        session.role = name.name
    elif statement.kind == "WAREHOUSE":
        if name.name not in catalog.warehouses:
            raise _cannot_use()
        session.warehouse = name.name
    elif statement.kind == "DATABASE":
        if not session.engine.names.has_database(name.name):
            raise _cannot_use()
        session.use(name.name, "PUBLIC" if session.engine.names.has_schema(name.name, "PUBLIC") else None)
    elif statement.kind == "SCHEMA":
        _use_schema(session, name)
    return done(SCL)


def _use_schema(session: Session, name: Name) -> None:
    database = name.schema or session.database
    if database is None:
        raise compilation(
            90_105,
            "22000",
            "Cannot perform USE SCHEMA. This session does not have a current database. "
            "Call 'USE DATABASE', or use a qualified name.",
        )
    if not session.engine.names.has_schema(database, name.name):
        raise _cannot_use()
    hidden = "_FS_INFORMATION_SCHEMA" if name.name == "INFORMATION_SCHEMA" else name.name
    session.use(database, hidden)


def _cannot_use() -> ProgrammingError:
    return compilation(2043, "02000", "Object does not exist, or operation cannot be performed.")


def drop_role(session: Session, name: Name) -> bool:
    return session.engine.catalog.drop_role(name.name)


def drop_warehouse(session: Session, name: Name) -> bool:
    catalog = session.engine.catalog
    with catalog.lock:
        return catalog.warehouses.pop(name.name, None) is not None


def roles(session: Session, _statement: Show) -> list[list[Any]]:
    epoch = datetime.fromtimestamp(0, UTC)
    with session.engine.catalog.lock:
        roles = sorted(session.engine.catalog.roles.items())
    return [[epoch, name, "N", "Y" if name == session.role else "N", "N", comment] for name, comment in roles]


def warehouses(session: Session, _statement: Show) -> list[list[Any]]:
    with session.engine.catalog.lock:
        found = sorted(session.engine.catalog.warehouses.values(), key=lambda warehouse: warehouse.name)
    return [
        [
            warehouse.name,
            "SUSPENDED" if warehouse.suspended else "STARTED",
            warehouse.options.get("WAREHOUSE_TYPE", "STANDARD"),
            warehouse.options.get("WAREHOUSE_SIZE", "X-Small"),
            warehouse.comment,
        ]
        for warehouse in found
    ]


def grants(session: Session, statement: Show) -> list[list[Any]]:
    assert statement.of_role is not None
    session.engine.catalog.require_role(statement.of_role)
    rows = []
    for given, when in session.engine.catalog.grants_to(statement.of_role):
        privileges = given.privileges or ("USAGE",)
        kind = "ROLE" if given.role_granted else given.object_kind or ""
        name = given.role_granted or str(given.object_name or session.engine.account)
        option = str(given.with_grant_option).lower()
        rows += [[when, one, kind, name, given.grantee_kind, given.grantee, option] for one in privileges]
    return rows
