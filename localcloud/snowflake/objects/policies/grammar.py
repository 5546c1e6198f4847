"""Grammar of CREATE and ALTER of policies, and of ALTER TABLE and ALTER VIEW that set them."""

from __future__ import annotations

from typing import TypeVar

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.objects.feature import CreateHead, Options
from localcloud.snowflake.objects.policies.syntax import (
    CreateMaskingPolicy,
    CreatePolicy,
    CreateRowAccessPolicy,
    Mask,
    SetMasks,
    SetRowAccess,
)
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.sql.tokens import TokenStream, text_option, unsupported_option
from localcloud.snowflake.sql.types import sql_arguments, sql_type

_C = TypeVar("_C", bound=CreatePolicy)
_OPTIONS = {"COMMENT": text_option, "EXEMPT_OTHER_POLICIES": unsupported_option}
_SETS = {
    *((word, "MASKING", "POLICY") for word in ("SET", "UNSET")),
    *((word, "ROW", "ACCESS") for word in ("ADD", "DROP", "ALL")),
}


def create_masking(stream: TokenStream, head: CreateHead) -> Statement:
    return _create(stream, head, CreateMaskingPolicy)


def create_row_access(stream: TokenStream, head: CreateHead) -> Statement:
    return _create(stream, head, CreateRowAccessPolicy)


def _create(stream: TokenStream, head: CreateHead, statement: type[_C]) -> Statement:
    stream.expect("AS")
    arguments = sql_arguments(stream)
    if not arguments:
        raise stream.unexpected()
    stream.expect("RETURNS")
    returns = sql_type(stream)
    body = _body(stream)
    comment = stream.options(_OPTIONS).get("COMMENT")
    return head.make(statement, arguments=arguments, returns=returns, body=body, comment=comment)


def _body(stream: TokenStream) -> str:
    stream.expect("->")
    body = stream.expression_before(*_OPTIONS)
    if not body:
        raise stream.unexpected()
    return body


def settings(stream: TokenStream) -> Options:
    """What follows ALTER .. POLICY p SET."""
    if stream.accept("BODY"):
        return {"BODY": _body(stream)}
    return stream.options({"COMMENT": text_option})


def sets_policies(stream: TokenStream) -> bool:
    """Whether the statement is an ALTER TABLE or VIEW that sets, adds or removes policies."""
    words = stream.words(60)
    return words[:1] == ("ALTER",) and any(each in _SETS for each in zip(words, words[1:], words[2:], strict=False))


def set_policies(stream: TokenStream) -> Statement:
    stream.expect("ALTER")
    kind = next((word for word in ("TABLE", "VIEW") if stream.accept(word)), None)
    if kind is None:
        raise unsupported(f"policies in ALTER {' '.join(stream.words(1))}")
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    if stream.words(1)[:1] in (("ADD",), ("DROP",)):
        dropped, added = _row_access(stream)
        return SetRowAccess(kind, name, dropped, added, exists)
    stream.one_of("MODIFY", "ALTER")
    masks = [_mask(stream)]
    while stream.accept(","):
        if not stream.accept("MODIFY"):
            stream.accept("ALTER")
        masks.append(_mask(stream))
    return SetMasks(kind, name, tuple(masks), exists)


def _mask(stream: TokenStream) -> Mask:
    stream.accept("COLUMN")
    column = stream.identifier()
    if stream.one_of("SET", "UNSET") == "UNSET":
        stream.expect("MASKING", "POLICY")
        return Mask(column, None)
    stream.expect("MASKING", "POLICY")
    policy = stream.name()
    using = _columns(stream) if stream.accept("USING") else (column,)
    return Mask(column, policy, using, stream.accept("FORCE"))


def _row_access(stream: TokenStream) -> tuple:  # type: ignore[type-arg]
    """The policies that are dropped, and the one that is added with its columns."""
    if stream.accept("DROP", "ALL", "ROW", "ACCESS", "POLICIES"):
        return None, None
    dropped = []
    if stream.accept("DROP", "ROW", "ACCESS", "POLICY"):
        dropped.append(stream.name())
        if not stream.accept(","):
            return tuple(dropped), None
    stream.expect("ADD", "ROW", "ACCESS", "POLICY")
    policy = stream.name()
    stream.expect("ON")
    return tuple(dropped), (policy, _columns(stream))


def _columns(stream: TokenStream) -> tuple[str, ...]:
    stream.expect("(")
    found = [stream.identifier()]
    while stream.accept(","):
        found.append(stream.identifier())
    stream.expect(")")
    return tuple(found)
