"""Rewriting of Python function calls in a query to calls of the internal DuckDB functions.

Selects the overload for a call (``f(..)``, ``schema.f(..)``, ``db.schema.f(..)``) with positional or named arguments
and fills in defaults. Overloads with the same number of arguments are distinguished by type, which is known for
literals and casts only; an ambiguous call is rejected.
"""

from __future__ import annotations

from typing import TypeVar

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.functions.context import context
from localcloud.snowflake.objects.user_functions.calls import called, overloads_of
from localcloud.snowflake.routines.python import types
from localcloud.snowflake.routines.python.objects import PythonFunction, PythonRoutine
from localcloud.snowflake.routines.python.syntax import Routine
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing

_NUMBERS = ("NUMBER", "FLOAT")
_R = TypeVar("_R", bound=PythonRoutine)


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """Replace a call of a Python function with a call of its internal function; return any other node unchanged."""
    found = called(node)
    if found is None:
        return node
    name, call = found
    overloads = [
        function
        for function in overloads_of(name, session)
        if isinstance(function, PythonFunction) and function.definition.table is None
    ]
    if not overloads:
        return node
    made, arguments = resolved(overloads, call.expressions, name.name)
    declared = [argument.type for argument in made.definition.arguments]
    cast = [types.cast_argument(argument.copy(), type_) for argument, type_ in zip(arguments, declared, strict=True)]
    internal = exp.Anonymous(this=made.internal, expressions=[context("QUERY_ID"), *cast])
    return types.cast_result(internal, made.definition.returns)


def resolved(overloads: list[_R], arguments: list[exp.Expr], name: str) -> tuple[_R, list[exp.Expr]]:
    """The overload for these arguments, and the arguments in its order with defaults filled in."""
    fitting = [(made, placed) for made in overloads if (placed := _in_order(made.definition, arguments)) is not None]
    if not fitting:
        kinds = ", ".join(_kind(argument) or "?" for argument in arguments)
        raise compilation(
            1044, "42P13", f"error line 1 at position 0\nInvalid argument types for function '{name}': ({kinds})"
        )
    best = max(_match_score(made.definition, placed) for made, placed in fitting)
    (first, *others) = [pair for pair in fitting if _match_score(pair[0].definition, pair[1]) == best]
    if others:
        raise unsupported(
            f"an ambiguous call of the overloaded {name}; cast the arguments to the types of the intended overload"
        )
    return first


def _in_order(definition: Routine, arguments: list[exp.Expr]) -> list[exp.Expr] | None:
    """The arguments in the order of the definition, or ``None`` if they do not match it."""
    names = [argument.name for argument in definition.arguments]
    required = len(names) - len(definition.defaults)
    found: dict[str, exp.Expr] = {}
    for index, argument in enumerate(arguments):
        named = isinstance(argument, exp.Kwarg)
        name = argument.this.name.upper() if named else (names[index] if index < len(names) else None)
        if name not in names or name in found:
            return None
        found[name] = argument.expression if named else argument
    if any(name not in found for name in names[:required]):
        return None
    defaults = dict(zip(names[required:], definition.defaults, strict=True))
    return [found[name] if name in found else _parsed(defaults[name]) for name in names]


def _parsed(default: str) -> exp.Expr:
    query = parsing.parse(f"SELECT {default}")
    expression: exp.Expr = query.selects[0]  # type: ignore[attr-defined]
    return expression


def _match_score(definition: Routine, arguments: list[exp.Expr]) -> int:
    return sum(
        _type_score(argument.type.name, _kind(value))
        for argument, value in zip(definition.arguments, arguments, strict=True)
    )


def _type_score(declared: str, kind: str | None) -> int:
    """How well a value of ``kind`` matches: 2 for the same type, 1 for the same family, 0 for unknown, -1 for another
    type."""
    if kind is None:
        return 0
    if kind == declared:
        return 2
    return 1 if declared in _NUMBERS and kind in _NUMBERS else -1


def _kind(value: exp.Expr) -> str | None:
    """The Snowflake type of a literal or a cast; ``None`` for any other expression."""
    inner = value.unnest()
    if isinstance(inner, exp.Neg):
        inner = inner.this
    if isinstance(inner, exp.Boolean):
        return "BOOLEAN"
    if isinstance(inner, exp.Literal):
        return "VARCHAR" if inner.is_string else "NUMBER"
    if isinstance(inner, exp.Cast):
        return _cast_kind(inner.to)
    return None


def _cast_kind(to: exp.DataType) -> str | None:
    if to.is_type(*exp.DataType.INTEGER_TYPES, exp.DataType.Type.DECIMAL):
        return "NUMBER"
    if to.is_type(*exp.DataType.TEXT_TYPES):
        return "VARCHAR"
    if to.is_type(exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE):
        return "FLOAT"
    names = {"TIMESTAMP": "TIMESTAMP_NTZ", "TIMESTAMPNTZ": "TIMESTAMP_NTZ", "TIMESTAMPLTZ": "TIMESTAMP_LTZ"}
    written = to.this.value if isinstance(to.this, exp.DataType.Type) else str(to.this)
    return names.get(written, {"TIMESTAMPTZ": "TIMESTAMP_TZ"}.get(written, written))
