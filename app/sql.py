"""SQL as values: quoted names, statements with binds, literals only in statements that take no binds.

Every identifier in a generated statement is a :class:`Name`, which quotes itself; every value is a bind. DDL and COPY take no
binds in Snowflake, so their URLs and constants go through :func:`literal`. ``app`` writes SQL in no other way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.errors import CallerError

_PART = re.compile(r'[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"\x00]|"")+"')

_PLAIN = re.compile(r"[A-Z_][A-Z0-9_$]*")
_PATH = re.compile(r"[A-Za-z0-9_.\-/]+")

#: Snowflake's limit on the length of an identifier, in characters.
_MAX_IDENTIFIER = 255


@dataclass(frozen=True, order=True)
class Name:
    """A name of one to three parts, as Snowflake stores them: unquoted ones upper-cased, quoted ones as written."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Name:
        """``raw.orders`` or ``RAW."my table"``. Raises CallerError for anything else."""
        parts: list[str] = []
        position = 0
        while True:
            match = _PART.match(text, position)
            if match is None or len(parts) == 3:
                break
            parts.append(_stored(match.group()))
            position = match.end()
            if position == len(text):
                return cls.of(*parts)
            if text[position] != ".":
                break
            position += 1
        raise CallerError(
            f"{text!r} is not a name in Snowflake: write up to three parts of letters, digits, _ and $, joined by dots, "
            "or put a part with other characters in double quotes"
        )

    @classmethod
    def of(cls, *parts: str) -> Name:
        """A name of parts as Snowflake stores them."""
        if not 1 <= len(parts) <= 3 or any(not part or "\x00" in part or len(part) > _MAX_IDENTIFIER for part in parts):
            raise CallerError(f"{'.'.join(parts)!r} is not a name in Snowflake")
        return cls(parts)

    @property
    def last(self) -> str:
        """The object's own name, without schema and database."""
        return self.parts[-1]

    def sibling(self, last: str) -> Name:
        """The name of another object in the same schema."""
        return Name.of(*self.parts[:-1], last)

    @property
    def sql(self) -> str:
        """Quoted, for use in a statement."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in self.parts)

    def __str__(self) -> str:
        return ".".join(part if _PLAIN.fullmatch(part) else identifier(part) for part in self.parts)


@dataclass(frozen=True)
class Statement:
    """One statement and its binds, in the order of its question marks.

    ``warehouse``: the warehouse that computes it; None: the session's.
    """

    text: str
    binds: tuple[Any, ...] = ()
    warehouse: str | None = None

    @property
    def shown(self) -> str:
        """The text for people, with the number of binds."""
        count = len(self.binds)
        return self.text + (f"\n-- with {count} bind{'' if count == 1 else 's'}" if count else "")


@dataclass(frozen=True)
class ScriptStatement:
    """A statement of a script, without its semicolon. ``line``: where it begins, from 1."""

    text: str
    line: int


#: What may hold a semicolon that ends no statement; a quote or comment without an end goes on to the end of the text.
_SCRIPT_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|(?<![:/])//[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<quoted>'(?:[^'\\]|\\.|'')*(?:'|\Z)|"(?:[^"]|"")*(?:"|\Z)|\$\$.*?(?:\$\$|\Z))
    |(?P<end>;)|(?P<blank>\s+)|(?P<word>[^\s;'"$/-]+|.)""",
    re.VERBOSE | re.DOTALL,
)


def split_script(text: str) -> list[ScriptStatement]:
    """The statements of a script, separated by semicolons outside of quotes, ``$$`` and comments; those of comments alone are
    left out. Snowflake Scripting blocks must be quoted by ``$$``, as Snowflake's own clients require.
    """
    found: list[ScriptStatement] = []
    start: int | None = None  # of the first word of the present statement
    for token in _SCRIPT_TOKEN.finditer(text):
        if token.lastgroup == "end":
            found += _script_statement(text, start, token.start())
            start = None
        elif start is None and token.lastgroup in ("quoted", "word"):
            start = token.start()
    return found + _script_statement(text, start, len(text))


def _script_statement(text: str, start: int | None, end: int) -> list[ScriptStatement]:
    return [] if start is None else [ScriptStatement(text[start:end].rstrip(), text.count("\n", 0, start) + 1)]


def identifier(name: str) -> str:
    """One column or alias, quoted, as Snowflake stores it."""
    return Name.of(name).sql


def columns(names: Iterable[str]) -> str:
    """Quoted columns, joined by commas."""
    return ", ".join(identifier(name) for name in names)


def literal(text: str) -> str:
    """A text constant for a statement that takes no binds. Snowflake reads backslashes in it as escapes, so they are doubled."""
    if "\x00" in text:
        raise CallerError("a text in SQL cannot hold a NUL character")
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def stage_path(stage: Name, path: str) -> str:
    """``@stage/path`` for COPY. Raises CallerError for a path that would need quotes."""
    if not _PATH.fullmatch(path):
        raise CallerError(f"{path!r} is not a path on a stage: use letters, digits, and ._-/")
    return f"@{stage}/{path}"


def timestamp(value: datetime) -> str:
    """A TIMESTAMP_NTZ constant, in UTC, for a statement that takes no binds."""
    return f"'{naive_utc(value).isoformat(sep=' ')}'::TIMESTAMP_NTZ"


def naive_utc(value: datetime) -> datetime:
    """The same moment as TIMESTAMP_NTZ holds it: in UTC, without a zone. A naive value is UTC already."""
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _stored(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part.upper()
