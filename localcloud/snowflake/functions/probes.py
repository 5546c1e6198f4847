"""What a query that is bound or read before the statement runs may refer to."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session

#: The arguments of a SELECT that hold its sources.
SOURCES = ("from_", "joins", "laterals")


def visible_ctes(node: exp.Expr) -> list[exp.Expr]:
    """Copies of the common table expressions that can be read where ``node`` is, outermost first."""
    found: list[exp.Expr] = []
    inside: exp.Expr = node
    outer: exp.Expr | None = node
    while outer is not None:
        clause = outer.args.get("with_")
        if clause is not None and clause is not inside:
            found = [cte.copy() for cte in clause.expressions] + found
        elif isinstance(outer, exp.With):
            before = outer.expressions[: outer.expressions.index(inside)]
            found = [cte.copy() for cte in before] + found
        inside, outer = outer, outer.parent
    return found


def source_columns(select: exp.Select, table: exp.Expr | None, session: Session, runner: Runner) -> list[str]:
    """The names of all columns of the SELECT's sources, or of the one called ``table``."""
    star = exp.Star() if table is None else exp.Column(this=exp.Star(), table=table.copy())
    probe = exp.Select(expressions=[star])
    for key in SOURCES:
        value = select.args.get(key)
        probe.set(key, [part.copy() for part in value] if isinstance(value, list) else value and value.copy())
    return _described(probe, select, session, runner)


def columns_of(source: exp.Expr, select: exp.Select, session: Session, runner: Runner) -> list[str]:
    """The names of the columns of one source of the SELECT, without what is joined to it."""
    alone = source.copy()
    alone.set("joins", None)
    return _described(exp.select(exp.Star()).from_(alone), select, session, runner)


def _described(probe: exp.Select, select: exp.Select, session: Session, runner: Runner) -> list[str]:
    if ctes := visible_ctes(select):
        probe.set("with_", exp.With(expressions=ctes))
    return [str(row[0]) for row in session.duck.execute(f"DESCRIBE {runner.query_sql(session, probe)}").fetchall()]
