"""External functions inside queries: a call in SQL becomes a DuckDB function that sends its rows over HTTP.

In: calls in sqlglot's tree (``f(..)``, ``schema.f(..)``, ``db.schema.f(..)``). Out: calls of an internal DuckDB function, one
an overload, with the running query's id as a hidden first argument, so that a view calls for whoever reads it. The
surprise: DuckDB hands over at most 2,048 rows at a time, and whatever a function raises loses its type on the way out; so the
failure is left with the query and raised there.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from app.local.snowflake.catalog import ExternalFunction
from app.local.snowflake.context import context
from app.local.snowflake.duck import DuckConnection
from app.local.snowflake.external import types
from app.local.snowflake.external.calls import ExternalCaller
from app.local.snowflake.external.request import Call
from app.local.snowflake.failures import compilation
from app.local.snowflake.syntax import Name, Type

if TYPE_CHECKING:
    from app.local.snowflake.engine import Query
    from app.local.snowflake.session import Session

_JSON_NODES = (exp.Struct, exp.JSONObject, exp.ParseJSON, exp.StarMap, exp.ToVariant, exp.JSONExtract)

_CALLS = "_external_function_calls"


class Registry:
    """The DuckDB side: registers and removes the internal functions. One connection holds them all."""

    def __init__(self, duck: DuckConnection, caller: ExternalCaller, queries: dict[str, Query]) -> None:
        self._duck = duck
        self._caller = caller
        self._queries = queries
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def add(self, function: ExternalFunction) -> None:
        """Register an overload, in place of an earlier definition of it."""
        self.remove(function)
        arguments = [types.duck_type(argument.type) for argument in function.definition.arguments]
        with self._lock:
            self._duck.create_function(
                function.internal,
                self._body(function),
                ["VARCHAR", *arguments],
                types.duck_type(function.definition.returns),
                type="arrow",
                null_handling="special",
                side_effects=True,
            )
            self._names.add(function.internal)

    def remove(self, function: ExternalFunction) -> None:
        with self._lock:
            if function.internal in self._names:
                self._duck.remove_function(function.internal)
                self._names.discard(function.internal)

    def _body(self, function: ExternalFunction) -> Callable[..., pa.Array]:
        def call(*columns: pa.ChunkedArray) -> pa.Array:
            query = self._queries[columns[0][0].as_py()]
            try:
                return self._send(function, query, columns[1:], len(columns[0]))
            except ProgrammingError as error:
                query.failure = query.failure or error
                raise

        names = ["query_id", *(f"argument_{index}" for index in range(len(function.definition.arguments)))]
        kind = inspect.Parameter.POSITIONAL_ONLY
        call.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
        return call

    def _send(
        self, function: ExternalFunction, query: Query, columns: tuple[pa.ChunkedArray, ...], count: int
    ) -> pa.Array:
        definition = function.definition
        values = [
            types.to_json(column, argument.type) for column, argument in zip(columns, definition.arguments, strict=True)
        ]
        rows = [list(row) for row in zip(*values, strict=True)] if values else [[] for _ in range(count)]
        sent = [index for index, row in enumerate(rows) if not (definition.strict and None in row)]
        call = Call(function, query.session.query_id, types.context_headers(function, query.session))
        answers = self._caller.call(call, [rows[index] for index in sent], lambda: query.failure is not None)
        found: list[Any] = [None] * count
        for index, answer in zip(sent, answers, strict=True):
            found[index] = answer
        return types.from_json(found, definition.returns, definition.name.name)

    def publish_calls(self, database: str) -> None:
        """Make the caller's records readable as ``<database>.SNOWSAGE_LOCAL.EXTERNAL_FUNCTION_CALLS``."""

        def records(column: pa.ChunkedArray) -> pa.Array:
            text = json.dumps([asdict(record) for record in list(self._caller.records)])
            return pa.array([text] * len(column))

        fields = {"query_id": "VARCHAR", "batch_id": "VARCHAR", "function": "VARCHAR", "rows": "BIGINT"}
        fields |= {"status": "BIGINT", "attempts": "BIGINT", "milliseconds": "DOUBLE"}
        shown = ", ".join(f'call.{name} AS "{_shown_name(name)}"' for name in fields)
        with self._lock:
            self._duck.create_function(
                _CALLS, records, ["VARCHAR"], "VARCHAR", type="arrow", null_handling="special", side_effects=True
            )
            self._names.add(_CALLS)
            self._duck.execute(f"CREATE SCHEMA {database}.SNOWSAGE_LOCAL")
            self._duck.execute(
                f"CREATE VIEW {database}.SNOWSAGE_LOCAL.EXTERNAL_FUNCTION_CALLS AS SELECT {shown} FROM "
                f"(SELECT unnest(from_json({_CALLS}(''), '[{json.dumps(fields)}]')) AS call)"
            )

    def close(self) -> None:
        with self._lock:
            for name in self._names:
                self._duck.remove_function(name)
            self._names.clear()
            self._duck.close()


def _shown_name(field: str) -> str:
    return {"function": "FUNCTION_NAME", "rows": "ROW_COUNT"}.get(field, field.upper())


def rewrite(node: exp.Expr, session: Session) -> exp.Expr:
    """A call of an external function as a call of its internal one; anything else as it is."""
    found = called(node)
    if found is None:
        return node
    name, call = found
    if isinstance(node.parent, exp.Dot) and node.arg_key == "expression":
        return node
    overloads = _overloads(name, session)
    if not overloads:
        if name.schema is not None:
            raise compilation(2141, "42601", f"Unknown user-defined function {name}")
        return node
    return _by_type(_fitting(overloads, call.expressions, name), call.expressions)


def called(node: exp.Expr) -> tuple[Name, exp.Anonymous] | None:
    """The name and the call of what may be a user's function."""
    if isinstance(node, exp.Anonymous):
        return Name(_function_name(node)), node
    if not isinstance(node, exp.Dot) or not isinstance(node.expression, exp.Anonymous):
        return None
    parts = [_part(part) for part in _dotted(node.this)]
    if not 1 <= len(parts) <= 2 or None in parts:
        return None
    database = parts[0] if len(parts) == 2 else None
    return Name(_function_name(node.expression), parts[-1], database), node.expression


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


def _overloads(name: Name, session: Session) -> list[ExternalFunction]:
    database, schema = name.database or session.database, name.schema or session.schema
    if database is None or schema is None:
        return []
    return session.engine.catalog.overloads((database, schema, name.name))


def _fitting(overloads: list[ExternalFunction], arguments: list[exp.Expr], name: Name) -> list[ExternalFunction]:
    """The overloads for these arguments: by their number, and where that leaves several, by what is an object in the call."""
    fitting = [function for function in overloads if len(function.types) == len(arguments)]
    if not fitting:
        text = f"Invalid argument types for function '{name.name}': {len(arguments)} argument(s)"
        raise compilation(1044, "42P13", text)
    objects = [index for index, argument in enumerate(arguments) if _is_json(argument)]
    by_object = [
        function for function in fitting if all(function.types[index] in types.JSON_TYPES for index in objects)
    ]
    return (by_object or fitting) if objects else fitting


def _is_json(argument: exp.Expr) -> bool:
    inner = argument.unnest()
    if isinstance(inner, exp.Cast):
        return inner.to.this in (exp.DataType.Type.OBJECT, exp.DataType.Type.VARIANT, exp.DataType.Type.ARRAY)
    return isinstance(inner, _JSON_NODES) or (isinstance(inner, exp.Anonymous) and "JSON" in str(inner.this).upper())


def _by_type(fitting: list[ExternalFunction], arguments: list[exp.Expr]) -> exp.Expr:
    """Of a form for a scalar and a form for an object, the one that fits the first argument's type, which DuckDB knows."""
    scalar = [function for function in fitting if function.types[:1] and function.types[0] not in types.JSON_TYPES]
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
    declared: list[Type] = [argument.type for argument in function.definition.arguments]
    cast = [types.sent(argument.copy(), type_) for argument, type_ in zip(arguments, declared, strict=True)]
    call = exp.Anonymous(this=function.internal, expressions=[context("QUERY_ID"), *cast])
    return types.received(call, function.definition.returns)
