"""The difference between a view's stored definition and its present one, for people."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

#: Lines of a difference that are shown.
_LINES = 40


def difference(stored: str, present: str, stored_name: str, present_name: str) -> str:
    """A unified difference of two queries, formatted so that only what changed differs. Empty if nothing does."""
    lines = list(
        difflib.unified_diff(_formatted(stored), _formatted(present), stored_name, present_name, lineterm="", n=2)
    )
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"... and {len(lines) - _LINES + 1} more lines"]
    return "\n".join(lines)


def with_sources(query: str, sources: Mapping[str, str]) -> str:
    """The query below a comment for each source that it reads, so that another table is a difference, too."""
    return "\n".join([*(f"-- {name}: {table}" for name, table in sorted(sources.items())), query])


def _formatted(text: str) -> list[str]:
    """The lines of the text, its statements formatted alike; comments at its beginning are kept as they are."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    lines = text.splitlines()
    comments = 0
    while comments < len(lines) and lines[comments].startswith("-- "):
        comments += 1
    body = "\n".join(lines[comments:])
    try:
        trees = sqlglot.parse(body, dialect="snowflake")
    except SqlglotError:
        return lines
    written = [tree.unnest().sql("snowflake", pretty=True, comments=False) for tree in trees if tree is not None]
    return [*lines[:comments], *"\n;\n".join(written).splitlines()]
