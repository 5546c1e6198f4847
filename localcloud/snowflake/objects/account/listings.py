"""SHOW of what a session has (variables, transactions), of regions, and of kinds of objects that an account here never has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from localcloud.snowflake.functions.context import REGION
from localcloud.snowflake.objects.feature import Columns, Shown
from localcloud.snowflake.sessions.clients import Clients
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Show

_TIME = "timestamp_ltz"


def _columns(*names: str) -> Columns:
    return [(name, _TIME if name.endswith("_on") else "text") for name in names]


_PIPES = _columns(
    *("created_on", "name", "database_name", "schema_name", "definition", "owner", "notification_channel", "comment"),
    *("integration", "pattern", "error_integration", "owner_role_type", "invalid_reason", "kind"),
)
_EXTERNAL_TABLES = _columns(
    *("created_on", "name", "database_name", "schema_name", "invalid", "invalid_reason", "owner", "comment", "stage"),
    *(
        "location",
        "file_format_name",
        "file_format_type",
        "cloud",
        "region",
        "notification_channel",
        "last_refreshed_on",
    ),
    *("table_format", "last_refresh_details", "owner_role_type"),
)
_SHARES = _columns(
    *("created_on", "kind", "owner_account", "name", "database_name", "to", "owner", "comment"),
    *("listing_global_name", "secure_objects_only"),
)
_POLICIES: Columns = [
    *_columns("created_on", "name", "comment"),
    *[("entries_in_allowed_ip_list", "fixed"), ("entries_in_blocked_ip_list", "fixed")],
    *[("entries_in_allowed_network_rules", "fixed"), ("entries_in_blocked_network_rules", "fixed")],
]
_REGIONS = _columns("region_group", "snowflake_region", "cloud", "region", "display_name")
_VARIABLES: Columns = [
    ("session_id", "fixed"),
    *_columns("created_on", "updated_on", "name", "value", "type", "comment"),
]
_TRANSACTIONS: Columns = [
    *[("id", "fixed"), ("user", "text"), ("session", "fixed"), ("name", "text"), ("started_on", _TIME)],
    *[("state", "text"), ("scope", "fixed")],
]


def _none(_session: Session, _statement: Show) -> list[list[Any]]:
    """The account has no objects of this kind: no statement here creates them."""
    return []


def _regions(_session: Session, _statement: Show) -> list[list[Any]]:
    return [["PUBLIC", REGION, "aws", REGION.removeprefix("AWS_").lower().replace("_", "-"), "US East (N. Virginia)"]]


def _variables(session: Session, _statement: Show) -> list[list[Any]]:
    """The times at which a variable was set are not kept."""
    known = session.fakesnow.variables._variables
    return [
        [
            session.id,
            None,
            None,
            name.upper(),
            str(value).strip("'"),
            "text" if str(value).startswith("'") else "fixed",
            "",
        ]
        for name, value in sorted(known.items())
    ]


def _transactions(session: Session, _statement: Show) -> list[list[Any]]:
    """The open transactions of the user's sessions."""
    rows: list[list[Any]] = []
    for other in session.account.state(Clients).sessions():
        number = other.transaction.id
        if other.transaction.journal is not None and other.user == session.user:
            started = datetime.fromtimestamp(number / 10**9, UTC)
            rows.append([number, other.user, other.id, f"transaction-{number}", started, "running", 0])
    return rows


SHOWN = {
    "VARIABLES": Shown(_VARIABLES, _variables),
    "TRANSACTIONS": Shown(_TRANSACTIONS, _transactions),
    "REGIONS": Shown(_REGIONS, _regions, "snowflake_region"),
    "PIPES": Shown(_PIPES, _none),
    "EXTERNAL TABLES": Shown(_EXTERNAL_TABLES, _none),
    "SHARES": Shown(_SHARES, _none),
    "NETWORK POLICIES": Shown(_POLICIES, _none),
}
