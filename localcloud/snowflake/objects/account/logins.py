"""Sessions opened by a login: the user's defaults, and what the connect string names."""

from __future__ import annotations

from localcloud.snowflake.objects.account.authentication import LoginRefused, User
from localcloud.snowflake.objects.account.catalog import Catalog
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.session import Session


def open_session(
    account: Account,
    user: User,
    *,
    database: str | None,
    schema: str | None,
    warehouse: str | None,
    role: str | None,
    autocommit: bool,
) -> Session:
    """A session for an authenticated user. Raises ``LoginRefused`` for a role that does not exist.

    As in Snowflake, a database, schema or warehouse that does not exist is ignored.
    """
    catalog = account.state(Catalog)
    wanted = role or user.option("DEFAULT_ROLE") or "ACCOUNTADMIN"
    if wanted not in catalog.roles:
        raise LoginRefused(
            "390189", f"Role '{wanted}' specified in the connect string does not exist or not authorized."
        )
    session = Session(account, user.name, wanted, autocommit=autocommit)
    warehouse = warehouse or user.option("DEFAULT_WAREHOUSE")
    if warehouse in catalog.warehouses:
        session.warehouse = warehouse
    if database is None:
        database, _, own_schema = (user.option("DEFAULT_NAMESPACE") or "").partition(".")
        schema = schema or own_schema or None
    if database and account.names.has_database(database):
        schema = schema or "PUBLIC"
        session.use(database, schema if account.names.has_schema(database, schema) else None)
    return session
