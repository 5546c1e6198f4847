"""The statements that every kind of schema object has: CREATE, ALTER, DROP, DESCRIBE, SHOW, COMMENT ON, UNDROP."""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.feature import Created, CreateHead, SchemaCreated, SchemaKind
from localcloud.snowflake.sql.syntax import Alter, Clone, Describe, Drop, Name, Scope, Show, Statement, Type
from localcloud.snowflake.sql.tokens import TokenStream
from localcloud.snowflake.sql.types import sql_types

# The kinds whose CREATE takes tags.
_TAGGED = ("STAGE", "STREAM", "TASK", "DYNAMIC TABLE", "EVENT TABLE", "WAREHOUSE", "ROLE", "USER")


def create(stream: TokenStream, words: str, created: Created) -> Statement:
    """``CREATE [OR REPLACE] [modifiers] words [IF NOT EXISTS] name``, and what the kind reads after it."""
    stream.expect("CREATE")
    replace = stream.accept("OR", "REPLACE")
    modifiers = set()
    while not stream.accept(*words.split()):
        modifier = stream.words(1)
        if not modifier or modifier[0] not in created.modifiers or modifier[0] in modifiers:
            raise stream.unexpected()
        stream.expect(*modifier)
        modifiers |= set(modifier)
    optional = stream.accept("IF", "NOT", "EXISTS")
    if replace and optional:
        raise compilation(1003, "42000", "options OR REPLACE and IF NOT EXISTS are incompatible.")
    name = stream.name()
    head = CreateHead(name, replace, optional, frozenset(modifiers), _tags(stream, words))
    if isinstance(created, SchemaCreated) and stream.accept("CLONE"):
        return _clone(stream, words, created.kind, head)
    return created.rule(stream, head)


def _tags(stream: TokenStream, words: str) -> tuple[tuple[Name, str], ...]:
    """The names and values of ``[WITH] TAG (..)``, which is taken out of the statement."""
    text = stream.cut("TAG", before="AS")
    if text is None:
        return ()
    if words not in _TAGGED:
        raise unsupported(f"CREATE {words} with tags")
    inner = TokenStream(text)
    found = [_tag(inner)]
    while inner.accept(","):
        found.append(_tag(inner))
    inner.end()
    return tuple(found)


def _tag(stream: TokenStream) -> tuple[Name, str]:
    name = stream.name()
    stream.expect("=")
    return name, stream.string()


def _clone(stream: TokenStream, words: str, kind: SchemaKind[Any], head: CreateHead) -> Statement:
    if kind.clone is None:
        raise unsupported(f"CREATE {words} ... CLONE")
    source = stream.name()
    return head.make(Clone, kind=kind.word, source=source, copy_grants=stream.accept("COPY", "GRANTS"))


def alter(stream: TokenStream, kind: SchemaKind[Any]) -> Statement:
    """``ALTER kind [IF EXISTS] name`` and one action."""
    stream.expect("ALTER", *kind.word.split())
    exists = stream.accept("IF", "EXISTS")
    name, types = stream.name(), _types(stream, kind)
    action, options = _action(stream, kind)
    return Alter(kind.word, name, action, options, exists, types)


def _action(stream: TokenStream, kind: SchemaKind[Any]) -> tuple[str, Any]:
    for words, reason in kind.refused.items():
        if stream.words(len(words.split())) == tuple(words.split()):
            raise unsupported(reason)
    for words, rule in kind.actions.items():
        if stream.accept(*words.split()):
            return words, rule(stream)
    if kind.renames and stream.accept("RENAME", "TO"):
        return "RENAME TO", {"NAME": stream.name()}
    if kind.unsettable and stream.accept("UNSET"):
        return "UNSET", dict.fromkeys(_unset(stream, kind))
    stream.expect("SET")
    options = kind.settings(stream)
    if not options:
        raise stream.unexpected()
    return "SET", options


def _unset(stream: TokenStream, kind: SchemaKind[Any]) -> list[str]:
    names = [stream.identifier()]
    while stream.accept(","):
        names.append(stream.identifier())
    for name in names:
        if name not in kind.unsettable:
            raise compilation(1420, "22023", f"invalid parameter '{name}'")
    return names


def comment(stream: TokenStream, kind: SchemaKind[Any]) -> Statement:
    """``COMMENT [IF EXISTS] ON kind name IS 'text'``."""
    stream.expect("COMMENT")
    exists = stream.accept("IF", "EXISTS")
    stream.expect("ON", *kind.word.split())
    name, types = stream.name(), _types(stream, kind)
    stream.expect("IS")
    return Alter(kind.word, name, "SET", {"COMMENT": stream.string()}, exists, types)


def drop(stream: TokenStream, words: str, kind: SchemaKind[Any] | None) -> Statement:
    """``DROP words [IF EXISTS] name``; ``kind``: ``None`` for objects of the account."""
    stream.expect("DROP", *words.split())
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    return Drop(words, name, exists, _types(stream, kind) if kind else None)


def describe(stream: TokenStream, kind: SchemaKind[Any]) -> Statement:
    stream.one_of("DESCRIBE", "DESC")
    stream.expect(*kind.word.split())
    return Describe(kind.word, stream.name(), _types(stream, kind))


def undrop(stream: TokenStream) -> Statement:
    raise unsupported(f"the statement {' '.join(stream.words(2))}; dropped objects are not kept")


def _types(stream: TokenStream, kind: SchemaKind[Any]) -> tuple[Type, ...] | None:
    return sql_types(stream) if kind.overloaded else None


def show(stream: TokenStream, words: str) -> Statement:
    """``SHOW words [LIKE ..] [IN ..] [STARTS WITH ..] [LIMIT n [FROM ..]]``."""
    stream.expect("SHOW", *words.split())
    found: dict[str, Any] = {"like": stream.string() if stream.accept("LIKE") else None}
    found["scope"] = _scope(stream) if stream.accept("IN") else None
    found["starts_with"] = stream.string() if stream.accept("STARTS", "WITH") else None
    if stream.accept("LIMIT"):
        found["limit"] = stream.integer()
        found["after"] = stream.string() if stream.accept("FROM") else None
    return Show(words, **found)


def _scope(stream: TokenStream) -> Scope:
    if stream.accept("ACCOUNT"):
        return Scope("ACCOUNT")
    if stream.accept("DATABASE"):
        return Scope("DATABASE", _scope_name(stream))
    stream.accept("SCHEMA")
    return Scope("SCHEMA", _scope_name(stream))


def _scope_name(stream: TokenStream) -> Name | None:
    return None if stream.done or stream.words(1)[0] in ("STARTS", "LIMIT") else stream.name()
