"""A view's query as text that depends on its definition alone: the same at every as-of time.

Sources have their short names, and times are written as distances from ``as_of``. Two texts of one view differ only if its
definition does, so their difference shows what was changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from app.features.definitions.reads import TIME

#: Stands for a time that is neither constant nor at one distance from as_of, such as the first day of its month.
_VARIES = "'as_of (varies)'"


def relative_query(first: tuple[str, datetime], last: tuple[str, datetime]) -> str:
    """The query of one shape, from its texts at its first and its last as-of time.

    With one time only, constants cannot be distinguished from times that follow as_of, and are written as distances too.
    """
    (early, at_first), (late, at_last) = first, last
    moments = iter(
        [_written(a, b, at_first, at_last) for a, b in zip(TIME.findall(early), TIME.findall(late), strict=True)]
    )
    return TIME.sub(lambda _: next(moments), late)


def joined(shapes: Iterable[str]) -> str:
    """The text of a view whose definition branches on its time: its queries, each once, in a fixed order."""
    return ";\n\n".join(sorted(set(shapes)))


def _written(early: str, late: str, at_first: datetime, at_last: datetime) -> str:
    if early == late and at_first != at_last:
        return late
    distances = {_distance(early, at_first), _distance(late, at_last)}
    if len(distances) > 1:
        return _VARIES
    return distances.pop() or late


def _distance(written: str, as_of: datetime) -> str:
    """``'as_of - 30 days'``; empty for a text that is no time."""
    try:
        moment = datetime.fromisoformat(written.strip("'"))
    except ValueError:
        return ""
    apart = moment.replace(tzinfo=None) - as_of
    if not apart:
        return "'as_of'"
    size = abs(apart)
    return f"'as_of {'-' if apart < timedelta() else '+'} {_words(size)}'"


def _words(size: timedelta) -> str:
    days, rest = size.days, size - timedelta(days=size.days)
    parts = [f"{days} day{'' if days == 1 else 's'}"] if days else []
    return " ".join([*parts, str(rest)] if rest else parts)
