"""Context functions such as CURRENT_USER().

Their values are in one DuckDB session variable, which the rewritten functions read. A view therefore returns the values of the
session that reads it, as in Snowflake.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.sessions.session import Session

# The DuckDB session variable with the values of the context functions.
CONTEXT = "localcloud_context"
REGION = "AWS_US_EAST_1"
VERSION = "10.0.0"


def context_values(session: Session) -> dict[str, str | None]:
    """The values of the context functions in this session, by name."""
    return {
        "QUERY_ID": session.query_id,
        "CURRENT_USER": session.user,
        "CURRENT_ROLE": session.role,
        "CURRENT_WAREHOUSE": session.warehouse,
        "CURRENT_DATABASE": session.database,
        "CURRENT_SCHEMA": session.schema,
        "CURRENT_ACCOUNT": session.account.name,
        "CURRENT_ACCOUNT_NAME": session.account.name,
        "CURRENT_ORGANIZATION_NAME": "LOCAL",
        "CURRENT_REGION": REGION,
        "CURRENT_SESSION": str(session.id),
        "CURRENT_STATEMENT": session.statement,
        "CURRENT_VERSION": VERSION,
        "CURRENT_CLIENT": "Snowflake",
        "CURRENT_IP_ADDRESS": "127.0.0.1",
        "CURRENT_SECONDARY_ROLES": '{"roles":"","value":""}',
        "LAST_QUERY_ID": session.last_query_id or None,
    }


CONTEXT_NAMES = frozenset(
    {
        *("CURRENT_USER", "CURRENT_ROLE", "CURRENT_WAREHOUSE", "CURRENT_DATABASE", "CURRENT_SCHEMA", "CURRENT_ACCOUNT"),
        *(
            "CURRENT_ACCOUNT_NAME",
            "CURRENT_ORGANIZATION_NAME",
            "CURRENT_REGION",
            "CURRENT_SESSION",
            "CURRENT_STATEMENT",
        ),
        *("CURRENT_VERSION", "CURRENT_CLIENT", "CURRENT_IP_ADDRESS", "CURRENT_SECONDARY_ROLES", "LAST_QUERY_ID"),
    }
)


def context(name: str) -> exp.Expr:
    """DuckDB's expression that reads one value when the statement runs."""
    variable = exp.Anonymous(this="GETVARIABLE", expressions=[exp.Literal.string(CONTEXT)])
    return exp.Anonymous(this="STRUCT_EXTRACT", expressions=[variable, exp.Literal.string(name)])


def rewrite(node: exp.Expr) -> exp.Expr:
    """A context function as DuckDB's expression; any other node as it is."""
    if isinstance(node, exp.Anonymous):
        name = str(node.this).upper()
    elif isinstance(node, exp.Func) and not isinstance(node, exp.CurrentTimestamp):
        name = node.sql_name()
    else:
        return node
    return context(name) if name in CONTEXT_NAMES else node
