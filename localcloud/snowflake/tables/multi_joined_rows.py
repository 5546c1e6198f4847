"""Number of target rows of UPDATE ... FROM that several source rows match, as Snowflake reports it.

The count reads the sources once more, so statements that call user-defined functions are not counted.
"""

from __future__ import annotations

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session


def count(session: Session, runner: Runner, statement: exp.Expr) -> int:
    """Count the rows before the statement runs; 0 for anything but an UPDATE with sources."""
    source = statement.args.get("from_") if isinstance(statement, exp.Update) else None
    if source is None or any(node.find(exp.Anonymous) for node in (source, statement.args.get("where")) if node):
        return 0
    target = statement.this
    rowid = exp.column("rowid", table=exp.to_identifier(target.alias_or_name, quoted=True))
    query = exp.select(rowid).from_(target.copy()).join(source.this.copy(), join_type="cross")
    if (where := statement.args.get("where")) is not None:
        query.set("where", where.copy())
    query = query.group_by(rowid.copy()).having("COUNT(*) > 1")
    session.duck.execute(f"SELECT COUNT(*) FROM ({runner.duck_sql(session, query)})")
    return int(session.duck.fetchall()[0][0])


def with_count(result: Result, rows: int) -> Result:
    """The result of the UPDATE with the number in its second column."""
    name = result.table.column_names[1]
    table = result.table.set_column(1, name, pa.array([rows], result.table.schema.field(1).type))
    return Result(table, result.types, result.type_id)
