"""Rewriting of external function calls in a query to calls of the internal DuckDB functions.

A call (``f(..)``, ``schema.f(..)``, ``db.schema.f(..)``) becomes ``fetch(send(row text))``; both functions take the id
of the running query as a hidden first argument. The id is read when the query runs, so a call in a view belongs to the
query that reads the view.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.functions.context import context
from localcloud.snowflake.objects.external_functions.function import ExternalFunction
from localcloud.snowflake.objects.external_functions.http.response import cast_result
from localcloud.snowflake.objects.external_functions.registry import FETCHES, SENDS
from localcloud.snowflake.objects.external_functions.row_encoding import JSON_TYPES, row_text
from localcloud.snowflake.objects.user_functions.calls import called, overloads_of
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name

_JSON_NODES = (exp.Struct, exp.JSONObject, exp.ParseJSON, exp.StarMap, exp.ToVariant, exp.JSONExtract)


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """Replace a call of an external function with a call of its internal functions; return any other node unchanged."""
    found = called(node)
    if found is None:
        return node
    name, call = found
    all_overloads = overloads_of(name, session)
    overloads = [one for one in all_overloads if isinstance(one, ExternalFunction)]
    if not all_overloads and name.schema is not None:
        raise compilation(2141, "42601", f"Unknown user-defined function {name}")
    fits = any(len(one.types) == len(call.expressions) for one in overloads)
    # Functions of another kind are resolved by their own rewriting.
    if not overloads or (len(overloads) < len(all_overloads) and not fits):
        return node
    return _by_type(_candidates(overloads, call.expressions, name), call.expressions)


def _candidates(overloads: list[ExternalFunction], arguments: list[exp.Expr], name: Name) -> list[ExternalFunction]:
    """The overloads that match by number of arguments and, among several, by which arguments are objects."""
    fitting = [function for function in overloads if len(function.types) == len(arguments)]
    if not fitting:
        text = f"Invalid argument types for function '{name.name}': {len(arguments)} argument(s)"
        raise compilation(1044, "42P13", text)
    objects = [index for index, argument in enumerate(arguments) if _is_json(argument)]
    by_object = [function for function in fitting if all(function.types[index] in JSON_TYPES for index in objects)]
    return (by_object or fitting) if objects else fitting


def _is_json(argument: exp.Expr) -> bool:
    inner = argument.unnest()
    if isinstance(inner, exp.Cast):
        return inner.to.this in (exp.DataType.Type.OBJECT, exp.DataType.Type.VARIANT, exp.DataType.Type.ARRAY)
    return isinstance(inner, _JSON_NODES) or (isinstance(inner, exp.Anonymous) and "JSON" in str(inner.this).upper())


def _by_type(fitting: list[ExternalFunction], arguments: list[exp.Expr]) -> exp.Expr:
    """Choose between an overload for a scalar and one for an object by the type of the first argument, which only
    DuckDB knows."""
    scalar = [function for function in fitting if function.types[:1] and function.types[0] not in JSON_TYPES]
    objects = [function for function in fitting if function not in scalar]
    if not scalar or not objects:
        return _internal_call(fitting[0], arguments)
    type_of = exp.Anonymous(this="TYPEOF", expressions=[arguments[0].copy()])
    return exp.Case(
        ifs=[
            exp.If(
                this=exp.EQ(this=type_of, expression=exp.Literal.string("JSON")),
                true=_internal_call(objects[0], arguments),
            )
        ],
        default=_internal_call(scalar[0], arguments),
    )


def _internal_call(function: ExternalFunction, arguments: list[exp.Expr]) -> exp.Expr:
    definition = function.definition
    text = row_text(arguments, [argument.type for argument in definition.arguments], strict=definition.strict)
    sent = exp.Anonymous(this=function.internal + SENDS, expressions=[context("QUERY_ID"), text])
    fetched = exp.Anonymous(this=function.internal + FETCHES, expressions=[context("QUERY_ID"), sent])
    return cast_result(fetched, definition.returns)
