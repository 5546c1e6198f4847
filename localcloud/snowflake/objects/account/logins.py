"""Sessions opened by a login: the user's defaults, and what the connect string names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.objects.account.authentication import LoginRefused, User
from localcloud.snowflake.objects.account.catalog import Catalog
from localcloud.snowflake.objects.account.parameters import set_at_login
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.session import Session

# Sent by clients that want a login to fail if its database, schema or warehouse does not exist.
_CHECK = "CLIENT_VALIDATE_DEFAULT_PARAMETERS"


def open_session(
    account: Account,
    user: User,
    *,
    database: str | None,
    schema: str | None,
    warehouse: str | None,
    role: str | None,
    parameters: Mapping[str, Any],
) -> Session:
    """A session for an authenticated user. ``parameters``: those that the client sets. Raises ``LoginRefused`` for a role that
    does not exist, and for a value that no session can have.

    As in Snowflake, a database, schema or warehouse that does not exist is ignored, unless the client asks for a check.
    """
    catalog = account.state(Catalog)
    wanted = role or user.option("DEFAULT_ROLE") or "ACCOUNTADMIN"
    if wanted not in catalog.roles:
        raise LoginRefused(
            "390189", f"Role '{wanted}' specified in the connect string does not exist or not authorized."
        )
    session = Session(account, user.name, wanted, user.parameters)
    try:
        set_at_login(session, parameters)
    except ProgrammingError as error:
        raise LoginRefused(f"{error.errno:06d}", str(error.raw_msg)) from error
    warehouse = warehouse or user.option("DEFAULT_WAREHOUSE")
    if warehouse in catalog.warehouses:
        session.warehouse = warehouse
    if database is None:
        database, _, own_schema = (user.option("DEFAULT_NAMESPACE") or "").partition(".")
        schema = schema or own_schema or None
    if database and account.names.has_database(database):
        schema = schema or "PUBLIC"
        session.use(database, schema if account.names.has_schema(database, schema) else None)
    if str(parameters.get(_CHECK, "")).lower() == "true":
        _require(session, {"database": database, "schema": schema, "warehouse": warehouse})
    return session


def _require(session: Session, wanted: Mapping[str, str | None]) -> None:
    """Raise for the first object that the session would start with and that does not exist."""
    found = {"database": session.database, "schema": session.schema, "warehouse": session.warehouse}
    for kind, name in wanted.items():
        if name and found[kind] != name:
            raise LoginRefused("390201", f"The requested {kind} does not exist or not authorized.")
