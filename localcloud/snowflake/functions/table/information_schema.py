"""Table functions of INFORMATION_SCHEMA that this server answers itself.

``TABLE(INFORMATION_SCHEMA.F(NAME => value, ..))`` becomes a temporary table. DuckDB computes the arguments before the query runs,
because they may be any constant expression.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.result import rows_result
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import local_table


def called(node: exp.Expr, names: Collection[str]) -> tuple[str, exp.Anonymous] | None:
    """The function's name and its call if ``node`` is ``TABLE(..)`` of one of ``names``."""
    inner = node.this if isinstance(node, exp.TableFromRows) else None
    while isinstance(inner, exp.Dot):
        inner = inner.expression
    name = str(inner.this).upper() if isinstance(inner, exp.Anonymous) else ""
    return (name, inner) if name in names and isinstance(inner, exp.Anonymous) else None


def arguments(
    session: Session, runner: Runner, name: str, call: exp.Anonymous, known: Collection[str]
) -> dict[str, Any]:
    """The values of the named arguments, by lowercase name."""
    given = {}
    for item in call.expressions:
        if not isinstance(item, exp.Kwarg):
            raise compilation(1044, "42P13", f"Invalid argument types for function '{name}'")
        argument = item.name.upper()
        if argument not in known:
            raise compilation(1044, "42P13", f"Invalid argument name '{argument}' for function '{name}'")
        given[argument.lower()] = _constant(session, runner, item.expression)
    return given


def _constant(session: Session, runner: Runner, value: exp.Expr) -> Any:
    sql = runner.query_sql(session, f"SELECT {value.sql(dialect='snowflake')}")
    return session.duck.execute(sql).fetchall()[0][0]


def answered(
    session: Session, node: exp.Expr, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]
) -> exp.Table:
    """The rows as a temporary table of the session, with the alias of ``node``."""
    result = rows_result(columns, rows, 0)
    local = f"_rows_{uuid.uuid4().hex}"
    casts = ", ".join(f'CAST("{column}" AS {type_}) AS "{column}"' for column, type_ in result.types)
    session.duck.store(local, result.table, f"SELECT {casts}")
    return local_table(local, node.args.get("alias"))
