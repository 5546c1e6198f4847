"""Calls that take time: SYSTEM$WAIT, and GENERATOR with a time limit and no row count. They end when the statement is cancelled."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.session import Session

_SECONDS = {"MILLISECONDS": 0.001, "SECONDS": 1, "MINUTES": 60, "HOURS": 3600, "DAYS": 86_400}
#: Snowflake generates as many rows as it can; the number here depends on the time alone.
_ROWS_PER_S = 1_000_000


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """Wait as long as the call says, and replace it by its value."""
    if isinstance(node, exp.Generator):
        return _generator(node, session)
    if isinstance(node, exp.Anonymous) and str(node.this).upper() == "SYSTEM$WAIT":
        return _wait(node, session)
    return node


def _wait(node: exp.Anonymous, session: Session) -> exp.Expr:
    arguments = [str(argument.name) for argument in node.expressions]
    unit = (arguments[1] if len(arguments) == 2 else "SECONDS").upper()
    if not 1 <= len(arguments) <= 2 or not arguments[0].isdecimal() or unit not in _SECONDS:
        raise compilation(1044, "42P13", "Invalid argument types for function 'SYSTEM$WAIT'")
    session.account.state(Queries).wait(session, int(arguments[0]) * _SECONDS[unit])
    return exp.Literal.string(f"waited {arguments[0]} {unit.lower()}")


def _generator(node: exp.Generator, session: Session) -> exp.Expr:
    rows, limit = node.args.get("rowcount"), node.args.get("timelimit")
    if rows is not None or limit is None:
        return node
    if not str(limit.name).isdecimal() or int(limit.name) == 0:
        raise unsupported("GENERATOR that generates rows until it is cancelled (TIMELIMIT => 0)")
    session.account.state(Queries).wait(session, int(limit.name))
    node.set("timelimit", None)
    node.set("rowcount", exp.Literal.number(int(limit.name) * _ROWS_PER_S))
    return node
