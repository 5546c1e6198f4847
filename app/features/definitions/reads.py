"""Checks what a view's query reads: only the pipeline's sources, each of them cut.

A table that a definition names itself holds rows of every time, so a view that reads it sees the future.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from app.errors import CallerError
from app.spec.schema import Source
from app.sql import Name, identifier, timestamp

if TYPE_CHECKING:
    from sqlglot import exp

#: Stands for the schema of the cut sources in the text that is checked.
CUT = "sources cut at as_of"

#: Times in a query's text: two queries that differ in nothing else read the same tables.
TIME = re.compile(r"'\d{4}-\d\d-\d\d[^']*'")

#: Functions whose argument, a text, names what is read.
_DYNAMIC = {"IDENTIFIER", "RESULT_SCAN", "TABLE"}


@dataclass(frozen=True)
class Definition:
    """Where a query comes from, for messages. ``lines_before``: lines of the query before the first line of its file."""

    define: str
    lines_before: int = 0

    @property
    def in_sql(self) -> bool:
        return ":" not in self.define


def cut_query(source: Source, cut: datetime) -> str:
    """A source's rows before ``cut``; all rows of a source without time."""
    rows = f"SELECT * FROM {Name.parse(source.table).sql}"
    return f"{rows} WHERE {identifier(source.event_time)} < {timestamp(cut)}" if source.event_time else rows


def named_cuts(query: str, sources: Mapping[str, Source], cut: datetime) -> str:
    """The query with names for the cut sources."""
    text = f"({query}\n)"
    for name, source in sources.items():
        # With the parentheses: a condition after the cut could add rows again.
        for end in (")", "\n)"):
            text = text.replace(f"({cut_query(source, cut)}{end}", f"(SELECT * FROM {Name.of(CUT, name).sql})")
    return text


def shape(query: str, sources: Mapping[str, Source], cut: datetime) -> str:
    """The query without its times and with names for the cut sources; all as-of times of a view have one shape or a few."""
    return TIME.sub("'1970-01-01'", named_cuts(query, sources, cut))


def sources_read(shaped: str, sources: Mapping[str, Source], definition: Definition) -> frozenset[str]:
    """The short names of the sources that a query of this shape reads. Raises CallerError for anything else that it reads."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(shaped, dialect="snowflake")
    except SqlglotError as error:
        raise CallerError(
            f"{definition.define}: cannot tell which tables it reads ({_first_line(error)}); write it in simpler SQL, or "
            "create a view in Snowflake and declare it under `sources`"
        ) from error
    found = set()
    for table in tree.find_all(exp.Table):
        name = Name.of(*(_stored(part) for part in table.parts)) if isinstance(table.this, exp.Identifier) else None
        expression = _expression_of(table, name.last) if name is not None and len(name.parts) == 1 else None
        if name is not None and name.parts[:-1] == (CUT,):
            if not (definition.in_sql and table.find_ancestor(exp.CTE) in _cuts(tree)):
                found.add(name.last)
        elif expression is None:
            raise CallerError(_refusal(table, name, sources, definition))
        elif definition.in_sql and expression in _cuts(tree):
            found.add(_source_of(expression.alias, sources))
    for text in _dynamic(tree):
        raise CallerError(
            f"{definition.define}: {text} names what it reads by a text, so it cannot be cut at its as-of time; "
            f"write {_written(sources, definition)}"
        )
    return frozenset(found)


def _source_of(name: str, sources: Mapping[str, Source]) -> str:
    """The source of a cut expression: itself, or the one whose tiles it holds."""
    return name if name in sources else name.removesuffix("_tiles")


def _stored(part: exp.Expr) -> str:
    """A part of a name as Snowflake stores it."""
    return part.name if part.args.get("quoted") else part.name.upper()


def _cuts(tree: exp.Expr) -> list[exp.CTE]:
    """The expressions above a .sql file's text, one for each source, whether the text uses it or not."""
    from sqlglot import exp

    outer = tree.unnest()
    return outer.ctes if isinstance(outer, exp.Query) else []


def _expression_of(table: exp.Table, name: str) -> exp.CTE | None:
    """The common table expression of this name that the table's place can see."""
    from sqlglot import exp

    node: exp.Expr = table
    limited: exp.Expr | None = None
    while node.parent is not None:
        child, node = node, node.parent
        if isinstance(node, exp.With):
            # An expression sees those before it, and itself where it is recursive.
            position = next(index for index, item in enumerate(node.expressions) if item is child)
            visible = node.expressions[: position + 1 if node.recursive else position]
            limited = node.parent
        elif isinstance(node, exp.Query) and node is not limited:
            visible = node.ctes
        else:
            continue
        for item in visible:
            if _stored(item.args["alias"].this) == name:
                found: exp.CTE = item
                return found
    return None


def _dynamic(tree: exp.Expr) -> Iterator[str]:
    from sqlglot import exp

    for node in tree.find_all(exp.Func, exp.TableFromRows):
        if isinstance(node, exp.TableFromRows):
            if isinstance(node.this, exp.Literal | exp.Placeholder | exp.Parameter):
                yield node.sql("snowflake")
        elif isinstance(node, exp.Anonymous) and node.name.upper() in _DYNAMIC:
            yield node.sql("snowflake")


def _refusal(table: exp.Table, name: Name | None, sources: Mapping[str, Source], definition: Definition) -> str:
    said = str(name) if name is not None else table.sql("snowflake")
    place = definition.define
    line = next((part.meta.get("line") for part in table.parts if part.meta.get("line")), None)
    if definition.in_sql and line is not None and line > definition.lines_before:
        place = f"{place}:{line - definition.lines_before}"
    for short, source in sources.items():
        declared = Name.parse(source.table)
        if name is not None and declared.parts[-len(name.parts) :] == name.parts[-len(declared.parts) :]:
            return (
                f"{place}: reads the table {said} itself, with rows after its as-of time; write "
                f"{_written({short: source}, definition)}, the source, which ends at that time"
            )
    return (
        f"{place}: reads {said}, which is not a source of this pipeline; use {_written(sources, definition)}, or declare it, "
        f"`sources: {{{_short(said)}: {{table: {said}, event_time: ...}}}}`"
    )


def _written(sources: Mapping[str, Source], definition: Definition) -> str:
    return " or ".join(name if definition.in_sql else f'sources["{name}"]' for name in sources)


def _short(said: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "_", said.rpartition(".")[2].lower()).strip("_") or "name"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
