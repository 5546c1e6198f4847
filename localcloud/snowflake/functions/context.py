"""Context functions such as CURRENT_USER().

Their values are in one DuckDB session variable, which the rewritten functions read. A view therefore returns the values of the
session that reads it, as in Snowflake.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import TIMES

# The DuckDB session variable with the values of the context functions.
CONTEXT = "localcloud_context"
REGION = "AWS_US_EAST_1"
VERSION = "10.0.0"
_CALLS: dict[type[exp.Expr], str] = {
    exp.CurrentDate: "TODAY",
    **dict.fromkeys((exp.CurrentTime, exp.Localtime), "CURRENT_LOCALTIME"),
    **dict.fromkeys((exp.CurrentTimestamp, exp.Localtimestamp), "NOW"),
}


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
        "CURRENT_TRANSACTION": str(session.transaction.id) if session.transaction.journal is not None else None,
        "CURRENT_VERSION": VERSION,
        "CURRENT_CLIENT": session.client,
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
            "CURRENT_TRANSACTION",
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
    if isinstance(node, TIMES):
        return _time(node)
    if isinstance(node, exp.Anonymous):
        name = str(node.this).upper()
    elif isinstance(node, exp.Func):
        name = node.sql_name()
    else:
        return node
    return context(name) if name in CONTEXT_NAMES else node


def _time(node: exp.Expr) -> exp.Expr:
    """A call with parentheses: DuckDB would read CURRENT_DATE as the alias CURRENT_DATE of the same SELECT."""
    if node.args.get("sysdate") or node.find_ancestor(exp.Select) is None:
        return node
    return exp.Anonymous(this=_CALLS[type(node)], expressions=[])
