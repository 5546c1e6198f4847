"""Calls of Python table functions, ``TABLE(f(..))``, as a subquery over the list of rows that the handler yields for one input row.

The columns of the arguments belong to the sources before it, which DuckDB joins laterally.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.functions.context import context
from localcloud.snowflake.objects.user_functions.calls import called, overloads_of
from localcloud.snowflake.routines.python import types
from localcloud.snowflake.routines.python.objects import PythonFunction
from localcloud.snowflake.routines.python.rewrite import resolved
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Argument

_ROW = "_row"


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """Replace a call of a Python table function; return any other node unchanged."""
    if not isinstance(node, exp.Lateral | exp.TableFromRows):
        return node
    over = node.this if isinstance(node.this, exp.Window) else None
    found = called(over.this if over is not None else node.this)
    if found is None:
        return node
    name, call = found
    overloads = [made for made in overloads_of(name, session) if isinstance(made, PythonFunction)]
    tables = [made for made in overloads if made.definition.table is not None]
    if not tables:
        if overloads:
            raise compilation(2141, "42601", f"Unknown table function {name.name}")
        return node
    if over is not None and (over.args.get("partition_by") or over.args.get("order")):
        raise unsupported("PARTITION BY and ORDER BY of a table function in Python; the handler gets each row alone")
    made, arguments = resolved(tables, call.expressions, name.name)
    join = node.parent
    if isinstance(join, exp.Join) and join.side and not join.args.get("on"):
        join.set("on", exp.true())
    return _rows(made, arguments, node.args.get("alias"))


def _rows(made: PythonFunction, arguments: list[exp.Expr], alias: exp.Expr | None) -> exp.Expr:
    declared = [argument.type for argument in made.definition.arguments]
    cast = [types.cast_argument(argument.copy(), type_) for argument, type_ in zip(arguments, declared, strict=True)]
    internal = exp.Anonymous(this=made.internal, expressions=[context("QUERY_ID"), *cast])
    unnested = exp.alias_(exp.Anonymous(this="UNNEST", expressions=[internal]), _ROW, quoted=True)
    columns = [_column(column) for column in made.definition.table or ()]
    query = exp.Select(expressions=columns)
    query.set("from_", exp.From(this=exp.Subquery(this=exp.Select(expressions=[unnested]))))
    return exp.Subquery(this=query, alias=alias.copy() if alias is not None else None)


def _column(column: Argument) -> exp.Expr:
    row = exp.column(exp.to_identifier(_ROW, quoted=True))
    value = exp.Anonymous(this="STRUCT_EXTRACT", expressions=[row, exp.Literal.string(column.name)])
    return exp.alias_(types.cast_result(value, column.type), column.name, quoted=True)
