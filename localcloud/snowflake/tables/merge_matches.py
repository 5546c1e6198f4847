"""Resolution of multiple source rows that match the same target row of a MERGE.

Several DELETEs of a row are deterministic; any other combination is nondeterministic.
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.snowflake.failures import failure
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session

PARAMETER = "ERROR_ON_NONDETERMINISTIC_MERGE"
_CHOSEN = "_merge_matches"
_TARGET = "_target"
# The macros of timestamps, which are casts of one operand.
_CASTS = re.compile(r"(?:^|\.)_(?:ntz|ltz)(?:_of_moment)?(?:_once)?$")


def resolve(session: Session, runner: Runner, statement: exp.Merge) -> None:
    """Leave at most one source row for each target row, in place. Raises 100090 where Snowflake does.

    DuckDB checks too, but only while it writes, which would abort the open transaction.
    """
    matched = [when for when in statement.args["whens"].expressions if when.args.get("matched")]
    if not matched:
        return
    target, source = _rowid(statement.this), _rowid(statement.args["using"])
    changing = _action(matched)
    several = (
        exp.select(exp.alias_(exp.func("BOOL_OR", exp.EQ(this=changing.copy(), expression=_text("UPDATE"))), "updates"))
        .from_(statement.this.copy())
        .join(statement.args["using"].copy(), on=statement.args["on"].copy(), join_type="inner")
        .where(exp.Not(this=exp.Is(this=changing.copy(), expression=exp.null())))
        .group_by(target)
        .having("COUNT(*) > 1")
    )
    session.duck.execute(runner.duck_sql(session, several))
    found = [row[0] for row in session.duck.fetchall()]
    if any(found) and str(session.parameters.get(PARAMETER, True)).upper() != "FALSE":
        raise failure(100_090, "42P18", "Duplicate row detected during DML action")
    if found:
        _select_first(session, runner, statement, target, source, changing)


def any_match(session: Session, runner: Runner, statement: exp.Merge) -> bool:
    """Whether a row of the source matches one of the target."""
    query = (
        exp.select("1")
        .from_(statement.this.copy())
        .join(statement.args["using"].copy(), on=statement.args["on"].copy(), join_type="inner")
        .limit(1)
    )
    session.duck.execute(runner.duck_sql(session, query))
    return bool(session.duck.fetchall())


def may_match(session: Session, runner: Runner, statement: exp.Merge) -> bool:
    """Whether the target has a row with the constants that ON requires: a quick look that does not read the source.

    ``USING (SELECT 1 AS version, ...) AS s ON t.id = s.id AND t.version = s.version`` requires ``t.version = 1``.
    """
    query = exp.select("1").from_(statement.this.copy()).limit(1)
    for condition in _constant_conditions(statement):
        query = query.where(condition)
    session.duck.execute(runner.duck_sql(session, query))
    return bool(session.duck.fetchall())


def _constant_conditions(statement: exp.Merge) -> list[exp.Expr]:
    using, on = statement.args["using"], statement.args["on"].unnest()
    select = using.this if isinstance(using, exp.Subquery) else None
    if not isinstance(select, exp.Select) or statement.args.get("with_") is not None:
        return []
    constants = {part.alias.upper(): part.this for part in select.expressions if _is_constant(part)}
    target, source = statement.this.alias_or_name.upper(), using.alias_or_name.upper()
    found: list[exp.Expr] = []
    for part in on.flatten() if isinstance(on, exp.And) else [on]:
        sides = part.unnest()
        if not isinstance(sides, exp.EQ):
            continue
        for own, other in ((sides.this, sides.expression), (sides.expression, sides.this)):
            if _is_of(own, target) and _is_of(other, source) and other.name.upper() in constants:
                found.append(exp.EQ(this=own.copy(), expression=constants[other.name.upper()].copy()))
    return found


def _is_of(side: exp.Expr, table: str) -> bool:
    return isinstance(side, exp.Column) and side.table.upper() == table


def _is_constant(projection: exp.Expr) -> bool:
    """Whether a column of the source is a literal, with casts around it."""
    if not isinstance(projection, exp.Alias):
        return False
    value = projection.this
    while isinstance(value, exp.Paren | exp.Cast) or (isinstance(value, exp.Anonymous) and _is_cast(value)):
        value = value.expressions[0] if isinstance(value, exp.Anonymous) else value.this
    return isinstance(value, exp.Literal)


def _is_cast(call: exp.Anonymous) -> bool:
    return len(call.expressions) == 1 and bool(_CASTS.search(str(call.this).lower()))


def drop(session: Session) -> None:
    session.duck.execute(f"DROP TABLE IF EXISTS temp.main.{_CHOSEN}")


def _select_first(
    session: Session, runner: Runner, statement: exp.Merge, target: exp.Column, source: exp.Column, changing: exp.Expr
) -> None:
    """Select the first source row that changes each target row, in source order. Rows without a match are kept."""
    using = statement.args["using"]
    order = exp.Order(
        expressions=[
            exp.Ordered(this=exp.Paren(this=exp.Is(this=changing.copy(), expression=exp.null())), nulls_first=False),
            exp.Ordered(this=source.copy(), nulls_first=False),
        ]
    )
    row_number = exp.Window(this=exp.RowNumber(), partition_by=[target.copy()], order=order)
    query = (
        exp.select(
            exp.Column(this=exp.Star(), table=exp.to_identifier(source.table, quoted=True)),
            exp.alias_(target.copy(), _TARGET, quoted=True),
        )
        .from_(using.copy())
        .join(statement.this.copy(), on=statement.args["on"].copy(), join_type="left")
    )
    first = exp.EQ(this=row_number, expression=exp.Literal.number(1))
    query.set("qualify", exp.Qualify(this=exp.or_(exp.Is(this=target.copy(), expression=exp.null()), first)))
    session.duck.execute(f"CREATE OR REPLACE TEMPORARY TABLE {_CHOSEN} AS {runner.duck_sql(session, query)}")
    chosen = exp.table_(_CHOSEN, db="main", catalog="temp", quoted=True)
    chosen.set("alias", using.args["alias"].copy())
    statement.set("using", chosen)
    statement.set("on", exp.EQ(this=target.copy(), expression=exp.column(_TARGET, table=source.table, quoted=True)))


def _rowid(table: exp.Expr) -> exp.Column:
    return exp.column("rowid", table=exp.to_identifier(table.alias_or_name, quoted=True))


def _action(matched: list[exp.When]) -> exp.Case:
    """The action of the first clause that applies to a pair of rows: UPDATE, DELETE, or NULL for none."""
    found = exp.Case(ifs=[])
    for when in matched:
        word = _text("UPDATE" if isinstance(when.args["then"], exp.Update) else "DELETE")
        condition = when.args.get("condition")
        found = found.when(condition.copy() if condition is not None else exp.true(), word)
    return found


def _text(word: str) -> exp.Literal:
    return exp.Literal.string(word)
