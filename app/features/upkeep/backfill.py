"""Slices of all views over a range of dates, for training sets over history.

The slices are written in groups of as-of times, each with its lineage, so a backfill that was killed continues where it was: slices
with lineage are found, as by the features stage. The label has no slices here; its times belong to a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from app.errors import CallerError, TransientError
from app.features import store
from app.features.catalogue.record import ViewRecord
from app.features.claims import views_to_adopt
from app.features.contract import features_of
from app.features.observe import observe_views
from app.features.plan import ViewPlan, changed_records, plan_view
from app.features.run import Progress, prepare_store, read_stored_tiles, write_definitions, write_views
from app.features.sources import source_state
from app.features.tiles.refresh import plan_tiles
from app.ownership import set_comment
from app.ports import Warehouse
from app.runs.identity import Run, definition_fingerprint, digest, now
from app.spec import Pipeline, PipelineFile
from app.spec.schema import Source
from app.sql import Statement

#: As-of times of one backfill, at most: the state of the sources at all of them is one statement.
MOST_TIMES = 2000


@dataclass(frozen=True)
class BackfillPlan:
    """``times`` ascends. ``sources_sha256``: digest of the sources at the last of them. The other fields are as in FeaturePlan."""

    times: tuple[datetime, ...]
    views: tuple[ViewPlan, ...]
    sources_sha256: str
    adopt: tuple[Statement, ...]
    has_lineage: bool
    old_lineage: bool
    has_definitions: bool
    records: tuple[ViewRecord, ...]

    @property
    def missing(self) -> int:
        """The number of slices to write."""
        return sum(len(view.missing) for view in self.views)

    @property
    def found(self) -> int:
        """The number of slices that exist."""
        return sum(len(view.found) for view in self.views)


@dataclass(frozen=True)
class Backfilled:
    """What a backfill did. ``computed`` and ``found``: slices."""

    first: datetime
    last: datetime
    times: int
    views: tuple[str, ...]
    computed: int
    found: int


def times_between(pipeline: Pipeline, first: datetime, last: datetime, every: timedelta) -> tuple[datetime, ...]:
    """The as-of times from ``first`` on, up to and including ``last``. Raises CallerError for a range without or with too many."""
    if undated := [name for name, source in pipeline.sources.items() if source.event_time is None]:
        raise CallerError(
            f"sources.{undated[0]} has no event_time, so its rows at an earlier date are not known, and slices of all dates "
            "would be the same; a backfill needs the time of each row"
        )
    if last < first:
        raise CallerError(f"--to {last:%Y-%m-%d} is before --from {first:%Y-%m-%d}")
    if last > now():
        raise CallerError(
            f"--to {last:%Y-%m-%d} is in the future, and rows up to it are still missing; write a date that is over"
        )
    count = (last - first) // every + 1
    if count > MOST_TIMES:
        raise CallerError(
            f"{count:,} as-of times, and a backfill takes at most {MOST_TIMES:,}; write a longer --every, or split it"
        )
    return tuple(first + step * every for step in range(count))


def plan_backfill(
    warehouse: Warehouse, file: PipelineFile, times: Sequence[datetime], tell: Callable[[str], None] = lambda _: None
) -> BackfillPlan:
    """Decide which slices are missing. Raises CallerError as the features stage does."""
    pipeline, observed = file.pipeline, observe_views(warehouse, file, times, tell)
    adopted = views_to_adopt(pipeline, observed.views, observed.objects)
    features = {seen.view: features_of(pipeline, seen) for seen in observed.views}
    return BackfillPlan(
        times=tuple(times),
        views=tuple(plan_view(pipeline, seen, features[seen.view], observed.objects) for seen in observed.views),
        sources_sha256=observed.views[0].slices[-1].sources_sha256,
        adopt=tuple(set_comment("TABLE", name, store.table_comment(pipeline.name)) for name in adopted),
        has_lineage=observed.has_lineage,
        old_lineage=observed.old_lineage,
        has_definitions=observed.has_definitions,
        records=tuple(changed_records(pipeline, observed.views, features, observed.objects, observed.sources)),
    )


def backfill_run(file: PipelineFile, plan: BackfillPlan) -> Run:
    """The run that the ledger records for a backfill: the same for the same range, definition and data, so that it resumes."""
    id = digest([definition_fingerprint(file), plan.sources_sha256, [str(time) for time in plan.times]])[:8]
    return Run(file.pipeline.name, f"backfill-{id}", plan.times[-1].date(), now())


def run_backfill(
    plan: BackfillPlan,
    warehouse: Warehouse,
    run: Run,
    sources: Mapping[str, Source],
    tell: Callable[[str], None] = lambda _: None,
    done: Callable[[int], None] = lambda _: None,
) -> Backfilled:
    """Write what is missing, a group of times after another. ``done``: called with the slices of each group.

    Raises TransientError if the sources change meanwhile; the groups before are kept.
    """
    prepare_store(warehouse, plan)
    missing = [part for view in plan.views for part in view.missing]
    tiles = plan_tiles(warehouse, run.pipeline, sources, missing, run.known_at)
    plan = replace(plan, views=tuple(read_stored_tiles(warehouse, run, plan.views, tiles, tell)))
    progress, created_at = Progress(plan.missing, tell), now()
    has_lineage, written = plan.has_lineage, set[str]()
    for group in _groups(plan):
        # The first group of a view has created or adapted its table.
        views = [replace(view, exists=True, adapt=()) if view.view in written else view for view in group]
        check = partial(_refuse_changed, warehouse, sources, views)
        write_views(warehouse, run, views, progress, created_at, has_lineage=has_lineage, check=check)
        has_lineage, written = True, written | {view.view for view in views}
        done(sum(len(view.missing) for view in views))
    write_definitions(warehouse, run, plan, created_at)
    names = tuple(view.view for view in plan.views)
    return Backfilled(plan.times[0], plan.times[-1], len(plan.times), names, plan.missing, plan.found)


def _groups(plan: BackfillPlan) -> list[list[ViewPlan]]:
    """The views with the missing slices of as many times as one statement writes; views without any are left out."""
    size = store.SLICES_PER_STATEMENT
    times = sorted({part.as_of for view in plan.views for part in view.missing})
    groups = []
    for start in range(0, len(times), size):
        chosen = set(times[start : start + size])
        parts = [
            replace(view, missing=tuple(part for part in view.missing if part.as_of in chosen)) for view in plan.views
        ]
        groups.append([view for view in parts if view.missing])
    return groups


def _refuse_changed(warehouse: Warehouse, sources: Mapping[str, Source], views: Sequence[ViewPlan]) -> None:
    """Raise TransientError if the sources have changed since the plan: the lineage of the group would name a wrong state."""
    last = max((view.missing[-1] for view in views), key=lambda part: part.as_of)
    if digest(source_state(warehouse, sources, last.as_of)) != last.sources_sha256:
        raise TransientError(
            "the sources changed while features were computed from them; run it again: finished slices are kept"
        )
