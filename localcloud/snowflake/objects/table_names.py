"""The tables, schemas and databases that statements name."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import stored
from localcloud.snowflake.sql.syntax import Path


def path_of(session: Session, table: exp.Table) -> Path | None:
    """The path of a permanent table; ``None`` for a temporary one, and where the session has no current schema."""
    parts = (table.args.get("catalog"), table.args.get("db"), table.this)
    names = [stored(part) if isinstance(part, exp.Identifier) else None for part in parts]
    database, schema, name = names[0] or session.database, names[1] or session.schema, names[2]
    if database is None or schema is None or name is None:
        return None
    path = (database, schema, name)
    return None if path in session.temporary else path


def dropped_container(session: Session, expression: exp.Expr) -> tuple[str, ...] | None:
    """``(database,)`` or ``(database, schema)`` that the statement drops or replaces; otherwise ``None``."""
    kind, table = str(expression.args.get("kind") or "").upper(), expression.find(exp.Table)
    replaces = isinstance(expression, exp.Create) and expression.args.get("replace")
    if kind not in ("SCHEMA", "DATABASE") or table is None or not (replaces or isinstance(expression, exp.Drop)):
        return None
    parts = tuple(stored(part) for part in table.parts if isinstance(part, exp.Identifier))
    return parts if kind == "DATABASE" or len(parts) == 2 else (session.database or "", *parts)
