"""The label of a pipeline: its own definition, or a query for the column of a source that ``label.source`` names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, MutableMapping, Sequence
from datetime import datetime
from typing import Any

from app.errors import CallerError
from app.features import store
from app.features.definitions.reads import cut_query
from app.features.definitions.views import View, load_view
from app.features.sources import event_time
from app.ports import ColumnType, Warehouse
from app.runs.identity import Run
from app.spec import Pipeline, PipelineFile
from app.sql import Name, Statement, columns, identifier, literal, timestamp
from sagemaker_entry.objectives import kind_of

#: Values of a text label that an error lists, at most. A text with more is hardly a label, and may be about persons.
SHOWN_VALUES = 5


def load_label(warehouse: Warehouse, file: PipelineFile, run: Run, described: MutableMapping[str, Any]) -> View:
    """The label's definition. Raises CallerError for a column of a source that cannot be the label, with what to write."""
    pipeline = file.pipeline
    if pipeline.label.define is not None:
        return load_view(file.folder, pipeline.label.define, described)
    table = Name.parse(_table(pipeline))
    column = check_label(file, warehouse.describe(f"SELECT * FROM {table.sql}"))
    if column.kind == "text":
        check_values(file, [str(value) for (value,) in warehouse.run(find_values(pipeline, run)).rows])
    first = pipeline.training_times(run.as_of)[0]
    return View("label.source", file.folder, None, label_query(pipeline, first), described)


def label_query(pipeline: Pipeline, first: datetime) -> str:
    """The key and the label of all rows of the source that have both; of a spine, those since ``first``, with their times."""
    label, name = pipeline.label, identifier(pipeline.label.column)
    value = name if label.positive is None else f"IFF({name} = {literal(label.positive)}, 1, 0) AS {name}"
    present = " AND ".join(f"{identifier(column)} IS NOT NULL" for column in (*pipeline.key, label.column))
    selected, event = columns(pipeline.key), pipeline.sources[str(label.source)].event_time
    if pipeline.has_spine and event is not None:
        selected += f", {event_time(event)} AS {store.ROW_TIME}"
        present += f" AND {identifier(event)} >= {timestamp(first)}"
    return f"SELECT {selected}, {value} FROM {label.source} WHERE {present}"


def check_label(file: PipelineFile, returned: Sequence[ColumnType]) -> ColumnType:
    """The label's column among those of its source. Raises CallerError if the source lacks it or the key, or if its type is none
    of a label.
    """
    pipeline, label, table = file.pipeline, file.pipeline.label, _table(file.pipeline)
    found = {column.name: column for column in returned}
    if label.column not in found:
        raise CallerError(f"{file.at('label', 'column')}: {_lacks(table, label.column, found)}")
    if missing := next((name for name in pipeline.key if name not in found), None):
        raise CallerError(
            f"{file.at('label', 'source')}: {_lacks(table, missing, found)}. The label's source needs the entity's key under its "
            "name; or write a definition that returns key and label, `define: label.sql`"
        )
    column = found[label.column]
    if column.kind not in ("number", "boolean", "text"):
        raise CallerError(
            f"{file.at('label', 'column')}: {label.column} of {table} must be a number, a boolean or a text, it has another type; "
            "write a definition that returns a number, `define: label.sql`"
        )
    if label.positive is not None and column.kind != "text":
        instead = f"or write a definition, `define: label.sql`, with `{_as_number(label.column, label.positive)}`"
        raise CallerError(
            f"{file.at('label', 'positive')}: is for a text, and {label.column} of {table} is a {column.kind}; leave positive out, "
            + ("TRUE is 1" if column.kind == "boolean" else instead)
        )
    return column


def find_values(pipeline: Pipeline, run: Run) -> Statement:
    """The label's distinct texts in ascending order, the positive one first, at most one more than an error lists."""
    name = identifier(pipeline.label.column)
    rows = cut_query(pipeline.sources[str(pipeline.label.source)], run.as_of)
    query = f"SELECT DISTINCT {name} AS LABEL_VALUE FROM ({rows}) WHERE {name} IS NOT NULL"
    return Statement(
        f"SELECT LABEL_VALUE FROM ({query}) ORDER BY IFF(LABEL_VALUE = ?, 0, 1), LABEL_VALUE LIMIT {SHOWN_VALUES + 1}",
        (pipeline.label.positive or "",),
    )


def check_values(file: PipelineFile, values: Sequence[str]) -> None:
    """Raise CallerError for a text label without ``positive``, or with one that no row has. ``values``: of ``find_values``."""
    pipeline, label = file.pipeline, file.pipeline.label
    what = f"{label.column} of {_table(pipeline)}"
    listed = f"more than {SHOWN_VALUES} values"
    if len(values) <= SHOWN_VALUES:
        listed = f"the values {', '.join(map(repr, values))}" if values else "no values"
    if label.positive is None and kind_of(pipeline.training.objective) != "binary":
        name = Name.of(label.column)
        raise CallerError(
            f"{file.at('label', 'column')}: {what} is a text, and {pipeline.training.objective} predicts a number; write a "
            f"definition, `define: label.sql`, with `TRY_TO_DOUBLE({name}) AS {name}`"
        )
    if label.positive is None:
        example = values[-1] if 0 < len(values) <= SHOWN_VALUES else "Yes"
        raise CallerError(
            f"{file.at('label', 'column')}: {what} is a text with {listed}; write which of them is 1, for example "
            f'`positive: "{example}"`, or a definition, `define: label.sql`, with `{_as_number(label.column, example)}`'
        )
    if label.positive not in values:
        raise CallerError(f"{file.at('label', 'positive')}: no row has {label.positive!r}: {what} has {listed}")


def _as_number(column: str, positive: str) -> str:
    """The label as 0 and 1, in SQL as people write it."""
    name = Name.of(column)
    return f"IFF({name} = {literal(positive)}, 1, 0) AS {name}"


def _table(pipeline: Pipeline) -> str:
    return pipeline.sources[str(pipeline.label.source)].table


def _lacks(table: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name.upper(), [other.upper() for other in names], n=1)
    hint = next((str(Name.of(other)) for other in names if near and other.upper() == near[0]), "")
    hint = f"'{hint}'" if '"' in hint else hint  # as YAML needs it
    return f"{table} has no column {name}; " + (
        f"did you mean {hint}?" if hint else f"its columns are {', '.join(names)}"
    )
