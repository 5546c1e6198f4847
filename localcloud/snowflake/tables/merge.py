"""MERGE on DuckDB's own MERGE, with Snowflake's duplicate checks and result counts.

The source is materialized in a temporary table, because it is read several times (first to look for duplicates) and may call an
external function. A MERGE that can only insert, because no row of the target matches, is an INSERT in DuckDB, which takes a
fraction of the time; where the target is empty, or has no row with the constants of ON, the source is not even materialized.
"""

from __future__ import annotations

import numpy as np
from sqlglot import exp

from localcloud.snowflake.result import Result, rows_result
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.tables import merge_matches

_MERGE = 0x3400
_SOURCE = "_merge_source"
_KNOWN = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
Columns = list[tuple[str, str]]


def result_columns(expression: exp.Expr) -> Columns | None:
    """The result columns of a DML statement; ``None`` for any other statement."""
    if isinstance(expression, exp.Insert):
        return [("number of rows inserted", "fixed")]
    if isinstance(expression, exp.Delete):
        return [("number of rows deleted", "fixed")]
    if isinstance(expression, exp.Update):
        return [("number of rows updated", "fixed"), ("number of multi-joined rows updated", "fixed")]
    if isinstance(expression, exp.Merge):
        return [(f"number of rows {action}", "fixed") for action in _actions(expression).values()]
    return None


def _actions(statement: exp.Merge) -> dict[str, str]:
    """DuckDB's name of each action in the statement with Snowflake's name, in Snowflake's order."""
    present = {_action(when) for when in _whens(statement)}
    return {word: shown for word, shown in _KNOWN.items() if word in present}


def _whens(statement: exp.Merge) -> list[exp.When]:
    return list(statement.args["whens"].expressions)


def _action(when: exp.When) -> str:
    then = when.args["then"]
    if isinstance(then, exp.Insert):
        return "INSERT"
    return "UPDATE" if isinstance(then, exp.Update) else "DELETE"


def merge(session: Session, runner: Runner, statement: exp.Merge) -> Result:
    """Run a MERGE whose source and conditions are already rewritten. The caller opens the transaction."""
    actions = _actions(statement)
    counts = _merged(session, runner, statement)
    names = [(f"number of rows {shown}", "fixed") for shown in actions.values()]
    return rows_result(names, [[counts.get(word, 0) for word in actions]], _MERGE, required=True)


def _merged(session: Session, runner: Runner, statement: exp.Merge) -> dict[str, int]:
    """Merge, and count the rows by DuckDB's name of the action."""
    inserts = _only_inserts(statement)
    if inserts is not None and not merge_matches.may_match(session, runner, statement):
        return _insert(session, runner, statement, inserts)
    _materialize_source(session, runner, statement)
    if inserts is not None and not merge_matches.any_match(session, runner, statement):
        counts = _insert(session, runner, statement, inserts)
    else:
        merge_matches.resolve(session, runner, statement)
        for when in _whens(statement):
            _unqualify(when)
        counts = _merge(session, runner, statement)
        merge_matches.drop(session)
    session.duck.execute(f"DROP TABLE temp.main.{_SOURCE}")
    return counts


def _merge(session: Session, runner: Runner, statement: exp.Merge) -> dict[str, int]:
    """DuckDB's MERGE. It returns a number for each row, since millions of texts would take longer than the MERGE."""
    cases = " ".join(f"WHEN '{word}' THEN {code}" for code, word in enumerate(_KNOWN))
    coded = f"(CASE merge_action {cases} ELSE {len(_KNOWN)} END)::UTINYINT AS code"
    session.duck.execute(f"{runner.duck_sql(session, statement)} RETURNING {coded}")
    found = np.bincount(session.duck.fetch_numpy()["code"], minlength=len(_KNOWN))
    return {word: int(count) for word, count in zip(_KNOWN, found, strict=False)}


def _only_inserts(statement: exp.Merge) -> exp.When | None:
    """The clause that inserts each row without a match; None where there is none, or more than one decides."""
    found = [when for when in _whens(statement) if not when.args.get("matched")]
    if len(found) != 1 or not isinstance(found[0].args["then"], exp.Insert):
        return None
    values = found[0].args["then"].expression
    return found[0] if isinstance(values, exp.Tuple) and not values.find(exp.Star) else None


def _insert(session: Session, runner: Runner, statement: exp.Merge, when: exp.When) -> dict[str, int]:
    """Insert all rows of the source, since none has a match."""
    then, condition = when.args["then"], when.args.get("condition")
    query = exp.select(*(value.copy() for value in then.expression.expressions)).from_(statement.args["using"].copy())
    if condition is not None:
        query = query.where(condition.copy())
    if (with_ := statement.args.get("with_")) is not None:
        query.set("with_", with_.copy())
    target = exp.table_(*reversed([part.copy() for part in statement.this.parts]))
    into = (
        exp.Schema(this=target, expressions=[_plain(name) for name in then.this.expressions]) if then.this else target
    )
    session.duck.execute(runner.duck_sql(session, exp.Insert(this=into, expression=query)))
    return {"INSERT": int(session.duck.fetchall()[0][0])}


def _plain(name: exp.Expr) -> exp.Identifier:
    """DuckDB expects the column to insert without its table."""
    found = name.this if isinstance(name, exp.Column) else name
    assert isinstance(found, exp.Identifier)
    return found.copy()


def _materialize_source(session: Session, runner: Runner, statement: exp.Merge) -> None:
    source = statement.args["using"]
    query = exp.select("*").from_(source.copy())
    if (with_ := statement.args.pop("with_", None)) is not None:
        query.set("with_", with_)
    session.duck.execute(f"CREATE OR REPLACE TEMPORARY TABLE {_SOURCE} AS {runner.duck_sql(session, query)}")
    alias = exp.to_identifier(source.alias_or_name, quoted=_is_quoted(source))
    local = exp.to_table(f"temp.main.{_SOURCE}")
    for part in local.parts:
        part.set("quoted", True)
    local.set("alias", exp.TableAlias(this=alias))
    statement.set("using", local)


def _is_quoted(source: exp.Expr) -> bool:
    alias = source.args.get("alias")
    identifier = alias.this if alias is not None else source.this
    return bool(isinstance(identifier, exp.Identifier) and identifier.args.get("quoted"))


def _unqualify(when: exp.When) -> None:
    """DuckDB expects the column to set without its table."""
    then = when.args["then"]
    if not isinstance(then, exp.Update):
        return
    for assignment in then.expressions:
        if isinstance(assignment.this, exp.Column):
            assignment.set("this", exp.Column(this=assignment.this.this))
