"""Texts of dates and times read by one of Snowflake's formats, row by row: formats in columns, and offsets of time zones.

DuckDB reads only by constant formats, and converts a text with an offset to a moment; Snowflake's TIMESTAMP_NTZ and TIME keep the
wall clock. A format is also accepted in Python's directives, as sqlglot writes the literal ones.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: The name in DuckDB of :func:`iso_text`.
ISO_TEXT = "localcloud_iso_text"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBER, _NAME = r"(\d{1,2})", r"([A-Za-z]{3})[a-z]*"
_FRACTION, _OFFSET = r"(\d{0,9})", r"([+-]\d{1,2}(?::?\d{2})?|Z)"
# What a piece of a format means, and the pattern of its value; the longer pieces come first.
_PIECES: tuple[tuple[str, str, str], ...] = (
    (r"TZH:?TZM|TZH|(?-i:%z)", "offset", _OFFSET),
    (r"YYYY|(?-i:%Y)", "year", r"(\d{4})"),
    (r"HH24|(?-i:%H)", "hour", _NUMBER),
    (r"HH12|(?-i:%I)", "hour12", _NUMBER),
    (r"MMMM|MON|(?-i:%B)|(?-i:%b)", "month_name", _NAME),
    (r"FF\d?|(?-i:%f(?:_[a-z]+)?\d?)|(?-i:%n)", "fraction", _FRACTION),
    (r"YY|(?-i:%y)", "year_of_century", r"(\d{2})"),
    (r"MM|(?-i:%m)", "month", _NUMBER),
    (r"DD|(?-i:%d)", "day", _NUMBER),
    (r"DY|(?-i:%a)", "weekday", _NAME),
    (r"MI|(?-i:%M)", "minute", _NUMBER),
    (r"SS|(?-i:%S)", "second", _NUMBER),
    (r"AM|PM|(?-i:%p)", "half", r"(AM|PM)"),
)
_PIECE = re.compile("|".join(f"({piece})" for piece, _, _ in _PIECES) + r'|"([^"]*)"|(.)', re.IGNORECASE | re.DOTALL)
#: Of the years 00 to 99, the first one that is in the last century (TWO_DIGIT_CENTURY_START is 1970).
_FIRST_YEAR = 70


def iso_text(text: str | None, written: str | None) -> str | None:
    """``text`` as year, month, day, time and offset in ISO form, or ``None`` where it does not fit the format."""
    if text is None or written is None:
        return None
    if written.strip().upper() == "AUTO":
        return text
    pattern, names = _pattern(written)
    found = pattern.fullmatch(text.strip())
    if found is None:
        return None
    parts = {name: value for name, value in zip(names, found.groups(), strict=True) if value is not None}
    month = _month(parts)
    if month is None:
        return None
    clock = f"{_hour(parts):02d}:{int(parts.get('minute', 0)):02d}:{int(parts.get('second', 0)):02d}"
    fraction = f".{parts['fraction'][:6]}" if parts.get("fraction") else ""
    return f"{_year(parts):04d}-{month:02d}-{int(parts.get('day', 1)):02d} {clock}{fraction}{_offset(parts)}"


@lru_cache(maxsize=256)
def _pattern(written: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A fraction may be absent, with the point before it."""
    made, names = "", []
    for piece in _PIECE.finditer(written):
        at = (piece.lastindex or 0) - 1
        if at >= len(_PIECES):
            made += re.escape(piece[at + 1])
            continue
        _, name, value = _PIECES[at]
        names.append(name)
        if name == "fraction" and made.endswith("\\."):
            made = f"{made[:-2]}(?:\\.{value})?"
        else:
            made += value
    return re.compile(made, re.IGNORECASE), tuple(names)


def _year(parts: dict[str, str]) -> int:
    if "year_of_century" in parts:
        short = int(parts["year_of_century"])
        return short + (1900 if short >= _FIRST_YEAR else 2000)
    return int(parts.get("year", 1970))


def _month(parts: dict[str, str]) -> int | None:
    name = parts.get("month_name")
    if name is None:
        return int(parts.get("month", 1))
    return _MONTHS.index(name.lower()) + 1 if name.lower() in _MONTHS else None


def _hour(parts: dict[str, str]) -> int:
    if "hour12" not in parts:
        return int(parts.get("hour", 0))
    return int(parts["hour12"]) % 12 + (12 if parts.get("half", "").upper() == "PM" else 0)


def _offset(parts: dict[str, str]) -> str:
    written = parts.get("offset")
    if written is None or written.upper() == "Z":
        return "" if written is None else "+00:00"
    digits = written[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "00")
    return f"{written[0]}{int(hours):02d}:{minutes}"
