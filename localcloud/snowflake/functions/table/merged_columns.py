"""The columns that USING and NATURAL merge: ``*`` has them first, in DuckDB at the place of the left table's.

Where joins of one SELECT merge different columns, ``*`` is left as DuckDB orders it.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.functions.probes import columns_of
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import stored


def rewrite(expression: exp.Expr, session: Session, runner: Runner) -> None:
    """Write the merged columns before the rest of every ``*``, in place, innermost SELECT first."""
    for select in reversed(list(expression.find_all(exp.Select))):
        stars = [star for star in select.expressions if isinstance(star, exp.Star) and not star.args.get("ilike")]
        if not stars or select.args.get("laterals"):
            continue
        merged = _merged(select, session, runner)
        for star in stars:
            _write(select, star, merged)


def _write(select: exp.Select, star: exp.Star, merged: list[str]) -> None:
    changed = {
        stored(name) for key in ("rename", "replace") for part in star.args.get(key) or [] for name in _names(part)
    }
    if not merged or changed & set(merged):
        return
    excluded = [*(star.args.get("except_") or [])]
    without = {stored(name) for part in excluded for name in _names(part)}
    star.set("except_", [*excluded, *(_column(name) for name in merged if name not in without)])
    at = select.expressions.index(star)
    first = [_column(name) for name in merged if name not in without]
    select.set("expressions", [*select.expressions[:at], *first, *select.expressions[at:]])


def _names(part: exp.Expr) -> list[exp.Identifier]:
    return list(part.find_all(exp.Identifier))


def _column(name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True))


def _merged(select: exp.Select, session: Session, runner: Runner) -> list[str]:
    start = select.args.get("from_")
    if start is None or start.this.args.get("joins"):
        return []
    source, joins = start.this, select.args.get("joins") or []
    if not joins and isinstance(source, exp.Subquery) and isinstance(source.this, exp.Subquery | exp.Table):
        source, joins = source.this, source.this.args.get("joins") or []
    found = [_of_join(select, source, join, session, runner) for join in joins]
    return found[0] if found and all(columns == found[0] for columns in found) else []


def _of_join(select: exp.Select, source: exp.Expr, join: exp.Join, session: Session, runner: Runner) -> list[str]:
    if join.args.get("using"):
        return [stored(name) for name in join.args["using"]]
    if join.method != "NATURAL":
        return []
    right = set(columns_of(join.this, select, session, runner))
    return [name for name in columns_of(source, select, session, runner) if name in right]
