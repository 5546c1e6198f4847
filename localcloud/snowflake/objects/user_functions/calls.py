"""Calls of user-defined functions in a query: ``f(..)``, ``schema.f(..)``, ``db.schema.f(..)``, and the overloads of the name."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.user_functions.feature import FUNCTION
from localcloud.snowflake.objects.user_functions.function import UserFunction
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name


def called(node: exp.Expr) -> tuple[Name, exp.Anonymous] | None:
    """The name and the call, if the node may be a call of a user-defined function."""
    if isinstance(node.parent, exp.Dot) and node.arg_key == "expression":
        # The end of a qualified name, which is found with the Dot itself.
        return None
    if isinstance(node, exp.Anonymous):
        return Name(_function_name(node)), node
    if not isinstance(node, exp.Dot) or not isinstance(node.expression, exp.Anonymous):
        return None
    parts = [_part(part) for part in _dotted(node.this)]
    if not 1 <= len(parts) <= 2 or None in parts:
        return None
    database = parts[0] if len(parts) == 2 else None
    return Name(_function_name(node.expression), parts[-1], database), node.expression


def overloads_of(name: Name, session: Session) -> list[UserFunction]:
    """The functions of this name, of every language; none without a current schema."""
    functions = session.account.state(SchemaObjects).of(FUNCTION)
    if name.schema is not None:
        database = name.database or session.database
        return functions.overloads(session.id, (database, name.schema, name.name)) if database else []
    for database, schema in session.search_path() if not functions.empty else ():
        if found := functions.overloads(session.id, (database, schema, name.name)):
            return found
    return []


def _function_name(node: exp.Anonymous) -> str:
    this = node.this
    if isinstance(this, exp.Identifier):
        return str(this.this) if this.args.get("quoted") else str(this.this).upper()
    return str(this).upper()


def _dotted(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Dot):
        return [*_dotted(node.this), node.expression]
    if isinstance(node, exp.Column):
        return list(node.parts)
    return [node]


def _part(node: exp.Expr) -> str | None:
    if not isinstance(node, exp.Identifier):
        return None
    text: str = node.this
    return text if node.args.get("quoted") else text.upper()
