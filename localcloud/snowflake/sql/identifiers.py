"""Names in statements: quoting them, and the patterns of LIKE."""

from __future__ import annotations

import re


def quoted(*parts: str) -> str:
    """A name of these parts, each in double quotes."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def like_pattern(pattern: str) -> str:
    """A LIKE pattern as a regular expression; a backslash escapes the character after it."""
    signs = {"%": ".*", "_": "."}
    return "".join(signs.get(part) or re.escape(part[-1]) for part in re.findall(r"\\.|.", pattern, re.DOTALL))
