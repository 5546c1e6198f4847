"""Names and texts in statements: quoted, and the patterns of LIKE."""

from __future__ import annotations

import re


def quoted(*parts: str) -> str:
    """A name of these parts, each in double quotes."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def text_literal(value: str) -> str:
    """A text in single quotes, for DuckDB."""
    return "'" + value.replace("'", "''") + "'"


def like_pattern(pattern: str) -> str:
    """A LIKE pattern as a regular expression; a backslash escapes the character after it."""
    wildcards = {"%": ".*", "_": "."}
    return "".join(wildcards.get(part) or re.escape(part[-1]) for part in re.findall(r"\\.|.", pattern, re.DOTALL))
