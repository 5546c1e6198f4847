"""Sequences, and the AUTOINCREMENT and IDENTITY columns that take their values from one.

Values come from a DuckDB function that is registered for the account: each call takes the next value, in any session and
transaction, and a rollback does not return values. Values are in order of the calls, also for NOORDER.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any, TypeGuard

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.failures import compilation, failure, invalid_identifier, unsupported
from localcloud.snowflake.functions.context import context
from localcloud.snowflake.objects.feature import (
    Columns,
    CreateHead,
    Description,
    Feature,
    Listing,
    Options,
    SchemaCreated,
    SchemaKind,
)
from localcloud.snowflake.objects.store import SchemaObject, SchemaObjects, Store
from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.names import stored, table_name
from localcloud.snowflake.sql.syntax import Alter, Creation, Name, Path, Statement
from localcloud.snowflake.sql.tokens import TokenStream, integer_option, text_option

_LEAST, _MOST = -(2**63), 2**63 - 1
_FUNCTION = "_sequence_value"
_NEXTVAL = "NEXTVAL"
_SOURCES = (exp.Table, exp.Subquery, exp.TableFromRows, exp.Values, exp.Lateral)
_STORED_DEFAULT = re.compile(rf"{_FUNCTION}\(.*, '(?P<key>.*)'\)")
_COLUMNS: Columns = [
    *[("name", "text"), ("database_name", "text"), ("schema_name", "text"), ("next_value", "number")],
    *[("interval", "number"), ("created_on", "timestamp_ltz"), ("owner", "text"), ("comment", "text")],
    *[("owner_role_type", "text"), ("ordered", "text")],
]


@dataclass
class Counter:
    """``next``: the value of the next call. A change of ``step`` takes effect after it."""

    next: int
    step: int
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> range:
        """Take the next ``count`` values. Raises code 100038 for a value beyond 64 bits."""
        with self._lock:
            taken = range(self.next, self.next + count * self.step, self.step)
            if not _LEAST <= taken[-1] <= _MOST:
                raise failure(100_038, "22003", f"Sequence value {taken[-1]} is out of the range of 64-bit integers.")
            self.next += count * self.step
            return taken


@dataclass(eq=False, kw_only=True)
class Sequence(SchemaObject):
    """``start``: the value that CREATE SEQUENCE gave."""

    counter: Counter
    ordered: bool
    start: int


@dataclass(frozen=True)
class CreateSequence(Creation):
    start: int = 1
    step: int = 1
    ordered: bool = False


def _properties(stream: TokenStream, *known: str) -> dict[str, Any]:
    """``START [WITH] [=] n``, ``INCREMENT [BY] [=] n``, ``ORDER``, ``NOORDER`` and ``COMMENT = 'text'``, each at most once."""
    found: dict[str, Any] = {}
    while (word := next((word for word in known if stream.accept(word)), None)) is not None:
        name = "ORDER" if word == "NOORDER" else word
        if name in found:
            raise compilation(1427, "22023", f"duplicate property '{word}'")
        if word in ("START", "INCREMENT"):
            stream.accept("WITH" if word == "START" else "BY")
            stream.accept("=")
            found[name] = _number(stream, word)
        else:
            found[name] = word == "ORDER"
    return {**found, **stream.options({"COMMENT": text_option})}


def _number(stream: TokenStream, word: str) -> int:
    number: int = integer_option(_LEAST, _MOST)(stream, word)
    if word == "INCREMENT" and number == 0:
        raise compilation(1008, "22023", "invalid value [0] for parameter 'INCREMENT'")
    return number


def _create_rule(stream: TokenStream, head: CreateHead) -> Statement:
    stream.accept("WITH")
    found = _properties(stream, "START", "INCREMENT", "ORDER", "NOORDER")
    return head.make(
        CreateSequence,
        comment=found.get("COMMENT"),
        start=found.get("START", 1),
        step=found.get("INCREMENT", 1),
        ordered=found.get("ORDER", False),
    )


def _settings(stream: TokenStream) -> Options:
    return _properties(stream, "INCREMENT", "ORDER", "NOORDER")


def _increment(stream: TokenStream) -> Options:
    stream.accept("BY")
    stream.accept("=")
    return {"INCREMENT": _number(stream, "INCREMENT")}


def _make(session: Session, statement: CreateSequence, path: Path, _runner: Runner) -> Sequence:
    return _new(session, statement, path, Counter(statement.start, statement.step), statement.ordered, statement.start)


def _clone(session: Session, source: Sequence, statement: Creation, path: Path) -> Sequence:
    """A sequence that continues from the source's next value."""
    return _new(
        session, statement, path, Counter(source.counter.next, source.counter.step), source.ordered, source.start
    )


def _new(session: Session, statement: Creation, path: Path, counter: Counter, ordered: bool, start: int) -> Sequence:
    return Sequence(
        path=path,
        owner=session.role,
        created=session.account.clock.now(),
        comment=statement.comment or "",
        counter=counter,
        ordered=ordered,
        start=start,
    )


def _alter(_session: Session, found: Sequence, statement: Alter, _runner: Runner) -> None:
    found.counter.step = statement.options.get("INCREMENT", found.counter.step)
    found.ordered = statement.options.get("ORDER", found.ordered)


def _row(_session: Session, found: Sequence) -> list[Any]:
    database, schema, name = found.path
    following = found.counter.next if _LEAST <= found.counter.next <= _MOST else None
    return [
        *[name, database, schema, following, found.counter.step, found.created, found.owner, found.comment],
        *["ROLE", "Y" if found.ordered else "N"],
    ]


SEQUENCE: SchemaKind[Sequence] = SchemaKind(
    word="SEQUENCE",
    example="",
    listings={"SEQUENCES": Listing(_COLUMNS, _row)},
    description=Description(_COLUMNS, lambda session, found: [_row(session, found)]),
    settings=_settings,
    actions={"INCREMENT": _increment},
    renames=True,
    alter=_alter,
    clone=_clone,
)


class Sequences(State):
    """Gives out the values of an account's sequences and of its AUTOINCREMENT and IDENTITY columns."""

    def __init__(self, account: Account) -> None:
        self._objects: Store[Sequence] = account.state(SchemaObjects).of(SEQUENCE)
        self._queries = account.state(Queries)
        self._columns: dict[str, Counter] = {}
        self._numbers = itertools.count(1)
        self._duck = account.duck.cursor()
        self._duck.create_function(_FUNCTION, self._take, ["VARCHAR", "VARCHAR"], "BIGINT")

    def column(self, start: int, step: int, *, ordered: bool) -> str:
        """Create the counter of an AUTOINCREMENT or IDENTITY column; returns its key."""
        key = f"IDENTITY START {start} INCREMENT {step} {'ORDER' if ordered else 'NOORDER'} #{next(self._numbers)}"
        self._columns[key] = Counter(start, step)
        return key

    def _take(self, query_ids: pa.ChunkedArray, keys: pa.ChunkedArray) -> pa.Array:
        with self._queries.function_call(query_ids[0].as_py()):
            return pa.array(self._counter(keys[0].as_py()).take(len(keys)), pa.int64())

    def _counter(self, key: str) -> Counter:
        if key in self._columns:
            return self._columns[key]
        database, schema, name = json.loads(key)
        path = (database, schema, name)
        found = self._objects.at(path)
        if found is None:
            raise self._objects.missing(path)
        return found.counter

    def saved(self, folder: FilePath) -> Any:  # noqa: ARG002  # no files
        return {
            "columns": {key: [counter.next, counter.step] for key, counter in self._columns.items()},
            "sequences": [
                [found.path, found.counter.next] for found in self._objects.all() if found.session_id is None
            ],
        }

    def restore(self, saved: Any, folder: FilePath) -> None:  # noqa: ARG002  # no files
        self._columns.update({key: Counter(following, step) for key, (following, step) in saved["columns"].items()})
        self._numbers = itertools.count(1 + max((int(key.rpartition("#")[2]) for key in self._columns), default=0))
        for (database, schema, name), following in saved["sequences"]:
            if (found := self._objects.at((database, schema, name))) is not None:
                found.counter.next = following

    def close(self) -> None:
        self._duck.remove_function(_FUNCTION)
        self._duck.close()


def _value(key: str) -> exp.Expr:
    """A call of the DuckDB function, which takes the next value at each evaluation."""
    return exp.Anonymous(this=_FUNCTION, expressions=[context("QUERY_ID"), exp.Literal.string(key)])


def _value_of(session: Session, name: Name) -> exp.Expr:
    path = session.path(name)
    session.account.state(SchemaObjects).of(SEQUENCE).require(session.id, path)
    return _value(json.dumps(path))


def _rewrite(node: exp.Expr, session: Session, _runner: Runner) -> exp.Expr:
    """``sequence.NEXTVAL``, AUTOINCREMENT and IDENTITY as calls of the DuckDB function; anything else as it is."""
    if isinstance(node, exp.AutoIncrementColumnConstraint | exp.GeneratedAsIdentityColumnConstraint):
        return _default(node, session)
    if not _is_nextval(node):
        return node
    *parts, _ = _parts(node)
    if len(parts) == 1 and parts[0] in _tables(node):
        # A column with that name. A Dot keeps fakesnow from reading it as a sequence.
        return _named(exp.Dot.build([exp.to_identifier(part, quoted=True) for part in (*parts, _NEXTVAL)]), node)
    path = session.path(_name(parts))
    if session.account.state(SchemaObjects).of(SEQUENCE).at(path) is None:
        raise invalid_identifier(".".join([*parts, _NEXTVAL]))
    _require_no_rows(node, session)
    return _named(_value(json.dumps(path)), node)


def _is_nextval(node: exp.Expr) -> TypeGuard[exp.Column]:
    """Whether it is NEXTVAL with a name before it."""
    return isinstance(node, exp.Column) and bool(node.table) and _parts(node)[-1:] == [_NEXTVAL]


def _parts(column: exp.Column) -> list[str]:
    return [stored(part) for part in column.parts if isinstance(part, exp.Identifier)]


def _name(parts: list[str]) -> Name:
    padded: list[str | None] = [None] * (3 - len(parts)) + list(parts)
    return Name(parts[-1], padded[1], padded[0])


def _named(value: exp.Expr, replaced: exp.Expr) -> exp.Expr:
    """The value, in a SELECT list under the column name NEXTVAL."""
    projected = isinstance(replaced.parent, exp.Select) and replaced.arg_key == "expressions"
    return exp.alias_(value, _NEXTVAL, quoted=True) if projected else value


def _tables(node: exp.Expr) -> set[str]:
    """The names of the tables that an expression can refer to."""
    found: set[str] = set()
    statement: exp.Expr | None = node.parent
    while statement is not None:
        sources: list[Any] = [statement.args.get("this"), statement.args.get("using")]
        if isinstance(statement, exp.Select):
            sources = [
                part.this for part in (statement.args.get("from_"), *(statement.args.get("joins") or [])) if part
            ]
        found |= {source.alias_or_name.upper() for source in sources if isinstance(source, _SOURCES)}
        statement = statement.parent
    return found


def _default(node: exp.Expr, session: Session) -> exp.Expr:
    """The default of an AUTOINCREMENT or IDENTITY column. Start and increment are 1 if they are not given."""
    _require_no_rows(node, session)
    start, step = (_literal(node.args.get(part)) for part in ("start", "increment"))
    if step == 0:
        raise compilation(1008, "22023", "invalid value [0] for parameter 'INCREMENT'")
    key = session.account.state(Sequences).column(start, step, ordered=bool(node.args.get("order")))
    return exp.DefaultColumnConstraint(this=_value(key))


def _literal(number: exp.Expr | None) -> int:
    return 1 if number is None else int(number.sql())


def _require_no_rows(node: exp.Expr, session: Session) -> None:
    """Raise for ALTER TABLE ... ADD COLUMN with such a default on a table that has rows."""
    alter = node.find_ancestor(exp.Alter)
    if alter is None or not any(isinstance(action, exp.ColumnDef) for action in alter.args["actions"]):
        return
    path = session.path(table_name(alter.this))
    session.duck.execute(f"SELECT EXISTS (FROM {quoted(*path)})")
    if session.duck.fetchall()[0][0]:
        raise compilation(
            2, "0A000", f"A column with a sequence default cannot be added to the non-empty table '{path[2]}'."
        )


def _rewrite_tables(expression: exp.Expr, session: Session) -> None:
    """``TABLE(GETNEXTVAL(s))``: one value for each row of the source before it, which all references share."""
    for select in expression.find_all(exp.Select):
        calls, source = 0, select.args.get("from_")
        if source is None:
            continue
        if (name := _getnextval(source.this)) is not None:
            if select.args.get("joins"):
                raise unsupported("TABLE(GETNEXTVAL(..)) as the first of several tables; put it after the others")
            _refer_to(select, source.this, _NEXTVAL)
            row = exp.select(exp.alias_(_value_of(session, name), _NEXTVAL, quoted=True))
            source.set("this", exp.Subquery(this=row, alias=source.this.args.get("alias")))
        for join in list(select.args.get("joins") or []):
            if (name := _getnextval(join.this)) is None:
                continue
            if select.args["joins"][0] is not join:
                raise unsupported("TABLE(GETNEXTVAL(..)) after a join; put the join into a subquery")
            calls += 1
            column = _NEXTVAL if calls == 1 else f"{_NEXTVAL}_{calls}"
            _refer_to(select, join.this, column)
            rows = exp.select("*", exp.alias_(_value_of(session, name), column, quoted=True)).from_(source.this.copy())
            alias = exp.TableAlias(this=exp.to_identifier(source.this.alias_or_name or "_source", quoted=True))
            source.set("this", exp.Subquery(this=rows, alias=alias))
            select.args["joins"].remove(join)


def _getnextval(source: exp.Expr | None) -> Name | None:
    """The sequence of a source ``TABLE(GETNEXTVAL(sequence))``; ``None`` for any other source."""
    call = source.this if isinstance(source, exp.TableFromRows) else None
    if not isinstance(call, exp.Anonymous) or str(call.this).upper() != "GETNEXTVAL":
        return None
    argument = call.expressions[0] if len(call.expressions) == 1 else None
    if not isinstance(argument, exp.Column):
        raise compilation(1044, "42P13", "Invalid argument types for function 'GETNEXTVAL'")
    return _name(_parts(argument))


def _refer_to(select: exp.Select, source: exp.Expr, column: str) -> None:
    """Point references to NEXTVAL of ``source`` to the column that holds its values."""
    alias = source.alias_or_name.upper()
    for node in list(select.find_all(exp.Column)):
        if _is_nextval(node) and node.table.upper() == alias:
            node.replace(_named(exp.Column(this=exp.to_identifier(column, quoted=True)), node))


def _show_defaults(expression: exp.Expr, result: Result) -> Result:
    """Show declared defaults in DESCRIBE TABLE, instead of the calls of the DuckDB function."""
    if not isinstance(expression, exp.Describe) or "default" not in result.table.column_names:
        return result
    index = result.table.column_names.index("default")
    shown = [_declared(text) for text in result.table.column(index).to_pylist()]
    table = result.table.set_column(index, "default", pa.array(shown, result.table.schema.field(index).type))
    return replace(result, table=table)


def _declared(default: str | None) -> str | None:
    found = _STORED_DEFAULT.fullmatch(default or "")
    if found is None:
        return default
    key = found["key"]
    return ".".join([*json.loads(key), _NEXTVAL]) if key.startswith("[") else key.partition(" #")[0]


FEATURE = Feature(
    kinds=(SEQUENCE,),
    created={
        "SEQUENCE": SchemaCreated(rule=_create_rule, kind=SEQUENCE, definition=CreateSequence, make=_make),
    },
    states=(lambda account, _: Sequences(account),),
    statement_rewrites=(_rewrite_tables,),
    rewrites=(_rewrite,),
    results=(_show_defaults,),
)
