"""SAMPLE and TABLESAMPLE in DuckDB's syntax.

In Snowflake a sample of a fixed size takes neither BLOCK nor a seed, and a sample of a subquery takes no seed.
"""

from __future__ import annotations

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import compilation

_METHODS = {"ROW": "BERNOULLI", "BERNOULLI": "BERNOULLI", "BLOCK": "SYSTEM", "SYSTEM": "SYSTEM"}
_MOST_ROWS = 1_000_000


def rewrite(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.TableSample):
        return node
    method = _METHODS[node.args["method"].name.upper()] if node.args.get("method") else "BERNOULLI"
    if node.args.get("seed") is not None and isinstance(node.parent, exp.Subquery):
        raise _refused("Sampling with a seed is not supported on views or subqueries.")
    if (size := node.args.get("size")) is not None:
        if method == "SYSTEM":
            raise _refused("Sampling by block is not supported with a fixed number of rows.")
        if node.args.get("seed") is not None:
            raise _refused("Sampling with a seed is not supported with a fixed number of rows.")
        if isinstance(size, exp.Literal) and int(size.name) > _MOST_ROWS:
            raise _refused(f"A sample has at most {_MOST_ROWS} rows.")
        method = "RESERVOIR"
    node.set("method", exp.var(method))
    return node


def _refused(text: str) -> ProgrammingError:
    return compilation(2, "0A000", text)
