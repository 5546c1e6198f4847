"""CREATE, ALTER and DROP of roles and warehouses, GRANT, REVOKE and USE.

Privileges are recorded and shown, but not enforced. The names in a statement must exist.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import compilation, missing_object
from localcloud.snowflake.objects.account import syntax as ast
from localcloud.snowflake.objects.account.catalog import Catalog, Role, Warehouse
from localcloud.snowflake.objects.schema_statements import already_exists
from localcloud.snowflake.result import SCL, Result, done, status
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name

# Kinds of objects that belong to the account rather than to a database.
_OF_ACCOUNT = ("ACCOUNT", "DATABASE", "WAREHOUSE", "INTEGRATION", "ROLE", "USER")


def create_role(session: Session, statement: ast.CreateRole) -> Result:
    catalog, name = session.account.state(Catalog), statement.name.name
    with catalog.lock:
        if name in catalog.roles and not statement.or_replace:
            return already_exists(statement)
        catalog.roles[name] = Role(name, session.role, statement.comment or "")
    return status(f"Role {name} successfully created.")


def create_warehouse(session: Session, statement: ast.CreateWarehouse) -> Result:
    catalog, name = session.account.state(Catalog), statement.name.name
    with catalog.lock:
        if name in catalog.warehouses and not statement.or_replace:
            return already_exists(statement)
        options = dict(statement.options)
        suspended = bool(options.pop("INITIALLY_SUSPENDED", False))
        catalog.warehouses[name] = Warehouse(name, options, suspended, statement.comment or "", session.role)
    session.warehouse = name
    return status(f"Warehouse {name} successfully created.")


def alter_warehouse(session: Session, statement: ast.AlterWarehouse) -> Result:
    catalog, name = session.account.state(Catalog), statement.name.name
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
            warehouse.changed = datetime.now(UTC)
    return done()


def alter_role(session: Session, statement: ast.AlterRole) -> Result:
    catalog, name = session.account.state(Catalog), statement.name.name
    with catalog.lock:
        if name not in catalog.roles:
            if statement.if_exists:
                return done()
            raise missing_object(name, "Role")
        if statement.new_name is None:
            catalog.roles[name].comment = statement.comment or ""
        else:
            catalog.rename_role(name, statement.new_name)
    return done()


def grant(session: Session, statement: ast.Grant) -> Result:
    session.account.state(Catalog).grant(_resolved(session, statement), by=session.role)
    return done()


def _resolved(session: Session, statement: ast.Grant) -> ast.Grant:
    if statement.object_name is None or statement.object_kind is None:
        return statement
    kind = statement.scope.rpartition(" ")[2] if statement.scope else statement.object_kind
    return replace(statement, object_name=full_name(session, kind, statement.object_name))


def full_name(session: Session, kind: str, name: Name) -> Name:
    """The qualified name of an object, completed with the session's database and schema as its kind requires."""
    if kind in _OF_ACCOUNT:
        return name
    if kind == "SCHEMA":
        return Name(name.name, name.schema or session.database)
    database, schema, plain = session.path(name)
    return Name(plain, schema, database)


def use(session: Session, statement: ast.Use) -> Result:
    catalog, name = session.account.state(Catalog), statement.name
    if statement.kind == "ROLE":
        if name.name not in catalog.roles:
            raise _cannot_use()
        session.role = name.name
    elif statement.kind == "WAREHOUSE":
        if name.name not in catalog.warehouses:
            raise _cannot_use()
        session.warehouse = name.name
    elif statement.kind == "DATABASE":
        if not session.account.names.has_database(name.name):
            raise _cannot_use()
        session.use(name.name, "PUBLIC" if session.account.names.has_schema(name.name, "PUBLIC") else None)
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
    if not session.account.names.has_schema(database, name.name):
        raise _cannot_use()
    hidden = "_FS_INFORMATION_SCHEMA" if name.name == "INFORMATION_SCHEMA" else name.name
    session.use(database, hidden)


def _cannot_use() -> ProgrammingError:
    return compilation(2043, "02000", "Object does not exist, or operation cannot be performed.")


def drop_role(session: Session, name: Name) -> bool:
    return session.account.state(Catalog).drop_role(name.name)


def drop_warehouse(session: Session, name: Name) -> bool:
    catalog = session.account.state(Catalog)
    with catalog.lock:
        return catalog.warehouses.pop(name.name, None) is not None
