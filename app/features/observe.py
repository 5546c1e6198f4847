"""Reads what the plan depends on: the views' queries and columns, the state of their sources, and the finished slices.

The result is a plain value, from which ``plan`` decides without another query.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.errors import CallerError, NotFound
from app.features import store
from app.features.column_rules import refuse_other_entity
from app.features.reads import shape, sources_read
from app.features.source_label import load_label
from app.features.sources import SourceStates, source_states
from app.features.store import SlicePlan, ViewVersion
from app.features.views import View, load_view
from app.ownership import Existing, SchemaObject, find_objects, owner_of
from app.ports import ColumnType, Row, Warehouse
from app.runs.identity import Run, digest
from app.spec import Pipeline, PipelineFile
from app.spec.schema import Source
from app.sql import Name

#: The label's slices are stored like a view's. A label has no version number; the digest of its definition identifies it.
LABEL_VERSION = 1


@dataclass(frozen=True)
class ObservedView:
    """A view or the label. ``columns``: all that it returns. ``slices``: what would be written at each as-of time.

    ``finished``: (as_of, known_at, rows, digest of the definition, digest of the sources, whether its rows are intact) of each
    slice in the store.
    ``reads``: the short names of the sources in its query. ``stored``: the columns of its table; empty if there is none.
    """

    view: str
    version: int
    columns: tuple[ColumnType, ...]
    slices: tuple[SlicePlan, ...]
    finished: tuple[Row, ...]
    reads: frozenset[str] = frozenset()
    stored: tuple[ColumnType, ...] = ()


@dataclass(frozen=True)
class Observed:
    """Everything that ``plan`` needs. ``objects``: the existing tables and view of the store that the stage writes to.

    ``spans``: the first and the last event of each source, as far as the slices read it. ``has_lineage``: its table exists.
    """

    views: tuple[ObservedView, ...]
    label: ObservedView
    objects: Mapping[Name, Existing] = field(default_factory=dict)
    spans: Mapping[str, tuple[datetime, datetime] | None] = field(default_factory=dict)
    has_lineage: bool = False


def training_times(pipeline: Pipeline, as_of: datetime) -> tuple[datetime, ...]:
    """The as-of times of training rows, ascending: the last one's label is complete at ``as_of``, the run's logical date.

    In a snapshot it is the only one.
    """
    when, last = pipeline.label.as_of, as_of - pipeline.horizon
    return tuple(last - when.every * back for back in reversed(range(when.last))) if when else (last,)


def label_view(pipeline: Pipeline) -> str:
    """The name under which the label's slices are stored."""
    return f"{pipeline.name.upper().replace('-', '_')}_LABEL"


def observe(
    warehouse: Warehouse, file: PipelineFile, run: Run, tell: Callable[[str], None] = lambda _: None
) -> Observed:
    """Read everything that a pipeline's features depend on. Raises CallerError for definitions that cannot be read or run."""
    pipeline = file.pipeline
    times = training_times(pipeline, run.as_of)
    scored = times if run.as_of in times else (*times, run.as_of)
    cuts = {*scored, *(as_of + pipeline.horizon for as_of in times)}
    if run.rebuilds:
        states = SourceStates({cut: {} for cut in cuts}, {})  # no slice is computed
    else:
        tell("reading the state of the sources at all times")
        states = source_states(warehouse, pipeline.sources, cuts)
    objects = find_owners(warehouse, pipeline)
    finished = _find_finished(warehouse, pipeline, objects)
    observer = _Observer(warehouse, pipeline.sources, states, tell)
    described: dict[str, Any] = {}
    built = [
        observer.build(view.view, view.version, load_view(file.folder, view.define, described), scored, timedelta())
        for view in pipeline.features
    ]
    labelled = load_label(warehouse, file, run, described)
    built.append(observer.build(label_view(pipeline), LABEL_VERSION, labelled, times, pipeline.horizon))
    tell("reading the columns of all views")
    *views, label = _described(warehouse, built, objects, finished or {})
    return Observed(tuple(views), label, objects, states.spans, finished is not None)


def _find_finished(
    warehouse: Warehouse, pipeline: Pipeline, objects: Mapping[Name, Existing]
) -> Mapping[str, list[Row]] | None:
    """By view, the finished slices of the tables that exist. None if the lineage may not exist."""
    versions = [*((view.view, view.version) for view in pipeline.features), (label_view(pipeline), LABEL_VERSION)]
    present = [
        ViewVersion(view, version, tuple(pipeline.key_types(view)))
        for view, version in versions
        if store.view_table(view) in objects
    ]
    if not present:
        return None
    found: dict[str, list[Row]] = {}
    try:
        rows = warehouse.run(store.find_slices(present)).rows
    except NotFound:  # the lineage was dropped: all slices are missing
        return None
    except CallerError:
        for each in present:  # a table of another entity lacks the key
            stored = warehouse.describe(f"SELECT * FROM {store.view_table(each.view).sql}")
            refuse_other_entity(each.view, stored, pipeline.key_types(each.view))
        raise
    for view, *row in rows:
        found.setdefault(view, []).append(tuple(row))
    return found


def find_owners(warehouse: Warehouse, pipeline: Pipeline) -> dict[Name, Existing]:
    """The existing objects under the names that the features stage writes, with their owners."""
    tables = [store.view_table(name) for name in (*(view.view for view in pipeline.features), label_view(pipeline))]
    found = find_objects(warehouse, [*tables, store.current_view(pipeline.name)])
    return {name: each.existing(name, ours=_has_our_form(warehouse, name, each)) for name, each in found.items()}


def _has_our_form(warehouse: Warehouse, name: Name, found: SchemaObject) -> bool:
    """Whether an object without an owner has the columns that the feature store gives its tables, or the view of current rows."""
    if owner_of(found.comment) is not None:
        return False
    columns = {column.name for column in warehouse.describe(f"SELECT * FROM {name.sql}")}
    return columns >= ({store.AS_OF} if found.kind == "VIEW" else {*store.RESERVED})


@dataclass(frozen=True)
class _Built:
    """A view's slices, before its columns are known. ``shapes``: one query for each shape of them."""

    view: str
    version: int
    define: str
    slices: tuple[SlicePlan, ...]
    shapes: tuple[str, ...]
    reads: frozenset[str]


class _Observer:
    """Builds the queries of one view after another."""

    def __init__(
        self, warehouse: Warehouse, sources: Mapping[str, Source], states: SourceStates, tell: Callable[[str], None]
    ) -> None:
        self._warehouse = warehouse
        self._sources = sources
        self._states = states
        self._tell = tell

    def build(self, view: str, version: int, loaded: View, times: tuple[datetime, ...], beyond: timedelta) -> _Built:
        """One view at ``times``. Its sources hold rows up to ``beyond`` after each of them."""
        self._tell(f"building {view} at {len(times)} times")
        slices = tuple(self._slice(view, version, loaded, as_of, as_of + beyond) for as_of in times)
        # Times of one shape have the same columns and read the same tables; a definition may branch on its time.
        shapes = {shape(part.query, self._sources, part.as_of + beyond): part.query for part in slices}
        reads = frozenset[str]().union(
            *(sources_read(found, self._sources, loaded.definition(self._sources)) for found in shapes)
        )
        return _Built(view, version, loaded.define, slices, tuple(shapes.values()), reads)

    def _slice(self, view: str, version: int, loaded: View, as_of: datetime, cut: datetime) -> SlicePlan:
        query = loaded.query(self._warehouse, self._sources, as_of, cut)
        state = self._states.at[cut]
        return SlicePlan(view, version, as_of, query, digest(query), digest(state), json.dumps(state))


def _described(
    warehouse: Warehouse, built: list[_Built], objects: Mapping[Name, Existing], finished: Mapping[str, list[Row]]
) -> list[ObservedView]:
    """The views with the columns of their queries and of their tables."""
    tables = [view.view for view in built if store.view_table(view.view) in objects]
    queries = [query for view in built for query in view.shapes]
    wanted = [*queries, *(f"SELECT * FROM {store.view_table(view).sql}" for view in tables)]
    try:
        found = warehouse.describe_all(wanted)
    except CallerError:
        for view in built:
            for query in view.shapes:
                _describe(warehouse, view, query)
        raise
    columns, stored = iter(found), dict(zip(tables, found[len(queries) :], strict=True))
    return [
        ObservedView(
            view.view,
            view.version,
            _same([next(columns) for _ in view.shapes], view),
            view.slices,
            tuple(finished.get(view.view, ())),
            view.reads,
            stored.get(view.view, ()),
        )
        for view in built
    ]


def _same(shapes: list[tuple[ColumnType, ...]], view: _Built) -> tuple[ColumnType, ...]:
    if len(set(shapes)) > 1:
        raise CallerError(f"view {view.view} ({view.define}) returns other columns at some as-of times than at others")
    return shapes[0]


def _describe(warehouse: Warehouse, view: _Built, query: str) -> None:
    """Raise the error of a view whose query has one, with the view's name."""
    try:
        warehouse.describe(query)
    except CallerError as error:
        raise type(error)(f"view {view.view} ({view.define}): {error}") from error
