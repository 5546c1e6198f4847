"""CALL of a procedure.

The handler runs in its own process, with a Snowpark session nested in the caller's session. The result is one value
named after the procedure, or the rows of the DataFrame that it returns. A procedure with owner's rights runs with its
owner's role in its own database and schema; the caller's are restored afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.failures import compilation, failure
from localcloud.snowflake.result import Result
from localcloud.snowflake.routines.python import types
from localcloud.snowflake.routines.python.objects import Procedure
from localcloud.snowflake.routines.python.procedures import checked
from localcloud.snowflake.routines.python.rewrite import resolved
from localcloud.snowflake.routines.python.runtime.nested_session import nested_session
from localcloud.snowflake.routines.python.state import Python
from localcloud.snowflake.routines.python.syntax import Call, CreateProcedure
from localcloud.snowflake.routines.python.worker import messages
from localcloud.snowflake.routines.python.worker.values import arrow_type
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import PUBLIC, Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.bindings import bind
from localcloud.snowflake.sql.syntax import Type

_TABLE = "_procedure_result"


def run(session: Session, statement: Call, runner: Runner) -> Result:
    made, arguments = _procedure(session, statement)
    definition = made.definition
    columns = _values(session, runner, definition, arguments)
    if definition.strict and any(column[0].as_py() is None for column in columns):
        return _scalar(made, _nulls(definition.returns, 1))
    owner_rights = not definition.as_caller
    with (
        _execution_rights(session, made),
        session.account.state(Python).workers.dedicated(session, made.definition) as worker,
        nested_session(session, runner, owner_rights=owner_rights) as (entry, connection),
    ):
        reply, body = worker.request({"kind": "call", "connection": connection}, messages.packed(columns))
        if reply["kind"] == "table":
            return _table(session, definition, entry.answer_of(reply["query_id"]))
    return _scalar(made, messages.unpacked(body)[0])


def describe(session: Session, statement: Call, _runner: Runner) -> Result:
    """The columns of the result, without running the procedure."""
    made, _ = _procedure(session, statement)
    columns = made.definition.table
    if columns is None:
        return _scalar(made, _nulls(made.definition.returns, 0))
    shown = tuple((column.name, types.column_type(column.type)) for column in columns)
    return Result(pa.table({column.name: _nulls(column.type, 0) for column in columns}), shown)


def _procedure(session: Session, statement: Call) -> tuple[Procedure, list[exp.Expr]]:
    call = parsing.parse(f"SELECT F({statement.arguments})")
    arguments = bind(call, None).selects[0].expressions  # type: ignore[attr-defined]
    name = statement.name
    if statement.anonymous is not None:
        definition = checked(session, statement.anonymous)
        candidates = [
            Procedure(
                path=session.path(name),
                owner=session.role,
                created=session.account.clock.now(),
                session_id=session.id,
                definition=definition,
            )
        ]
    else:
        procedures, path = session.account.state(Python).procedures, session.path(name)
        candidates = procedures.overloads(session.id, path)
        if not candidates and name.schema is None:
            candidates = procedures.overloads(session.id, (path[0], PUBLIC, path[2]))
    if not candidates:
        kind, code = ("function", 2140) if name.schema is None else ("user-defined function", 2141)
        raise compilation(code, "42601", f"Unknown {kind} {name}")
    return resolved(candidates, arguments, name.name)


def _values(session: Session, runner: Runner, definition: CreateProcedure, arguments: list[exp.Expr]) -> list[pa.Array]:
    """One single-value column for each argument."""
    if not arguments:
        return []
    cast = [
        types.cast_argument(value, argument.type)
        for value, argument in zip(arguments, definition.arguments, strict=True)
    ]
    query = exp.select(*[exp.alias_(value, f"A{index}", quoted=True) for index, value in enumerate(cast)])
    return [column.combine_chunks() for column in runner.run_expression(session, query).table.columns]


@contextmanager
def _execution_rights(session: Session, made: Procedure) -> Iterator[None]:
    """For owner's rights: switch to the owner's role and the procedure's database and schema."""
    if made.definition.as_caller:
        yield
        return
    before = session.role, session.database, session.schema
    session.role = made.owner
    session.use(made.path[0], made.path[1])
    try:
        yield
    finally:
        session.role, database, schema = before
        if database is not None and session.account.names.has_database(database):
            session.use(database, schema)


def _nulls(type_: Type, rows: int) -> pa.Array:
    return pa.nulls(rows, arrow_type(types.as_json(type_)))


def _scalar(made: Procedure, column: pa.Array) -> Result:
    name, type_ = made.path[2], made.definition.returns
    return Result(pa.table({name: column}), ((name, types.column_type(type_)),))


def _table(session: Session, definition: CreateProcedure, answer: Result) -> Result:
    """The DataFrame's rows with the names and types declared by RETURNS TABLE, or unchanged when it declares no
    columns."""
    declared = definition.table
    if not declared:
        return answer
    if len(declared) != len(answer.types):
        raise failure(
            100_132,
            "P0000",
            "Declared return type "
            f"'{definition.returned}' is incompatible with actual return type "
            f"'TABLE ({', '.join(f'{name} {type_}' for name, type_ in answer.types)})'",
        )
    casts = [
        f'CAST("{name}" AS {types.column_type(column.type)}) AS "{column.name}"'
        for column, name in zip(declared, answer.table.column_names, strict=True)
    ]
    session.duck.store(_TABLE, answer.table, f"SELECT {', '.join(casts)}")
    session.duck.execute(f'SELECT * FROM temp.main."{_TABLE}"')
    shown = session.duck.to_arrow_table(), tuple(session.duck.types)
    session.duck.execute(f'DROP TABLE temp.main."{_TABLE}"')
    return Result(*shown)
