"""The statements that sqlglot keeps as text: parsed by the project's own grammar and run by the feature they belong to.

Unknown options, repeated options and wrong values are rejected, so that a statement which passes is one that Snowflake documents.
Statements that sqlglot parses (queries, tables, views, DML) are not part of this grammar: see :func:`recognises`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from localcloud.snowflake.failures import missing_object, unsupported
from localcloud.snowflake.objects import schema_grammar, schema_statements
from localcloud.snowflake.objects.feature import (
    STATUS,
    STATUS_TYPE,
    Feature,
    Listing,
    Rule,
    SchemaCreated,
    SchemaKind,
    Shown,
)
from localcloud.snowflake.objects.tags import statements as tags
from localcloud.snowflake.result import DESCRIBE, Result, rows_result, status
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Alter, Clone, Creation, Describe, Drop, Show, Statement
from localcloud.snowflake.sql.tokens import TokenStream
from localcloud.snowflake.statements.features import FEATURES

_K = TypeVar("_K")
_V = TypeVar("_V")


def _merged(part: Callable[[Feature], Mapping[_K, _V]]) -> dict[_K, _V]:
    return {key: value for feature in FEATURES for key, value in part(feature).items()}


KINDS: dict[str, SchemaKind[Any]] = {kind.word: kind for feature in FEATURES for kind in feature.kinds}
CREATED = _merged(lambda feature: feature.created)
_DROPPED = _merged(lambda feature: feature.dropped)
_LISTINGS: dict[str, tuple[SchemaKind[Any], Listing[Any]]] = {
    words: (kind, listing) for kind in KINDS.values() for words, listing in kind.listings.items()
}
_SHOWN = _merged(lambda feature: feature.shown)
_SCHEMA_CREATED: dict[type[Statement], SchemaCreated[Any]] = {
    created.definition: created for created in CREATED.values() if isinstance(created, SchemaCreated)
}
_HANDLERS = _merged(lambda feature: feature.handlers)
_NESTED = _merged(lambda feature: feature.nested)
_COLUMNS = _merged(lambda feature: feature.columns)
_CLAIMED = _merged(lambda feature: feature.claimed)
_DESCRIBED = _merged(lambda feature: feature.described)
_MODIFIERS = frozenset().union(*(created.modifiers for created in CREATED.values()))


def _rules_of(kind: SchemaKind[Any]) -> dict[tuple[str, ...], Rule]:
    words = tuple(kind.word.split())
    rules: dict[tuple[str, ...], Rule] = {
        ("DESCRIBE", *words): partial(schema_grammar.describe, kind=kind),
        ("COMMENT", "ON", *words): partial(schema_grammar.comment, kind=kind),
        ("COMMENT", "IF", "EXISTS", "ON", *words): partial(schema_grammar.comment, kind=kind),
    }
    if kind.alterable:
        rules["ALTER", *words] = partial(schema_grammar.alter, kind=kind)
    if kind.droppable:
        rules["DROP", *words] = partial(schema_grammar.drop, words=kind.word, kind=kind)
    return rules


_RULES: dict[tuple[str, ...], Rule] = {
    **{words: rule for kind in KINDS.values() for words, rule in _rules_of(kind).items()},
    **{("DROP", *words.split()): partial(schema_grammar.drop, words=words, kind=None) for words in _DROPPED},
    **{("SHOW", *words.split()): partial(schema_grammar.show, words=words) for words in (*_LISTINGS, *_SHOWN)},
    ("UNDROP",): schema_grammar.undrop,
    **_merged(lambda feature: feature.rules),
}
_LONGEST = max(map(len, _RULES))


def recognises(sql: str) -> bool:
    """Whether this grammar parses the statement. :func:`parse_statement` may still reject it."""
    return _rule(TokenStream(sql)) is not None


def parse_statement(sql: str) -> Statement:
    """Parse a statement; raises the connector's ``ProgrammingError`` with Snowflake's code if it is invalid."""
    stream = TokenStream(sql)
    rule = _rule(stream)
    if rule is None:
        raise unsupported(f"statements that begin with {' '.join(stream.words(2)) or 'nothing'}")
    statement = rule(stream)
    stream.end()
    return statement


def run(session: Session, statement: Statement, runner: Runner) -> Result:
    """Run a statement of this grammar."""
    if not isinstance(statement, Creation | Drop | Alter):
        return _run(session, statement, runner)
    follow = tags.followed_statement(session, _kind(statement), statement)
    result = _run(session, statement, runner)
    follow()
    return result


def _kind(statement: Creation | Drop | Alter) -> str:
    """The words for the kind of object that the statement is about."""
    if not isinstance(statement, Creation):
        return statement.kind
    created = _SCHEMA_CREATED.get(type(statement))
    if created is not None:
        return created.kind.word
    return statement.kind if isinstance(statement, Clone) else type(statement).__name__.removeprefix("Create").upper()


def _run(session: Session, statement: Statement, runner: Runner) -> Result:
    if isinstance(statement, Show):
        return _show(session, statement)
    if isinstance(statement, Drop) and statement.kind in _DROPPED:
        return _drop_account_object(session, statement)
    if isinstance(statement, Alter):
        return schema_statements.alter(session, KINDS[statement.kind], statement, runner)
    if isinstance(statement, Drop):
        return schema_statements.drop(session, KINDS[statement.kind], statement)
    if isinstance(statement, Describe):
        return schema_statements.describe(session, KINDS[statement.kind], statement, runner)
    if isinstance(statement, Clone):
        return schema_statements.clone(session, KINDS[statement.kind], statement)
    if isinstance(statement, Creation) and type(statement) in _SCHEMA_CREATED:
        return schema_statements.create(session, _SCHEMA_CREATED[type(statement)], statement, runner)
    if (nested := _NESTED.get(type(statement))) is not None:
        return nested(session, statement, runner)
    return _HANDLERS[type(statement)](session, statement)


def in_schema(statement: Statement) -> bool:
    """Whether the statement creates, alters or drops an object of a schema."""
    if isinstance(statement, Drop):
        return statement.kind not in _DROPPED
    return isinstance(statement, Alter | Clone) or type(statement) in _SCHEMA_CREATED


def describe(session: Session, statement: Statement, runner: Runner) -> Result:
    """The result without rows, for a client that asks for the columns only."""
    if isinstance(statement, Show):
        shown: Shown | Listing[Any] = _SHOWN.get(statement.kind) or _LISTINGS[statement.kind][1]
        return rows_result(shown.columns, [], 0)
    if isinstance(statement, Describe):
        description = KINDS[statement.kind].description
        if description is not None:
            return rows_result(description.columns, [], DESCRIBE)
        result = run(session, statement, runner)
        return replace(result, table=result.table.slice(0, 0))
    if (described := _DESCRIBED.get(type(statement))) is not None:
        return described(session, statement, runner)
    columns, type_id = _COLUMNS.get(type(statement), (lambda _: STATUS, STATUS_TYPE))
    return rows_result(columns(statement), [], type_id)


def _rule(stream: TokenStream) -> Rule | None:
    words = stream.words(8)
    if words[:1] == ("DESC",):
        words = ("DESCRIBE", *words[1:])
    if words[:1] == ("CREATE",):
        return _create_rule(words)
    if (claimed := next((rule for claims, rule in _CLAIMED.items() if claims(stream)), None)) is not None:
        return claimed
    return next((rule for n in range(_LONGEST, 0, -1) if (rule := _RULES.get(words[:n]))), None)


def _create_rule(words: tuple[str, ...]) -> Rule | None:
    at = 3 if words[1:3] == ("OR", "REPLACE") else 1
    while words[at : at + 1] and words[at] in _MODIFIERS and _created(words[at:]) is None:
        at += 1
    kind = _created(words[at:])
    return None if kind is None else partial(schema_grammar.create, words=kind, created=CREATED[kind])


def _created(words: tuple[str, ...]) -> str | None:
    """The kind of object that the words begin with; the longest match wins."""
    return next((kind for n in (3, 2, 1) if (kind := " ".join(words[:n])) in CREATED), None)


def _drop_account_object(session: Session, statement: Drop) -> Result:
    name = statement.name.name
    if _DROPPED[statement.kind](session, statement.name):
        return status(f"{name} successfully dropped.")
    if statement.if_exists:
        return status(f"Drop statement executed successfully ({name} already dropped).")
    raise missing_object(name, statement.kind.rpartition(" ")[2].capitalize())


def _show(session: Session, statement: Show) -> Result:
    if (shown := _SHOWN.get(statement.kind)) is not None:
        return schema_statements.show_rows(shown, shown.rows(session, statement), statement)
    return schema_statements.show(session, *_LISTINGS[statement.kind], statement)
