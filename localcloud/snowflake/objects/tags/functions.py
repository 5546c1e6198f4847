"""SYSTEM$GET_TAG, SYSTEM$GET_TAG_ALLOWED_VALUES, and TAG_REFERENCES and TAG_REFERENCES_ALL_COLUMNS of INFORMATION_SCHEMA."""

from __future__ import annotations

import json
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.functions.table import information_schema
from localcloud.snowflake.objects.references import Target
from localcloud.snowflake.objects.tags import statements
from localcloud.snowflake.objects.tags.references import TagReferences
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name
from localcloud.snowflake.sql.tokens import TokenStream

_COLUMNS = [
    (name, "text")
    for name in (
        *("TAG_DATABASE", "TAG_SCHEMA", "TAG_NAME", "TAG_VALUE", "APPLY_METHOD", "LEVEL"),
        *("OBJECT_DATABASE", "OBJECT_SCHEMA", "OBJECT_NAME", "DOMAIN", "COLUMN_NAME"),
    )
]
_FUNCTIONS = ("TAG_REFERENCES", "TAG_REFERENCES_ALL_COLUMNS")
_DOMAINS = ("COLUMN", "TABLE", "SCHEMA", "DATABASE", "STAGE", "STREAM", "TASK", "WAREHOUSE", "ROLE", "USER")


def get_tag(node: exp.Anonymous, session: Session) -> exp.Expr:
    tag, name, domain = _texts(node.expressions, "SYSTEM$GET_TAG", 3)
    references = session.account.state(TagReferences)
    found = references.tags.require(session.id, session.path(_name(tag)))
    value = references.found(_target(session, name, domain)).get(found)
    return exp.Null() if value is None else exp.Literal.string(value[0])


def allowed_values(node: exp.Anonymous, session: Session) -> exp.Expr:
    (tag,) = _texts(node.expressions, "SYSTEM$GET_TAG_ALLOWED_VALUES", 1)
    found = session.account.state(TagReferences).tags.require(session.id, session.path(_name(tag)))
    if found.allowed is None:
        return exp.Null()
    return exp.Literal.string(json.dumps(found.allowed, separators=(",", ":")))


def rewrite(node: exp.Expr, session: Session, _runner: Runner) -> exp.Expr:
    """``TABLE(INFORMATION_SCHEMA.TAG_REFERENCES('name', 'domain'))`` as a temporary table; anything else as it is."""
    if (called := information_schema.called(node, _FUNCTIONS)) is None:
        return node
    function, call = called
    name, domain = _texts(call.expressions, function, 2)
    target = _target(session, name, domain)
    targets = [target]
    if function != "TAG_REFERENCES":
        if target.domain != "TABLE":
            raise compilation(1044, "42P13", f"Invalid value ['{domain}'] for function '{function}'")
        columns = statements.columns_of(session, target.parts)
        targets = [Target("COLUMN", (*target.parts, column)) for column in columns]
    rows = [row for one in targets for row in _rows(session, one)]
    return information_schema.answered(session, node, _COLUMNS, rows)


def _rows(session: Session, target: Target) -> list[list[Any]]:
    own: list[str | None] = [None, None, *target.parts] if len(target.parts) == 1 else list(target.parts)
    if len(target.parts) == 2:
        own = [target.parts[0], None, target.parts[1]]
    found = session.account.state(TagReferences).found(target)
    return [
        [
            *[*tag.path, value, "MANUAL" if place == target else "INHERITED", place.domain],
            *[*own[:3], target.domain, target.parts[3] if target.domain == "COLUMN" else None],
        ]
        for tag, (value, place) in sorted(found.items(), key=lambda item: item[0].path)
    ]


def _texts(given: list[exp.Expr], function: str, count: int) -> list[str]:
    if len(given) != count or not all(value.is_string for value in given):
        raise compilation(1044, "42P13", f"Invalid argument types for function '{function}'")
    return [value.name for value in given]


def _name(text: str) -> Name:
    stream = TokenStream(text)
    name = stream.name()
    stream.end()
    return name


def _target(session: Session, text: str, domain: str) -> Target:
    kind = domain.upper()
    if kind not in _DOMAINS:
        raise unsupported(f"the tags of objects of the domain {kind}")
    if kind == "COLUMN":
        stream = TokenStream(text)
        parts = [stream.identifier()]
        while stream.accept("."):
            parts.append(stream.identifier())
        stream.end()
        if not 2 <= len(parts) <= 4:
            raise compilation(1044, "42P13", f"'{text}' does not name a column with its table")
        padded: list[Any] = [None] * (4 - len(parts)) + parts
        target = Target(kind, (*session.path(Name(padded[2], padded[1], padded[0])), parts[-1]))
    else:
        target = statements.target_of(session, kind, _name(text))
    statements.require(session, target)
    return target
