"""Reads what the plan depends on: the views' queries and columns, the state of their sources, and the finished slices.

The result is a plain value, from which ``plan`` decides without another query.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.errors import CallerError, NotFound
from app.features import store
from app.features.catalogue.query_shape import joined, relative_query
from app.features.catalogue.record import StoredDefinition, WrittenDefinition, find_definitions, read_definitions
from app.features.catalogue.source_text import definition_text
from app.features.definitions.column_rules import refuse_other_entity
from app.features.definitions.reads import named_cuts, shape, sources_read
from app.features.definitions.source_label import load_label
from app.features.definitions.views import View, load_view
from app.features.policies import read_policies
from app.features.sources import SourceStates, source_states
from app.features.store import SlicePlan, ViewVersion
from app.features.tiles.refresh import TilePlan, plan_tiles
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
    ``definition``: what the folder says of it; ``stored_definition``: what the store says of this version, if it says anything.
    ``removed``: (as_of, known_at, when) of each slice whose rows were removed because a later one superseded it.
    """

    view: str
    version: int
    columns: tuple[ColumnType, ...]
    slices: tuple[SlicePlan, ...]
    finished: tuple[Row, ...]
    reads: frozenset[str] = frozenset()
    stored: tuple[ColumnType, ...] = ()
    definition: WrittenDefinition | None = None
    stored_definition: StoredDefinition | None = None
    removed: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Observed:
    """Everything that ``plan`` needs. ``objects``: the existing tables and view of the store that the stage writes to.

    ``spans``: the first and the last event of each source, as far as the slices read it. ``has_lineage``: its table exists;
    ``old_lineage``: an earlier version made it. ``has_definitions``: FEATURE_VIEWS exists. ``sources``: the columns of each source.
    ``tiles``: those that slices read. ``notes``: on the policies of the sources.
    """

    views: tuple[ObservedView, ...]
    label: ObservedView
    objects: Mapping[Name, Existing] = field(default_factory=dict)
    spans: Mapping[str, tuple[datetime, datetime] | None] = field(default_factory=dict)
    has_lineage: bool = False
    old_lineage: bool = False
    has_definitions: bool = False
    sources: Mapping[str, tuple[ColumnType, ...]] = field(default_factory=dict)
    tiles: tuple[TilePlan, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ObservedViews:
    """The views alone, at times of their own. The other fields are as in :class:`Observed`."""

    views: tuple[ObservedView, ...]
    objects: Mapping[Name, Existing]
    has_lineage: bool
    old_lineage: bool
    has_definitions: bool
    sources: Mapping[str, tuple[ColumnType, ...]]


def label_view(pipeline: Pipeline) -> str:
    """The name under which the label's slices are stored."""
    return f"{pipeline.name.upper().replace('-', '_')}_LABEL"


def observe(
    warehouse: Warehouse, file: PipelineFile, run: Run, tell: Callable[[str], None] = lambda _: None
) -> Observed:
    """Read everything that a pipeline's features depend on.

    Raises CallerError for definitions that cannot be read or run, and for sources with policies that are not allowed.
    """
    pipeline = file.pipeline
    notes = () if run.rebuilds else read_policies(warehouse, pipeline.sources, file.at)
    times = pipeline.training_times(run.as_of)
    scored = times if run.as_of in times else (*times, run.as_of)
    cuts = {*scored, *(as_of + pipeline.horizon for as_of in times)}
    if run.rebuilds:
        states = SourceStates({cut: {} for cut in cuts}, {})  # no slice is computed
    else:
        tell("reading the state of the sources at all times")
        states = source_states(warehouse, pipeline.sources, cuts)
    objects = find_owners(warehouse, pipeline)
    stored = _find_stored(warehouse, pipeline, objects)
    observer = _Observer(warehouse, pipeline.sources, states, tell)
    loaded: dict[str, Any] = {}
    built = observer.build_views(file, scored, loaded)
    labelled = load_label(warehouse, file, run, loaded)
    # The rows of a spine have times of their own, and labels that are complete at the last one.
    labels, beyond = (times[-1:], timedelta()) if pipeline.has_spine else (times, pipeline.horizon)
    built.append(observer.build(label_view(pipeline), LABEL_VERSION, labelled, labels, beyond))
    tell("reading the columns of all views")
    described = _describe_all(warehouse, pipeline, built, objects)
    *views, label = [_observed(view, described, stored) for view in built]
    slices = [part for view in built for part in view.slices]
    tiles = () if run.rebuilds else plan_tiles(warehouse, pipeline.name, pipeline.sources, slices, run.known_at)
    return Observed(
        tuple(views),
        label,
        objects,
        states.spans,
        stored.slices is not None,
        stored.old_lineage,
        stored.definitions is not None,
        described.sources,
        tiles,
        notes,
    )


def observe_views(
    warehouse: Warehouse, file: PipelineFile, times: Sequence[datetime], tell: Callable[[str], None] = lambda _: None
) -> ObservedViews:
    """Read what slices of the views at ``times`` depend on, ascending. Raises CallerError as :func:`observe`."""
    pipeline = file.pipeline
    read_policies(warehouse, pipeline.sources, file.at)
    tell("reading the state of the sources at all times")
    states = source_states(warehouse, pipeline.sources, times)
    objects = find_owners(warehouse, pipeline)
    stored = _find_stored(warehouse, pipeline, objects)
    built = _Observer(warehouse, pipeline.sources, states, tell).build_views(file, tuple(times), {})
    tell("reading the columns of all views")
    described = _describe_all(warehouse, pipeline, built, objects)
    return ObservedViews(
        tuple(_observed(view, described, stored) for view in built),
        objects,
        stored.slices is not None,
        stored.old_lineage,
        stored.definitions is not None,
        described.sources,
    )


@dataclass(frozen=True)
class _Stored:
    """What the store knows of the pipeline's views: finished slices by view, and definitions by view and version.

    Each of the two is None if its table may not exist.
    """

    slices: Mapping[str, list[Row]] | None
    old_lineage: bool
    definitions: Mapping[tuple[str, int], StoredDefinition] | None


def _find_stored(warehouse: Warehouse, pipeline: Pipeline, objects: Mapping[Name, Existing]) -> _Stored:
    """What is known of the tables that exist."""
    versions = [*((view.view, view.version) for view in pipeline.features), (label_view(pipeline), LABEL_VERSION)]
    present = [
        ViewVersion(view, version, tuple(pipeline.key_types(view)))
        for view, version in versions
        if store.view_table(view) in objects
    ]
    if not present:
        return _Stored(None, False, None)
    slices, old = _find_finished(warehouse, pipeline, present)
    return _Stored(slices, old, _find_definitions(warehouse, present))


def _find_definitions(
    warehouse: Warehouse, present: list[ViewVersion]
) -> Mapping[tuple[str, int], StoredDefinition] | None:
    try:
        return read_definitions(warehouse.run(find_definitions([(each.view, each.version) for each in present])).rows)
    except NotFound:  # the tables were made by an earlier version
        return None


def _find_finished(
    warehouse: Warehouse, pipeline: Pipeline, present: list[ViewVersion]
) -> tuple[Mapping[str, list[Row]] | None, bool]:
    """By view, the finished slices of the tables that exist, None if there is no lineage; and whether the lineage is old."""
    old = False
    try:
        rows = warehouse.run(store.find_slices(present)).rows
    except NotFound:  # the lineage was dropped: all slices are missing
        return None, False
    except CallerError:
        for each in present:  # a table of another entity lacks the key
            columns = warehouse.describe(f"SELECT * FROM {store.view_table(each.view).sql}")
            refuse_other_entity(each.view, columns, pipeline.key_types(each.view))
        old = store.lineage_is_old(warehouse.describe(f"SELECT * FROM {store.LINEAGE.sql}"))
        if not old:
            raise
        rows = warehouse.run(store.find_slices(present, old_lineage=True)).rows
    found: dict[str, list[Row]] = {}
    for view, *row in rows:
        found.setdefault(view, []).append(tuple(row))
    return found, old


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
    slices: tuple[SlicePlan, ...]
    shapes: tuple[str, ...]
    reads: frozenset[str]
    definition: WrittenDefinition


class _Observer:
    """Builds the queries of one view after another."""

    def __init__(
        self, warehouse: Warehouse, sources: Mapping[str, Source], states: SourceStates, tell: Callable[[str], None]
    ) -> None:
        self._warehouse = warehouse
        self._sources = sources
        self._states = states
        self._tell = tell

    def build_views(self, file: PipelineFile, times: tuple[datetime, ...], loaded: dict[str, Any]) -> list[_Built]:
        """All views at ``times``. ``loaded``: Snowflake's answers about columns, which definitions share."""
        return [
            self.build(view.view, view.version, load_view(file.folder, view.define, loaded), times, timedelta())
            for view in file.pipeline.features
        ]

    def build(self, view: str, version: int, loaded: View, times: tuple[datetime, ...], beyond: timedelta) -> _Built:
        """One view at ``times``. Its sources hold rows up to ``beyond`` after each of them."""
        self._tell(f"building {view} at {len(times)} times")
        slices = tuple(self._slice(view, version, loaded, as_of, as_of + beyond) for as_of in times)
        # Times of one shape have the same columns and read the same tables; a definition may branch on its time.
        shapes: dict[str, list[SlicePlan]] = {}
        for part in slices:
            shapes.setdefault(shape(part.query, self._sources, part.as_of + beyond), []).append(part)
        reads = frozenset[str]().union(
            *(sources_read(found, self._sources, loaded.definition(self._sources)) for found in shapes)
        )
        written = WrittenDefinition(
            loaded.define,
            definition_text(loaded.path, loaded.define) if loaded.function else loaded.text,
            joined(self._relative(parts, beyond) for parts in shapes.values()),
            {name: self._sources[name].table for name in sorted(reads)},
        )
        return _Built(view, version, slices, tuple(parts[-1].query for parts in shapes.values()), reads, written)

    def _relative(self, parts: list[SlicePlan], beyond: timedelta) -> str:
        """The query of slices of one shape, without their times."""
        first, last = (
            (named_cuts(part.query, self._sources, part.as_of + beyond), part.as_of) for part in (parts[0], parts[-1])
        )
        return relative_query(first, last)

    def _slice(self, view: str, version: int, loaded: View, as_of: datetime, cut: datetime) -> SlicePlan:
        query = loaded.query(self._warehouse, self._sources, as_of, cut)
        state = self._states.at[cut]
        return SlicePlan(view, version, as_of, query, digest(query), digest(state), json.dumps(state))


@dataclass(frozen=True)
class _Described:
    """Columns: of a view's query in each of its shapes, of its table, and of the sources."""

    queries: Mapping[str, list[tuple[ColumnType, ...]]]
    tables: Mapping[str, tuple[ColumnType, ...]]
    sources: Mapping[str, tuple[ColumnType, ...]]


def _describe_all(
    warehouse: Warehouse, pipeline: Pipeline, built: list[_Built], objects: Mapping[Name, Existing]
) -> _Described:
    """The columns of the views' queries, of their tables and of the sources, by one question."""
    tables = [view.view for view in built if store.view_table(view.view) in objects]
    selected = [
        *(f"SELECT * FROM {store.view_table(view).sql}" for view in tables),
        *(f"SELECT * FROM {Name.parse(source.table).sql}" for source in pipeline.sources.values()),
    ]
    try:
        found = iter(warehouse.describe_all([*(query for view in built for query in view.shapes), *selected]))
    except CallerError:
        for view in built:
            for query in view.shapes:
                _describe(warehouse, view, query)
        raise
    return _Described(
        {view.view: [next(found) for _ in view.shapes] for view in built},
        {view: next(found) for view in tables},
        {name: next(found) for name in pipeline.sources},
    )


def _observed(view: _Built, described: _Described, found: _Stored) -> ObservedView:
    """The view with the columns of its queries and of its table."""
    slices = (found.slices or {}).get(view.view, [])
    return ObservedView(
        view.view,
        view.version,
        _same(described.queries[view.view], view),
        view.slices,
        tuple(row[:6] for row in slices if row[6] is None),
        view.reads,
        described.tables.get(view.view, ()),
        view.definition,
        (found.definitions or {}).get((view.view, view.version)),
        tuple((row[0], row[1], row[6]) for row in slices if row[6] is not None),
    )


def _same(shapes: list[tuple[ColumnType, ...]], view: _Built) -> tuple[ColumnType, ...]:
    if len(set(shapes)) > 1:
        raise CallerError(
            f"view {view.view} ({view.definition.define}) returns other columns at some as-of times than at others"
        )
    return shapes[0]


def _describe(warehouse: Warehouse, view: _Built, query: str) -> None:
    """Raise the error of a view whose query has one, with the view's name."""
    try:
        warehouse.describe(query)
    except CallerError as error:
        raise type(error)(f"view {view.view} ({view.definition.define}): {error}") from error
