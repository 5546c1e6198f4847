"""The statements that sqlglot only takes as text: read by the project's own grammar, run by the subject that they belong to.

In: one statement's SQL. Out: a frozen value of some ``syntax`` module and its handler, or Snowflake's refusal. Unknown options,
repeated options and wrong values are refused, so that a statement which passes here is one that Snowflake's documentation
allows. Statements that sqlglot parses for real (queries, tables, views, DML) are none of this module's business: see
:func:`recognises`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from localcloud.snowflake.copy.dialect import SUBJECT as COPY
from localcloud.snowflake.failures import compilation, missing_object, unsupported
from localcloud.snowflake.objects.account.dialect import SUBJECT as ACCOUNT
from localcloud.snowflake.objects.account.parameters import like_pattern
from localcloud.snowflake.objects.dynamic_tables.dialect import SUBJECT as DYNAMIC
from localcloud.snowflake.objects.event_tables.dialect import SUBJECT as EVENTS
from localcloud.snowflake.objects.external_functions.dialect import SUBJECT as EXTERNAL
from localcloud.snowflake.objects.feature import STATUS, STATUS_TYPE, Created, CreateHead, Rule, Subject
from localcloud.snowflake.objects.integrations.dialect import SUBJECT as INTEGRATIONS
from localcloud.snowflake.objects.stages.dialect import SUBJECT as STAGES
from localcloud.snowflake.objects.streams.dialect import SUBJECT as STREAMS
from localcloud.snowflake.objects.tasks.dialect import SUBJECT as TASKS
from localcloud.snowflake.objects.user_functions.dialect import SUBJECT as FUNCTIONS
from localcloud.snowflake.result import SHOW, Result, rows_result, status
from localcloud.snowflake.routines.python.dialect import SUBJECT as PYTHON
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Drop, Name, Scope, Show, Statement
from localcloud.snowflake.sql.tokens import TokenStream

SUBJECTS: tuple[Subject, ...] = (
    ACCOUNT,
    INTEGRATIONS,
    STAGES,
    COPY,
    FUNCTIONS,
    EXTERNAL,
    PYTHON,
    STREAMS,
    TASKS,
    DYNAMIC,
    EVENTS,
)
_K = TypeVar("_K")
_V = TypeVar("_V")


def _merged(part: Callable[[Subject], Mapping[_K, _V]]) -> dict[_K, _V]:
    return {key: value for subject in SUBJECTS for key, value in part(subject).items()}


_RULES = _merged(lambda subject: subject.rules)
_CREATED = _merged(lambda subject: subject.created)
_DROPPED = _merged(lambda subject: subject.dropped)
_SHOWN = _merged(lambda subject: subject.shown)
_HANDLERS = _merged(lambda subject: subject.handlers)
_COLUMNS = _merged(lambda subject: subject.columns)
_CLAIMED = _merged(lambda subject: subject.claimed)
_NESTED = _merged(lambda subject: subject.nested)
_DESCRIBED = _merged(lambda subject: subject.described)
_MODIFIERS = frozenset().union(*(kind.modifiers for kind in _CREATED.values()))
_LONGEST = max(map(len, _RULES))


def recognises(sql: str) -> bool:
    """Whether the statement belongs to this grammar (it may still be refused by :func:`parse_statement`)."""
    return _rule(TokenStream(sql)) is not None


def parse_statement(sql: str) -> Statement:
    """The statement as a value; raises the connector's ``ProgrammingError`` with Snowflake's code otherwise."""
    stream = TokenStream(sql)
    rule = _rule(stream)
    if rule is None:
        raise unsupported(f"statements that begin with {' '.join(stream.words(2)) or 'nothing'} in this grammar")
    statement = rule(stream)
    stream.end()
    return statement


def run(session: Session, statement: Statement, runner: Runner) -> Result:
    """Run a statement of this grammar."""
    if isinstance(statement, Drop):
        return _run_drop(session, statement)
    if isinstance(statement, Show):
        return _run_show(session, statement)
    if (nested := _NESTED.get(type(statement))) is not None:
        return nested(session, statement, runner)
    return _HANDLERS[type(statement)](session, statement)


def describe(session: Session, statement: Statement, runner: Runner) -> Result:
    """The answer without its rows, for a client that only asks for the description."""
    if isinstance(statement, Show):
        return rows_result(_SHOWN[statement.kind].columns, [], 0)
    if (described := _DESCRIBED.get(type(statement))) is not None:
        return described(session, statement, runner)
    columns, type_id = _COLUMNS.get(type(statement), (lambda _: STATUS, STATUS_TYPE))
    return rows_result(columns(statement), [], type_id)


def _rule(stream: TokenStream) -> Rule | None:
    words = stream.words(8)
    if words[:1] == ("DESC",):
        words = ("DESCRIBE", *words[1:])
    if words[:1] == ("CREATE",):
        return _create_rule(stream, words)
    if words[:1] == ("DROP",) and (kind := _kind(words[1:], _DROPPED)):
        return partial(_drop, kind=kind)
    if words[:1] == ("SHOW",) and (kind := _kind(words[1:], _SHOWN)):
        return partial(_show, kind=kind)
    if (claimed := next((rule for claims, rule in _CLAIMED.items() if claims(stream)), None)) is not None:
        return claimed
    return next((rule for n in range(_LONGEST, 0, -1) if (rule := _RULES.get(words[:n]))), None)


def _kind(words: tuple[str, ...], known: Mapping[str, Any]) -> str | None:
    """The kind of object that the words begin with, the longer one first."""
    return next((kind for n in (3, 2, 1) if (kind := " ".join(words[:n])) in known), None)


def _create_rule(stream: TokenStream, words: tuple[str, ...]) -> Rule | None:
    at = 3 if words[1:3] == ("OR", "REPLACE") else 1
    while words[at : at + 1] and words[at] in _MODIFIERS and _kind(words[at:], _CREATED) is None:
        at += 1
    kind = _kind(words[at:], _CREATED)
    if kind is None:
        return None
    created = _CREATED[kind]
    return partial(_create, kind=kind, created=created) if created.claims is None or created.claims(stream) else None


def _create(stream: TokenStream, kind: str, created: Created) -> Statement:
    stream.expect("CREATE")
    replace = stream.accept("OR", "REPLACE")
    modifiers = set()
    while not stream.accept(*kind.split()):
        modifier = stream.words(1)
        if not modifier or modifier[0] not in created.modifiers or modifier[0] in modifiers:
            raise stream.unexpected()
        stream.expect(*modifier)
        modifiers |= set(modifier)
    optional = stream.accept("IF", "NOT", "EXISTS")
    if replace and optional:
        raise compilation(1003, "42000", "options OR REPLACE and IF NOT EXISTS are incompatible.")
    return created.rule(stream, CreateHead(stream.name(), replace, optional, frozenset(modifiers)))


def _drop(stream: TokenStream, kind: str) -> Statement:
    stream.expect("DROP", *kind.split())
    return Drop(kind, if_exists=stream.accept("IF", "EXISTS"), name=stream.name())


def _show(stream: TokenStream, kind: str) -> Statement:
    stream.expect("SHOW", *kind.split())
    found: dict[str, Any] = {"like": stream.string() if stream.accept("LIKE") else None}
    found["scope"] = _scope(stream) if stream.accept("IN") else None
    found["starts_with"] = stream.string() if stream.accept("STARTS", "WITH") else None
    if stream.accept("LIMIT"):
        found["limit"] = stream.integer()
        found["after"] = stream.string() if stream.accept("FROM") else None
    return Show(kind, **found)


def _scope(stream: TokenStream) -> Scope:
    if stream.accept("ACCOUNT"):
        return Scope("ACCOUNT")
    if stream.accept("DATABASE"):
        return Scope("DATABASE", _scope_name(stream))
    stream.accept("SCHEMA")
    return Scope("SCHEMA", _scope_name(stream))


def _scope_name(stream: TokenStream) -> Name | None:
    return None if stream.done or stream.words(1)[0] in ("STARTS", "LIMIT") else stream.name()


def _run_drop(session: Session, statement: Drop) -> Result:
    name = statement.name.name
    if _DROPPED[statement.kind](session, statement.name):
        return status(f"{name} successfully dropped.")
    if statement.if_exists:
        return status(f"Drop statement executed successfully ({name} already dropped).")
    raise missing_object(name, statement.kind.rpartition(" ")[2].capitalize())


def _run_show(session: Session, statement: Show) -> Result:
    shown = _SHOWN[statement.kind]
    rows = shown.rows(session, statement)
    columns = [column for column, _ in shown.columns]
    name = columns.index("name")
    if statement.like is not None:
        pattern = _like(statement.like)
        rows = [row for row in rows if pattern.fullmatch(row[name])]
    if statement.scope is not None and "database_name" in columns:
        rows = [row for row in rows if _within(session, statement.scope, dict(zip(columns, row, strict=True)))]
    if statement.starts_with is not None:
        rows = [row for row in rows if row[name].startswith(statement.starts_with)]
    if statement.after is not None:
        rows = [row for row in rows if row[name] > statement.after]
    return rows_result(list(shown.columns), rows[: statement.limit], SHOW)


def _like(pattern: str) -> re.Pattern[str]:
    """A LIKE pattern as SHOW applies it, in any case."""
    return re.compile(like_pattern(pattern), re.IGNORECASE)


def _within(session: Session, scope: Scope, row: dict[str, Any]) -> bool:
    if scope.kind == "ACCOUNT":
        return True
    if scope.kind == "DATABASE":
        return bool(row["database_name"] == (scope.name.name if scope.name else session.database))
    name = scope.name
    database = (name.schema if name else None) or session.database
    return (row["database_name"], row["schema_name"]) == (database, name.name if name else session.schema)
