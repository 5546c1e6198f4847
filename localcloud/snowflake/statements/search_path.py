"""Names without a schema in queries: looked up in the schemas of SEARCH_PATH, by default the current schema, then PUBLIC.

Names in DDL, and the tables that DML writes, are those of the current schema only.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.functions.probes import visible_ctes
from localcloud.snowflake.objects import schema_statements
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import stored


def rewrite(expression: exp.Expr, session: Session) -> None:
    """Write the schema before the names that the current schema does not have, or has later in the path, in place."""
    current, searched = (session.database, session.schema), session.search_path()
    if searched in ([current], []):
        return
    for table in expression.find_all(exp.Table):
        if not isinstance(table.parent, exp.From | exp.Join) or table.args.get("db"):
            continue
        if not isinstance(table.this, exp.Identifier) or _is_cte(table):
            continue
        name = stored(table.this)
        found = next((place for place in searched if _exists(session, (*place, name))), None)
        if found not in (None, current):
            _qualify(table, *found)


def _qualify(table: exp.Table, database: str, schema: str) -> None:
    table.set("db", exp.to_identifier(schema, quoted=True))
    table.set("catalog", exp.to_identifier(database, quoted=True))
    if not table.args.get("alias"):
        table.set("alias", exp.TableAlias(this=table.this.copy()))


def _is_cte(table: exp.Table) -> bool:
    ctes = {stored(cte.args["alias"].this) for cte in visible_ctes(table) if isinstance(cte, exp.CTE)}
    return stored(table.this) in ctes


def _exists(session: Session, path: tuple[str, str, str]) -> bool:
    if path in session.temporary or session.account.names.kind(path) is not None:
        return True
    return schema_statements.owner_of_name(session, path) is not None
