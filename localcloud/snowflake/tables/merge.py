"""MERGE on DuckDB's own MERGE, with Snowflake's duplicate checks and result counts.

The source is materialized in a temporary table, because it is read twice (first to look for duplicates) and may call an
external function.
"""

from __future__ import annotations

from collections import Counter

from sqlglot import exp

from localcloud.snowflake.result import Result, rows_result
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.tables import merge_matches

_MERGE = 0x3400
_SOURCE = "_merge_source"
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
    known = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
    present = {_action(when) for when in _whens(statement)}
    return {word: shown for word, shown in known.items() if word in present}


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
    _materialize_source(session, runner, statement)
    merge_matches.resolve(session, runner, statement)
    for when in _whens(statement):
        _unqualify(when)
    session.duck.execute(f"{runner.duck_sql(session, statement)} RETURNING merge_action")
    counts = Counter(row[0] for row in session.duck.fetchall())
    session.duck.execute(f"DROP TABLE temp.main.{_SOURCE}")
    merge_matches.drop(session)
    names = [(f"number of rows {shown}", "fixed") for shown in actions.values()]
    return rows_result(names, [[counts[word] for word in actions]], _MERGE, required=True)


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
