"""What one subject (stages, external functions, ...) adds to the dialect: rules that read statements, and handlers that run them.

Each subject is a package: its values in ``syntax``, its rules in ``grammar``, its handlers in modules named by what they do, and
in ``dialect`` the ``SUBJECT`` that ``localcloud.snowflake.statements.dialect`` lists. CREATE, DROP and SHOW are parsed once for
all subjects: a subject names its kinds of object and declares only what is particular to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from localcloud.snowflake.result import DDL, Result
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Creation, Name, Show, Statement
from localcloud.snowflake.sql.tokens import TokenStream

Columns = Sequence[tuple[str, str]]
Rule = Callable[[TokenStream], Statement]
Handler = Callable[[Session, Any], Result]
NestedHandler = Callable[[Session, Any, Runner], Result]
ColumnsOf = Callable[[Any], Columns]
_C = TypeVar("_C", bound=Creation)


@dataclass(frozen=True)
class CreateHead:
    """``CREATE [OR REPLACE] [modifiers] kind [IF NOT EXISTS] name``, already read."""

    name: Name
    or_replace: bool
    if_not_exists: bool
    modifiers: frozenset[str]

    def make(self, kind: type[_C], **fields: Any) -> _C:
        """The statement as a value."""
        return kind(name=self.name, or_replace=self.or_replace, if_not_exists=self.if_not_exists, **fields)


@dataclass(frozen=True)
class Created:
    """A kind of object that CREATE makes: the rule for what follows its name, and the words allowed before its kind.

    ``claims``: whether the statement is this subject's; without it, every statement of the kind is.
    """

    rule: Callable[[TokenStream, CreateHead], Statement]
    modifiers: frozenset[str] = frozenset()
    claims: Callable[[TokenStream], bool] | None = None


@dataclass(frozen=True)
class Shown:
    """A kind of object that SHOW lists: ``columns`` as (name, wire type), one of them ``name``; ``rows`` in that order."""

    columns: Columns
    rows: Callable[[Session, Show], list[list[Any]]]


@dataclass(frozen=True)
class Subject:
    """``rules``: first words to rule, DESC as DESCRIBE; the longest match wins. ``columns``: for statements that answer more than
    a status.

    ``nested``: handlers of statements that run statements of their own.
    ``claimed``: rules for statements that more than their first words tell. ``described``: for statements whose columns only the
    session knows. ``dropped``: kind to what removes one (false where there was none); kinds of two words are written with a space.
    """

    rules: Mapping[tuple[str, ...], Rule] = field(default_factory=dict)
    created: Mapping[str, Created] = field(default_factory=dict)
    dropped: Mapping[str, Callable[[Session, Name], bool]] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)
    claimed: Mapping[Callable[[TokenStream], bool], Rule] = field(default_factory=dict)
    handlers: Mapping[type[Statement], Handler] = field(default_factory=dict)
    columns: Mapping[type[Statement], tuple[ColumnsOf, int]] = field(default_factory=dict)
    nested: Mapping[type[Statement], NestedHandler] = field(default_factory=dict)
    described: Mapping[type[Statement], NestedHandler] = field(default_factory=dict)


STATUS: Columns = [("status", "text")]
STATUS_TYPE = DDL
