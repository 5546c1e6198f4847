"""RESULT_SCAN: the rows of an earlier statement as a table.

In: a query with ``TABLE(RESULT_SCAN('id'))``. Out: the same query over a session-local copy of those rows. The surprise: Snowpark
reads every SHOW and DESCRIBE this way, and the connector every asynchronous statement.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from sqlglot import exp

from localcloud.snowflake.failures import failure
from localcloud.snowflake.result import Result

if TYPE_CHECKING:
    from localcloud.snowflake.sessions.session import Session

_KEPT = 200
_LARGEST_BYTES = 64 * 2**20
_ALL_BYTES = 512 * 2**20


class RecentResults:
    """The newest results of one server, by query id, each for the user who asked; very large ones are not kept."""

    def __init__(self) -> None:
        self._results: OrderedDict[str, tuple[str, Result]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, query_id: str, user: str, result: Result) -> None:
        if result.table.nbytes > _LARGEST_BYTES:
            return
        with self._lock:
            self._results[query_id] = (user, result)
            while len(self._results) > _KEPT or self._bytes() > _ALL_BYTES:
                self._results.popitem(last=False)

    def _bytes(self) -> int:
        return sum(result.table.nbytes for _, result in self._results.values())

    def get(self, query_id: str, user: str) -> Result:
        with self._lock:
            owner, result = self._results.get(query_id, ("", None))
        if result is None or owner != user:
            raise failure(709, "02000", f"Statement {query_id} not found")
        return result


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """``TABLE(RESULT_SCAN(..))`` as a temporary table; anything else as it is."""
    call = node.this if isinstance(node, exp.TableFromRows) else None
    if not isinstance(call, exp.Anonymous) or str(call.this).upper() != "RESULT_SCAN" or not call.expressions:
        return node
    argument = call.expressions[0]
    query_id = argument.name if isinstance(argument, exp.Literal) else session.last_query_id
    result = session.engine.results.get(query_id, session.user)
    name = f"_result_{query_id.replace('-', '')}"
    casts = [f'CAST("{column}" AS {type_}) AS "{column}"' for column, type_ in _named(result)]
    session.duck.store(name, result.table, f"SELECT {', '.join(casts)}")
    table = exp.Table(
        this=exp.to_identifier(name, quoted=True),
        db=exp.to_identifier("main", quoted=True),
        catalog=exp.to_identifier("temp", quoted=True),
    )
    table.set("alias", node.args.get("alias"))
    return table


def _named(result: Result) -> list[tuple[str, str]]:
    return [(name, "VARCHAR" if type_ == '"NULL"' else type_) for name, type_ in result.types]
