"""The declaration of a feature: its statements, its kinds of objects, its state, and its rewrites of queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from sqlglot import exp

from localcloud.snowflake.objects.store import Kind, SchemaObject
from localcloud.snowflake.result import DDL, Result
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Alter, Creation, Name, Path, Show, Statement
from localcloud.snowflake.sql.tokens import TokenStream, text_option

Columns = Sequence[tuple[str, str]]
Rule = Callable[[TokenStream], Statement]
Handler = Callable[[Session, Any], Result]
NestedHandler = Callable[[Session, Any, Runner], Result]
ColumnsOf = Callable[[Any], Columns]
Options = Mapping[str, Any]
Rewrite = Callable[[exp.Expr, Session, Runner], exp.Expr]
SystemFunction = Callable[[exp.Anonymous, Session], exp.Expr]
O = TypeVar("O", bound=SchemaObject)  # noqa: E741
_C = TypeVar("_C", bound=Creation)

STATUS: Columns = [("status", "text")]
STATUS_TYPE = DDL
TEMPORARY = frozenset({"TEMP", "TEMPORARY"})


@dataclass(frozen=True)
class CreateHead:
    """The parsed start of a CREATE: ``CREATE [OR REPLACE] [modifiers] kind [IF NOT EXISTS] name``."""

    name: Name
    or_replace: bool
    if_not_exists: bool
    modifiers: frozenset[str]
    tags: tuple[tuple[Name, str], ...] = ()

    def make(self, statement: type[_C], **fields: Any) -> _C:
        """Build the statement from the head and the other ``fields``."""
        return statement(
            name=self.name,
            or_replace=self.or_replace,
            if_not_exists=self.if_not_exists,
            temporary=bool(self.modifiers & TEMPORARY),
            tags=self.tags,
            **fields,
        )


@dataclass(frozen=True)
class Created:
    """A kind of object that CREATE makes. ``rule`` reads what follows the name; ``modifiers`` may precede the kind."""

    rule: Callable[[TokenStream, CreateHead], Statement]
    modifiers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shown:
    """A kind of object that SHOW lists: ``columns`` as (name, wire type); ``rows`` in that order. ``named``: the column that
    LIKE compares."""

    columns: Columns
    rows: Callable[[Session, Show], list[list[Any]]]
    named: str = "name"


@dataclass(frozen=True)
class Listing(Generic[O]):
    """The rows of one SHOW statement. ``scope``: the default for a statement without IN."""

    columns: Columns
    row: Callable[[Session, O], list[Any]]
    where: Callable[[O], bool] = lambda _: True
    scope: Literal["DATABASE", "ACCOUNT"] = "DATABASE"


@dataclass(frozen=True)
class Description(Generic[O]):
    """The rows of DESCRIBE for a kind."""

    columns: Columns
    rows: Callable[[Session, O], list[list[Any]]]


def _comment(stream: TokenStream) -> Options:
    return stream.options({"COMMENT": text_option})


@dataclass(frozen=True, eq=False, kw_only=True)
class SchemaKind(Kind[O]):
    """A kind of object that schemas hold; the statements that all kinds have are derived from it.

    Statements: ``listings`` by the words after SHOW; ``description``, ``None`` where DESCRIBE lists the columns of the object's
    table; ``settings`` reads what follows ALTER .. SET; ``unsettable``: properties for UNSET; ``actions``: other words after the
    name in ALTER, with the rule for what follows them; ``refused``: words in ALTER that are not supported, with the reason.
    ``droppable``: false for kinds without a DROP of their own.

    Behaviour: ``alter`` applies a change other than to comment and name, which are common; ``clone`` copies an object to a path;
    ``drop_check`` raises where an object must not be dropped.

    ``example``: what follows the name (and ``()`` where it is overloaded) in the shortest CREATE, given a table ``source (x INT)``;
    the contract tests of all kinds use it. ``created_title``: the kind in "... successfully created". ``overloaded``: objects
    differ by argument types too. ``rows``: the object's rows are in a DuckDB table of its name. ``among_tables``: it shares a
    namespace with tables and views.
    """

    example: str
    listings: Mapping[str, Listing[O]]
    description: Description[O] | None = None
    settings: Callable[[TokenStream], Options] = _comment
    unsettable: frozenset[str] = frozenset({"COMMENT"})
    actions: Mapping[str, Callable[[TokenStream], Options]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    alterable: bool = True
    droppable: bool = True
    renames: bool = False
    alter: Callable[[Session, O, Alter, Runner], Result | None] | None = None
    clone: Callable[[Session, O, Creation, Path], O] | None = None
    drop_check: Callable[[Session, O], None] | None = None
    created_title: str | None = None
    overloaded: bool = False
    rows: bool = False
    among_tables: bool = False


@dataclass(frozen=True, kw_only=True)
class SchemaCreated(Created, Generic[O]):
    """A CREATE statement of a kind. ``definition``: the statement's type; ``make`` checks it and builds the object."""

    kind: SchemaKind[O]
    definition: type[Creation]
    make: Callable[[Session, Any, Path, Runner], O]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature; ``localcloud.snowflake.statements.features`` lists them all.

    ``kinds``: its kinds of schema object, with ``created`` for their CREATE statements. ``rules``: other statements by their
    first words, DESC as DESCRIBE; the longest match wins. ``claimed``: statements recognised by more than their first words.
    ``handlers``: by statement type; ``nested``: those of statements that run statements of their own. ``columns``: of statements
    whose result is more than a status; ``described``: the same, for columns that depend on the session. ``dropped`` and
    ``shown``: account objects.

    ``states``: create the feature's state of an account. ``statement_rewrites`` change a whole statement in place;
    ``rewrites`` are then called with each node of its tree, innermost first, and return the node or its replacement. ``results``
    change a statement's result. ``system_functions`` compute the values of SYSTEM$ functions.
    """

    kinds: tuple[SchemaKind[Any], ...] = ()
    created: Mapping[str, Created] = field(default_factory=dict)
    rules: Mapping[tuple[str, ...], Rule] = field(default_factory=dict)
    claimed: Mapping[Callable[[TokenStream], bool], Rule] = field(default_factory=dict)
    handlers: Mapping[type[Statement], Handler] = field(default_factory=dict)
    nested: Mapping[type[Statement], NestedHandler] = field(default_factory=dict)
    columns: Mapping[type[Statement], tuple[ColumnsOf, int]] = field(default_factory=dict)
    described: Mapping[type[Statement], NestedHandler] = field(default_factory=dict)
    dropped: Mapping[str, Callable[[Session, Name], bool]] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)
    states: tuple[Callable[[Account, Runner], State], ...] = ()
    statement_rewrites: tuple[Callable[[exp.Expr, Session], None], ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    results: tuple[Callable[[exp.Expr, Result], Result], ...] = ()
    system_functions: Mapping[str, SystemFunction] = field(default_factory=dict)
