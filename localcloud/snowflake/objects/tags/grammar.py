"""Grammar of CREATE TAG, ALTER TAG, and SET and UNSET TAG in ALTER of other objects."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.feature import CreateHead, Options
from localcloud.snowflake.objects.tags.syntax import Assignment, CreateTag, SetTags
from localcloud.snowflake.sql.syntax import Name, Statement
from localcloud.snowflake.sql.tokens import TokenStream, text_option, unsupported_option

_MOST_VALUES, _LONGEST = 5_000, 256
#: The kinds of objects that may have tags.
KINDS = (
    *("DYNAMIC TABLE", "EVENT TABLE", "TABLE", "VIEW", "SCHEMA", "DATABASE", "STAGE", "STREAM", "TASK"),
    *("WAREHOUSE", "ROLE", "USER"),
)


def create_tag(stream: TokenStream, head: CreateHead) -> Statement:
    allowed = _values(stream) if stream.accept("ALLOWED_VALUES") else None
    options = {"COMMENT": text_option, "PROPAGATE": unsupported_option, "ON_CONFLICT": unsupported_option}
    return head.make(CreateTag, comment=stream.options(options).get("COMMENT"), allowed=allowed)


def _values(stream: TokenStream) -> tuple[str, ...]:
    values = [stream.string()]
    while stream.accept(","):
        values.append(stream.string())
    if len(values) > _MOST_VALUES:
        raise compilation(1008, "22023", f"a tag has at most {_MOST_VALUES} allowed values")
    for value in values:
        check_length(value)
    return tuple(dict.fromkeys(values))


def check_length(value: str) -> None:
    if len(value) > _LONGEST:
        raise compilation(1008, "22023", f"the value of a tag has at most {_LONGEST} characters")


def change_allowed(stream: TokenStream) -> Options:
    """What follows ADD or DROP in ALTER TAG."""
    stream.expect("ALLOWED_VALUES")
    return {"VALUES": _values(stream)}


def sets_tags(stream: TokenStream) -> bool:
    """Whether the statement is an ALTER with SET TAG or UNSET TAG."""
    words = stream.words(60)
    return words[:1] == ("ALTER",) and any(pair in (("SET", "TAG"), ("UNSET", "TAG")) for pair in pairwise(words))


def set_tags(stream: TokenStream) -> Statement:
    stream.expect("ALTER")
    kind = next((word for word in KINDS if stream.accept(*word.split())), None)
    if kind is None:
        raise unsupported(f"SET TAG and UNSET TAG in ALTER {' '.join(stream.words(1))}")
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    if not (stream.accept("ALTER") or stream.accept("MODIFY")):
        return SetTags(kind, name, (Assignment(_tags(stream)),), exists)
    assignments = [_column(stream)]
    while stream.accept(","):
        assignments.append(_column(stream))
    return SetTags(kind, name, tuple(assignments), exists)


def _column(stream: TokenStream) -> Assignment:
    stream.accept("COLUMN")
    column = stream.identifier()
    return Assignment(_tags(stream), column)


def _tags(stream: TokenStream) -> tuple[tuple[Name, str | None], ...]:
    setting = stream.one_of("SET", "UNSET") == "SET"
    stream.expect("TAG")
    found: list[tuple[Name, Any]] = []
    while True:
        name = stream.name()
        if setting:
            stream.expect("=")
        found.append((name, stream.string() if setting else None))
        # A comma may also begin the next column.
        if stream.words(2)[:1] != (",",) or "TAG" in stream.words(5)[2:]:
            return tuple(found)
        stream.expect(",")
