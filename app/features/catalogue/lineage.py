"""Where each feature comes from: the columns of sources that its expression uses, taken from the view's own query.

Columns that only filter, join or group rows are not part of an expression, and are not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.features.definitions.reads import CUT
from app.ports import ColumnType

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.lineage import Node

#: The transformation of a feature whose query sqlglot cannot follow.
UNKNOWN = "unknown"

_TYPES = {"number": "FLOAT", "boolean": "BOOLEAN", "text": "VARCHAR", "time": "TIMESTAMP_NTZ", "other": "VARIANT"}


@dataclass(frozen=True)
class Origin:
    """Where a feature comes from. ``columns``: such as ``RAW.ORDERS.AMOUNT``; None if they are unknown.

    ``tables``: those of the columns; of the whole view if there are none. ``transformation``: the feature's expression, and on the
    lines after it those of the names that it uses.
    """

    tables: tuple[str, ...]
    columns: tuple[str, ...] | None
    transformation: str


def trace(
    query: str, names: Sequence[str], tables: Mapping[str, str], described: Mapping[str, Sequence[ColumnType]]
) -> dict[str, Origin]:
    """By name, the origin of the result columns ``names`` of a query with named cuts (``reads.named_cuts``).

    ``tables``: the table of each source that it reads, by short name. ``described``: the sources' columns. Never raises: an origin
    that cannot be told is unknown.
    """
    nodes = _nodes(query, described)
    return {name: _origin(nodes.get(name), tables) for name in names}


def _nodes(query: str, described: Mapping[str, Sequence[ColumnType]]) -> Mapping[str, Node]:
    import sqlglot
    from sqlglot.lineage import lineage
    from sqlglot.schema import MappingSchema

    columns = {
        name: {column.name: _TYPES[column.kind] for column in found} for name, found in described.items() if found
    }
    schema = MappingSchema({CUT: columns} if columns else None, dialect="snowflake", normalize=False)
    try:
        tree = sqlglot.parse_one(query, dialect="snowflake").unnest()
        return lineage(None, tree, schema, dialect="snowflake", trim_selects=False)
    except Exception:  # the optimizer raises errors of many kinds for what it does not know
        return {}


def _origin(node: Node | None, tables: Mapping[str, str]) -> Origin:
    everything = tuple(sorted(set(tables.values())))
    if node is None:
        return Origin(everything, None, UNKNOWN)
    found = set()
    for leaf in _leaves(node):
        column = _source_column(leaf, tables)
        if column is None:
            return Origin(everything, None, UNKNOWN)
        found.add(column)
    used = tuple(sorted({table for table, _ in found}))
    columns = tuple(sorted(f"{table}.{name}" for table, name in found))
    return Origin(used or everything, columns, _transformation(node))


def _leaves(node: Node) -> Iterator[Node]:
    """The ends of a feature's lineage that are columns or unknown; constants and COUNT(*) come from no column."""
    from sqlglot import exp

    for each in node.walk():
        if not each.downstream and (isinstance(each.expression, exp.Table) or _reads_unknown(each.expression)):
            yield each


def _reads_unknown(expression: exp.Expr) -> bool:
    from sqlglot import exp

    return not isinstance(expression, exp.Alias | exp.Literal | exp.Func) or expression.find(exp.Column) is not None


def _source_column(leaf: Node, tables: Mapping[str, str]) -> tuple[str, str] | None:
    """(table, column) of a leaf; None if it is no column of a source."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    table = leaf.expression
    if not isinstance(table, exp.Table) or table.db != CUT or table.name not in tables:
        return None
    try:
        column = sqlglot.parse_one(leaf.name)
    except SqlglotError:
        return None
    return (tables[table.name], column.name) if isinstance(column, exp.Column) else None


def _transformation(node: Node) -> str:
    """The first expression below the feature's name that computes something, and those of the names in it."""
    written = [(each.name.rpartition(".")[2], _expression(each)) for each in node.walk()]
    computed = [(name, text) for name, text in written if text is not None]
    if not computed:
        return next((text for text in (_plain(node.expression),) if text), UNKNOWN)
    (_, first), *rest = computed
    inner = sorted({f"{name} = {text}" for name, text in rest if text != first})
    return "\n".join([first or "", *inner])


def _expression(node: Node) -> str | None:
    """The node's expression; None for a column that is only passed on, and for a table."""
    from sqlglot import exp

    value = node.expression.unalias()
    return None if isinstance(value, exp.Column | exp.Table | exp.Star) else _plain(value)


def _plain(expression: exp.Expr) -> str:
    """The expression for people: its columns without the names that the optimizer gave to subqueries."""
    from sqlglot import exp

    def bare(part: exp.Expr) -> exp.Expr:
        return exp.column(part.this.copy()) if isinstance(part, exp.Column) and part.table else part

    return expression.unalias().copy().transform(bare).sql("snowflake", pretty=True, comments=False)
