"""SYSTEM$ functions that the connector, Snowpark and tasks call; others are not supported."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.streams import queries as streams
from localcloud.snowflake.objects.tasks import functions as tasks
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.session import Session


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
    if name in ("SYSTEM$STREAM_HAS_DATA", "SYSTEM$STREAM_GET_TABLE_TIMESTAMP"):
        return _stream_function(node, name, session)
    if name in tasks.NAMES:
        return tasks.call(node, name, session)
    raise unsupported(f"the function {name}")


def _stream_function(node: exp.Anonymous, name: str, session: Session) -> exp.Expr:
    if len(node.expressions) != 1 or not node.expressions[0].is_string:
        raise compilation(1044, "42P13", f"Invalid argument types for function '{name}'")
    argument = node.expressions[0].name
    if name == "SYSTEM$STREAM_HAS_DATA":
        return exp.Boolean(this=streams.has_data(session, argument))
    return exp.Literal.number(streams.table_timestamp(session, argument))


def _integer(node: exp.Anonymous, name: str) -> int:
    argument = node.expressions[0] if node.expressions else None
    if argument is None or not str(argument.name).isdecimal():
        raise compilation(1044, "42P13", f"Invalid argument types for function '{name}'")
    return int(argument.name)
