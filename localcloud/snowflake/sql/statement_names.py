"""The name of a statement in errors: its verb and its kind of object, such as ``CREATE MASKING POLICY``."""

from __future__ import annotations

import re

from snowflake.connector.errors import ProgrammingError
from sqlglot.errors import TokenError

from localcloud.snowflake.failures import syntax, unsupported
from localcloud.snowflake.sql.tokens import TokenStream

# The first words of Snowflake's statements.
_VERBS = frozenset(
    {
        *("ALTER", "BEGIN", "CALL", "COMMENT", "COMMIT", "COPY", "CREATE", "DECLARE"),
        *("DELETE", "DESC", "DESCRIBE", "DROP", "EXECUTE", "EXPLAIN", "GET", "GRANT"),
        *("INSERT", "LIST", "LS", "MERGE", "PUT", "REMOVE", "REVOKE", "RM"),
        *("ROLLBACK", "SELECT", "SET", "SHOW", "START", "TRUNCATE", "UNDROP", "UNSET"),
        *("UPDATE", "USE", "VALUES", "WITH", "("),
    }
)
_WITH_KIND = ("CREATE", "ALTER", "DROP", "DESCRIBE", "DESC", "UNDROP", "SHOW", "USE", "TRUNCATE")
# Words between the verb and the kind.
_MODIFIERS = frozenset(
    {
        *("OR", "REPLACE", "SECURE", "TEMP", "TEMPORARY", "TRANSIENT", "VOLATILE", "LOCAL"),
        *("GLOBAL", "RECURSIVE", "SCOPED", "TERSE", "CURRENT", "AGGREGATE"),
    }
)
_PAIRS = {"INSERT": ("ALL", "OVERWRITE", "FIRST"), "EXECUTE": ("IMMEDIATE", "TASK", "ALERT", "NOTEBOOK", "JOB")}
_KINDS = frozenset(
    {
        *("ACCOUNT", "ALERT", "APPLICATION", "CHANNELS", "COLUMNS", "CONNECTION", "CONTACT", "DATABASE"),
        *("DATASET", "DELEGATED", "ENDPOINTS", "FUNCTION", "GRANTS", "INTEGRATION", "LISTING", "LOCKS"),
        *("MODEL", "NOTEBOOK", "OBJECTS", "ORGANIZATION", "PARAMETERS", "PIPE", "PROCEDURE", "REGIONS"),
        *("ROLE", "SCHEMA", "SECRET", "SEQUENCE", "SERVICE", "SESSION", "SHARE", "SNAPSHOT"),
        *("STAGE", "STREAM", "STREAMLIT", "TABLE", "TAG", "TASK", "TRANSACTIONS", "TYPE"),
        *("USER", "VARIABLES", "VIEW", "WAREHOUSE", "WORKSPACE"),
    }
)
# The last words of kinds that are written in several words.
_LAST = frozenset(
    {
        *("POLICY", "INTEGRATION", "TABLE", "VIEW", "FORMAT", "FUNCTION", "ROLE", "MONITOR"),
        *("RULE", "POOL", "REPOSITORY", "VOLUME", "PACKAGE", "GROUP", "SERVICE", "ACCOUNT"),
        *("PROFILE", "REGISTRY", "KEYS", "REFERENCES", "SCHEMA", "HISTORY"),
    }
)
_LONGEST_KIND = 4
# The kinds whose statements sqlglot parses.
_PARSED = (
    "TABLE",
    "VIEW",
    "SCHEMA",
    "DATABASE",
    "MATERIALIZED VIEW",
    "EXTERNAL TABLE",
    "ICEBERG TABLE",
    "HYBRID TABLE",
    "SESSION",
)
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|//[^\n]*(?:\n|$)|/\*.*?\*/)*([A-Za-z_]\w*)", re.DOTALL)


def statement_name(sql: str) -> str:
    """The statement's name; its first word where nothing more is known."""
    words = _words(sql)
    if not words:
        return "''"
    verb, rest = words[0], words[1:]
    if verb in _PAIRS:
        return " ".join(words[:2]) if rest[:1] and rest[0] in _PAIRS[verb] else verb
    if verb == "COMMENT":
        rest = rest[rest.index("ON") + 1 :] if "ON" in rest else rest
    elif verb not in _WITH_KIND:
        return verb
    kind = _kind(rest)
    return f"{verb} ON {kind}".strip() if verb == "COMMENT" else f"{verb} {kind}".strip()


def check_begin(sql: str) -> None:
    """Raise a syntax error for a text that begins with no word of Snowflake's statements."""
    word = _FIRST_WORD.match(sql)
    if word is not None and word[1].upper() not in _VERBS:
        raise syntax(f"unexpected '{word[1]}'", sql, word.start(1))


def unknown_kind(sql: str) -> ProgrammingError | None:
    """The error for DDL of a kind of object that this server does not have; ``None`` for other statements."""
    name = statement_name(sql)
    verb, _, kind = name.partition(" ")
    if verb not in ("CREATE", "ALTER", "DROP", "UNDROP") or not kind or kind in _PARSED:
        return None
    return unsupported(f"the statement {name}")


def refused(sql: str) -> ProgrammingError:
    """The error for a statement that this server does not run: a syntax error for what is no statement of Snowflake's."""
    words = _words(sql)
    if not words:
        return syntax("unexpected '<EOF>'", sql, len(sql))
    if words[0] not in _VERBS:
        return _unexpected(sql, 0)
    name = statement_name(sql)
    if name == words[0] and words[0] in _WITH_KIND:
        at = 1
        while at < len(words) and words[at] in _MODIFIERS:
            at += 1
        return _unexpected(sql, at)
    return unsupported(f"the statement {name}")


def _unexpected(sql: str, at: int) -> ProgrammingError:
    stream = TokenStream(sql)
    for word in stream.words(at):
        stream.accept(word)
    return stream.unexpected()


def _kind(words: list[str]) -> str:
    at = 0
    while at < len(words) and words[at] in _MODIFIERS:
        at += 1
    for count in range(_LONGEST_KIND, 1, -1):
        found = words[at : at + count]
        if len(found) == count and found[-1].removesuffix("S") in _LAST | {word.removesuffix("S") for word in _LAST}:
            if found[0] in _KINDS and found[0] not in (
                "ORGANIZATION",
                "DATABASE",
                "APPLICATION",
                "CONNECTION",
                "SESSION",
            ):
                continue
            return " ".join(found)
    first = words[at] if at < len(words) else ""
    singular = first.removesuffix("S")
    return first if first in _KINDS or singular in _KINDS or singular in _LAST else ""


def _words(sql: str) -> list[str]:
    try:
        return list(TokenStream(sql).words(10))
    except (ProgrammingError, TokenError):
        return sql.upper().split()[:10]
