"""SYSTEM$ functions that the connector, Snowpark and tasks call; others are not supported."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.statements.features import FEATURES


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """A SYSTEM$ function as its value; any other node as it is."""
    if not isinstance(node, exp.Anonymous) or not str(node.this).upper().startswith("SYSTEM$"):
        return node
    name = str(node.this).upper()
    if name == "SYSTEM$CANCEL_ALL_QUERIES":
        session.account.state(Queries).cancel_session(_integer(node, name), but=session)
        return exp.Literal.string("query cancelled.")
    if name == "SYSTEM$CANCEL_QUERY":
        return exp.Literal.string(session.account.state(Queries).cancel(node.expressions[0].name))
    if name == "SYSTEM$GET_SNOWFLAKE_PLATFORM_INFO":
        return exp.Literal.string('{"snowflake-vpc-id":["vpc-local"]}')
    found = next((feature.system_functions[name] for feature in FEATURES if name in feature.system_functions), None)
    if found is None:
        raise unsupported(f"the function {name}")
    return found(node, session)


def _integer(node: exp.Anonymous, name: str) -> int:
    argument = node.expressions[0] if node.expressions else None
    if argument is None or not str(argument.name).isdecimal():
        raise compilation(1044, "42P13", f"Invalid argument types for function '{name}'")
    return int(argument.name)
