"""Writes the missing slices of a plan and checks them.

The rows of all views are checked after they are written, and the lineage is written last; slices without it do not count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from threading import Lock
from typing import Protocol

from app.errors import CallerError, TransientError
from app.features import store
from app.features.catalogue.record import CREATE_CATALOG, CREATE_VIEWS, ViewRecord, write_records
from app.features.diagnosis import explain_refusal
from app.features.plan import FeaturePlan, ViewPlan, feature_set
from app.features.sources import source_state
from app.features.store import Counts, Slice, SlicePlan, ViewVersion
from app.features.tiles.refresh import TilePlan, read_stored, refresh_tiles
from app.features.training_set import FeatureSet, scoring_query
from app.ports import Warehouse
from app.runs.identity import Run, digest, now
from app.spec.schema import Source
from app.sql import Statement


def run_features(
    plan: FeaturePlan, warehouse: Warehouse, run: Run, tell: Callable[[str], None] = lambda _: None
) -> FeatureSet:
    """Write what is missing, all views at the same time. Raises CallerError for a view with duplicate entities or no rows."""
    prepare_store(warehouse, plan)
    views = read_stored_tiles(warehouse, run, (*plan.views, plan.label), plan.tiles, tell)
    incomplete = [view for view in views if view.missing]
    progress, created_at = Progress(plan.missing, tell), now()
    written = write_views(warehouse, run, incomplete, progress, created_at, has_lineage=plan.has_lineage)
    slices = [part for view in views for part in (*view.found, *written.get(view.view, ()))]
    made = feature_set(plan, tuple(slices))
    if not plan.rebuilds:
        write_definitions(warehouse, run, plan, created_at)
        warehouse.run(store.create_current_view(run.pipeline, scoring_query(made), replaces=plan.replaces_view))
    return made


def read_stored_tiles(
    warehouse: Warehouse,
    run: Run,
    views: Sequence[ViewPlan],
    tiles: Sequence[TilePlan],
    tell: Callable[[str], None] = lambda _: None,
) -> list[ViewPlan]:
    """The views with missing slices that read stored tiles, once the tiles are up to date."""
    if any(view.missing for view in views):
        refresh_tiles(warehouse, tiles, run.known_at, now(), tell)
    return [
        replace(view, missing=tuple(read_stored(part, tiles, run.known_at) for part in view.missing)) for view in views
    ]


def refuse_changed_sources(plan: FeaturePlan, sources: Mapping[str, Source], warehouse: Warehouse, run: Run) -> None:
    """Raise TransientError if the sources changed while slices were written, since the lineage would name a wrong state.

    The run's slices are then marked incomplete; the next start is a new run over the current data.
    """
    if plan.missing and digest(source_state(warehouse, sources, plan.scoring_as_of)) != plan.sources_sha256:
        warehouse.run(store.forget_lineage(run.id))
        raise TransientError("the sources changed while features were computed from them; run it again")


class StorePlan(Protocol):
    """What a plan says about the store's own tables and the owners of those of the views."""

    @property
    def adopt(self) -> tuple[Statement, ...]: ...
    @property
    def missing(self) -> int: ...
    @property
    def has_lineage(self) -> bool: ...
    @property
    def old_lineage(self) -> bool: ...
    @property
    def has_definitions(self) -> bool: ...
    @property
    def records(self) -> tuple[ViewRecord, ...]: ...


def prepare_store(warehouse: Warehouse, plan: StorePlan) -> None:
    """Adopt tables, and create or adapt the lineage."""
    for statement in plan.adopt:
        warehouse.run(statement)
    if plan.missing and not plan.has_lineage:
        warehouse.run(store.CREATE_LINEAGE)
    if plan.old_lineage:
        warehouse.run(store.ADAPT_LINEAGE)


def write_definitions(warehouse: Warehouse, run: Run, plan: StorePlan, created_at: datetime) -> None:
    """Write the definitions that are new or have changed."""
    if not plan.has_definitions:
        warehouse.run(CREATE_VIEWS)
        warehouse.run(CREATE_CATALOG)
    if plan.records:
        warehouse.run(write_records(plan.records, run.pipeline, created_at))


def write_views(
    warehouse: Warehouse,
    run: Run,
    views: Sequence[ViewPlan],
    progress: Progress,
    created_at: datetime,
    *,
    has_lineage: bool,
    check: Callable[[], None] = lambda: None,
) -> dict[str, list[Slice]]:
    """Write the missing slices of all views at the same time, check them, and record them. Returns them by view.

    ``check``: called once the rows are written, before the lineage says that they are complete.
    """
    if not views:
        return {}
    warehouse.run_together([partial(_write, warehouse, run, view, progress, created_at) for view in views])
    check()
    return _record(warehouse, run, views, progress, created_at, has_lineage=has_lineage)


class Progress:
    """Tells how many slices are written, whichever view they belong to."""

    def __init__(self, missing: int, tell: Callable[[str], None]) -> None:
        self._lock = Lock()
        self._missing, self._written, self._tell = missing, 0, tell

    def expect(self, slices: int) -> None:
        """So many more slices will be written."""
        self._missing += slices

    def add(self, view: str, slices: int) -> None:
        with self._lock:
            self._written += slices
            self._tell(f"{view}: {slices} slices written ({self._written} of {self._missing} in all)")


def _write(warehouse: Warehouse, run: Run, view: ViewPlan, progress: Progress, created_at: datetime) -> None:
    """Write a view's missing slices."""
    if view.exists:
        for statement in (*view.adapt, store.remove_slices(view.missing, run.known_at)):
            warehouse.run(statement)
    else:
        warehouse.run(view.create)
    _merge(warehouse, run, view, view.missing, progress, created_at)


def _merge(
    warehouse: Warehouse,
    run: Run,
    view: ViewPlan,
    missing: tuple[SlicePlan, ...],
    progress: Progress,
    created_at: datetime,
) -> None:
    features = tuple(column.name for column in view.columns)
    for parts in store.statement_parts(missing):
        try:
            statement = store.write_slices(parts, view.key, features, run.known_at, created_at)
            warehouse.run(replace(statement, warehouse=view.warehouse))
        except CallerError as error:
            # The last slice holds the rows of all others' sources.
            raise explain_refusal(warehouse, parts[-1], view.key, features, error) from error
        progress.add(view.view, len(parts))


def _record(
    warehouse: Warehouse,
    run: Run,
    views: Sequence[ViewPlan],
    progress: Progress,
    created_at: datetime,
    *,
    has_lineage: bool,
) -> dict[str, list[Slice]]:
    """Check the slices that were written, and record them in the lineage. Returns them by view."""
    counted = _counted(warehouse, run, views)
    emptied = [(view, tuple(part for part in view.missing if part.as_of not in counted[view.view])) for view in views]
    if again := sum(len(parts) for _, parts in emptied):
        # Another process that writes the same run has removed what it takes for leftovers.
        progress.expect(again)
        for view, parts in emptied:
            _merge(warehouse, run, view, parts, progress, created_at)
        counted = _counted(warehouse, run, views)
    counts_of = {
        (view.view, as_of): counts for view in views for as_of, counts in _checked(view, counted[view.view]).items()
    }
    parts = tuple(part for view in views for part in view.missing)
    write = store.write_lineage(parts, run.id, run.known_at, counts_of, created_at)
    _write_lineage(warehouse, write, has_lineage=has_lineage)
    return {
        view.view: [
            Slice(view.view, part.version, part.as_of, run.known_at, counts_of[view.view, part.as_of].rows)
            for part in view.missing
        ]
        for view in views
    }


def _write_lineage(warehouse: Warehouse, write: Statement, *, has_lineage: bool) -> None:
    try:
        warehouse.run(write)
    except CallerError:
        if has_lineage:
            raise
        # Another pipeline made the table with an earlier version: no table of this pipeline told that it exists.
        warehouse.run(store.ADAPT_LINEAGE)
        warehouse.run(write)


def _counted(warehouse: Warehouse, run: Run, views: Sequence[ViewPlan]) -> dict[str, dict[datetime, Counts]]:
    """By view and as-of time, the counts of a slice; a slice without rows is absent."""
    counted: dict[str, dict[datetime, Counts]] = {view.view: {} for view in views}
    versions = [
        ViewVersion(view.view, view.missing[0].version, view.key, tuple(column.name for column in view.columns))
        for view in views
    ]
    times = [part.as_of for view in views for part in view.missing]
    count = store.count_slices(versions, run.known_at, min(times), max(times))
    for name, as_of, rows, distinct, nulls in warehouse.run(count).rows:
        counted[name][as_of] = Counts(int(rows), int(distinct), json.loads(nulls))
    return counted


def _checked(view: ViewPlan, counted: Mapping[datetime, Counts]) -> dict[datetime, Counts]:
    """The counts of each missing slice. Raises CallerError for one without rows or with an entity twice."""
    for part in view.missing:
        found = counted.get(part.as_of, Counts(0, 0, {}))
        if found.rows != found.entities:
            raise CallerError(
                f"view {view.view} as of {part.as_of:%Y-%m-%d} returns {found.rows:,} rows for {found.entities:,} entities; it "
                f"must return one row for each ({', '.join(view.key)})"
            )
        if found.rows == 0:
            raise CallerError(
                f"view {view.view} as of {part.as_of:%Y-%m-%d} has no rows: the sources have no rows before that time; check "
                "event_time, label.as_of and the logical date"
            )
    return {part.as_of: counted[part.as_of] for part in view.missing}
