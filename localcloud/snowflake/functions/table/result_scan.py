"""RESULT_SCAN: the rows of an earlier statement as a table.

Snowpark reads every SHOW and DESCRIBE this way, and the connector every asynchronous statement.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.result_cache import ResultCache
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import local_table


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """``TABLE(RESULT_SCAN(..))`` as a temporary table; anything else as it is."""
    call = node.this if isinstance(node, exp.TableFromRows) else None
    if not isinstance(call, exp.Anonymous) or str(call.this).upper() != "RESULT_SCAN" or not call.expressions:
        return node
    argument = call.expressions[0]
    query_id = argument.name if isinstance(argument, exp.Literal) else session.last_query_id
    result = session.account.state(ResultCache).get(query_id, session.user)
    name = f"_result_{query_id.replace('-', '')}"
    casts = [f'CAST("{column}" AS {type_}) AS "{column}"' for column, type_ in _named(result)]
    session.duck.store(name, result.table, f"SELECT {', '.join(casts)}")
    return local_table(name, node.args.get("alias"))


def _named(result: Result) -> list[tuple[str, str]]:
    return [(name, "VARCHAR" if type_ == '"NULL"' else type_) for name, type_ in result.types]
