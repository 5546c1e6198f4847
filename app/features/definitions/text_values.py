"""The values of text columns whose categories the pipeline file leaves to the data.

They are those of training rows, so that a value which only occurs later is one that the model has never seen: rows at the as-of
times of the training part, or, in a snapshot, rows that have a label. Of a spine they are the rows of all slices before the logical
date. A slice that the store has is read from there, another one from the view's query. One statement reads the columns of all
views, unless their queries are longer than a statement may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.errors import CallerError
from app.features import store
from app.features.definitions.categories import TextValues
from app.features.plan import ViewPlan
from app.ports import Warehouse
from app.spec import Pipeline
from app.sql import Statement, columns, identifier, timestamp
from sagemaker_entry.split import split_by_time


@dataclass(frozen=True)
class TextColumn:
    """A column of a view whose values are read. ``limit``: how many it may have."""

    view: str
    name: str
    limit: int


def text_columns(pipeline: Pipeline, views: Sequence[ViewPlan]) -> tuple[TextColumn, ...]:
    """The text columns without declared values."""
    declared = {view.view: view for view in pipeline.features}
    return tuple(
        TextColumn(view.view, column.name, declared[view.view].categories_limit)
        for view in views
        for column in view.columns
        if column.kind == "text" and not declared[view.view].listed(column.name)
    )


def read_values(
    warehouse: Warehouse,
    pipeline: Pipeline,
    views: Sequence[ViewPlan],
    label: ViewPlan,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[tuple[str, str], TextValues]:
    """By view and column, the values of every text column without declared values."""
    wanted = text_columns(pipeline, views)
    if wanted:
        tell(f"reading the values of {len(wanted)} text column{'s' if len(wanted) > 1 else ''}")
    found: dict[TextColumn, set[str]] = {column: set() for column in wanted}
    counts = dict.fromkeys(wanted, 0)
    for statement in find_values(pipeline, views, label):
        try:
            rows = warehouse.run(statement).rows
        except CallerError as error:
            names = ", ".join(f"{column.view}.{column.name}" for column in wanted)
            raise type(error)(f"the values of the text columns {names} cannot be read: {error}") from error
        for position, value, count in rows:
            column = wanted[int(position)]
            found[column].add(str(value))
            counts[column] = max(counts[column], int(count))
    return {
        (column.view, column.name): TextValues(
            tuple(sorted(values))[: column.limit + 1], max(counts[column], len(values))
        )
        for column, values in found.items()
    }


def find_values(pipeline: Pipeline, views: Sequence[ViewPlan], label: ViewPlan) -> Iterator[Statement]:
    """Statements that return (position in ``text_columns``, value, number of values), of each column at most one value more than
    its limit.
    """
    wanted = text_columns(pipeline, views)
    times = _training_times(pipeline, views[0])
    rows = {view.view: _rows(view, times, _texts(wanted, view)) for view in views if _texts(wanted, view)}
    labelled = next(iter(_rows(label, times, ())), "") if pipeline.is_snapshot else ""
    for parts in _in_statements([(view, text) for view, texts in rows.items() for text in texts]):
        expressions = [f"v{number} AS (\n{_union(texts)}\n)" for number, texts in enumerate(parts.values())]
        conditions = [""] * len(parts)
        if labelled:
            expressions.append(f"l AS (\n{labelled}\n)")
            conditions = [_has_label(pipeline, view, f"v{number}") for number, view in enumerate(parts)]
        queries = [
            _values(position, column, f"v{number}", condition)
            for number, (view, condition) in enumerate(zip(parts, conditions, strict=True))
            for position, column in enumerate(wanted)
            if column.view == view
        ]
        text = f"WITH {', '.join(expressions)}\n" + "\nUNION ALL\n".join(queries)
        yield Statement(text, warehouse=pipeline.warehouse)


def _training_times(pipeline: Pipeline, view: ViewPlan) -> set[datetime]:
    """The as-of times of the training part; of a spine, whose rows have times of their own, those of all slices that they get."""
    scoring = max([*(part.as_of for part in view.found), *(part.as_of for part in view.missing)])
    times, split = pipeline.training_times(scoring), pipeline.training.split
    if pipeline.is_snapshot or pipeline.has_spine:
        return set(times)
    return set(split_by_time(times, pipeline.horizon, split.validation, split.test).train)


def _texts(wanted: Sequence[TextColumn], view: ViewPlan) -> tuple[str, ...]:
    return tuple(column.name for column in wanted if column.view == view.view)


def _rows(view: ViewPlan, times: set[datetime], names: tuple[str, ...]) -> list[str]:
    """One query for each of the view's slices at ``times``, of its key and the columns ``names``."""
    selected = columns((*view.key, *names))
    stored = [
        f"SELECT {selected} FROM {store.view_table(view.view).sql} WHERE {store.AS_OF} = {timestamp(part.as_of)} "
        f"AND {store.VERSION} = {part.version} AND {store.KNOWN_AT} = {timestamp(part.known_at)}"
        for part in view.found
        if part.as_of in times
    ]
    return stored + [f"SELECT {selected} FROM (\n{part.query}\n)" for part in view.missing if part.as_of in times]


def _in_statements(rows: Sequence[tuple[str, str]]) -> list[Mapping[str, list[str]]]:
    """The queries, each with its view, in the groups that one statement reads: by view."""
    groups: list[dict[str, list[str]]] = []
    length = 0
    for view, text in rows:
        length += len(text)
        if not groups or length > store.STATEMENT_CHARACTERS:
            groups.append({})
            length = len(text)
        groups[-1].setdefault(view, []).append(text)
    return list(groups)


def _union(texts: Sequence[str]) -> str:
    return "\nUNION ALL\n".join(texts)


def _has_label(pipeline: Pipeline, view: str, alias: str) -> str:
    """The condition for a row of an entity with a label; its key may be a number in one query and a text in another."""
    same = " AND ".join(
        f"CAST(l.{identifier(name)} AS {kind}) = CAST({alias}.{identifier(name)} AS {kind})"
        for name, kind in pipeline.key_types(view).items()
    )
    return f" AND EXISTS (SELECT 1 FROM l WHERE {same})"


def _values(position: int, column: TextColumn, alias: str, condition: str) -> str:
    name = f"{alias}.{identifier(column.name)}"
    return (
        f"SELECT * FROM (SELECT {position} AS TEXT_COLUMN, COLUMN_VALUE, COUNT(*) OVER () AS VALUE_COUNT\n"
        f"FROM (SELECT DISTINCT {name} AS COLUMN_VALUE FROM {alias} WHERE {name} IS NOT NULL{condition})\n"
        f"QUALIFY ROW_NUMBER() OVER (ORDER BY COLUMN_VALUE) <= {column.limit + 1})"
    )
