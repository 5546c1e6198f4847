"""Decides what the features stage writes: each view at each as-of time, and the contract of all features.

Every later stage uses the contract made here: stamped on the export, checked by training, carried in the artefact, enforced by
the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.errors import CallerError
from app.features import store
from app.features.catalogue.lineage import trace
from app.features.catalogue.record import FeatureRecord, ViewRecord, WrittenDefinition
from app.features.checks import check_origins, check_slices_differ
from app.features.claims import check_owners
from app.features.contract import features_of, label_column, make_contract
from app.features.definitions.categories import TextValues
from app.features.definitions.column_rules import (
    refuse_names_taken,
    refuse_other_entity,
)
from app.features.observe import Observed, ObservedView
from app.features.store import Slice, SlicePlan
from app.features.tiles.refresh import TilePlan
from app.features.timeline import known_by
from app.features.training_set import FeatureSet, Spine
from app.ownership import Existing
from app.ports import ColumnType
from app.spec import Pipeline
from app.sql import Name, Statement
from sagemaker_entry.contract import Contract


@dataclass(frozen=True)
class ViewPlan:
    """One view, or the label: its table, its key and feature columns, the slices that exist, and the slices to write.

    ``damaged``: how many of those to write exist with other rows than were written, and are written again. ``exists``: the table
    does, so it may hold rows of an attempt that did not end. ``adapt``: adds the columns that it lacks. ``history``: further slices
    in the store, for rows that get what was available at their time. ``warehouse``: computes the slices.
    """

    view: str
    key: tuple[str, ...]
    columns: tuple[ColumnType, ...]
    create: Statement
    found: tuple[Slice, ...]
    missing: tuple[SlicePlan, ...]
    damaged: int = 0
    exists: bool = True
    adapt: tuple[Statement, ...] = ()
    history: tuple[Slice, ...] = ()
    warehouse: str | None = None


@dataclass(frozen=True)
class FeaturePlan:
    """Everything that the stage does. ``training_as_of`` ascends; ``scoring_as_of`` is the run's logical date.

    ``sources_sha256``: digest of the sources before that date, from which all slices are computed. ``adopt``: write the pipeline's
    name into the comments of tables that have none. ``replaces_view``: the view of current rows exists. ``has_lineage``: so does
    the lineage's table; ``old_lineage``: an earlier version made it. ``has_definitions``: the table of definitions exists.
    ``records``: its rows that are new or have changed. ``rebuilds``: the slices of an earlier time are taken, and the view of
    current rows is left as it is. ``tiles``: those that slices are written from.
    ``notes``: on the policies of the sources.
    """

    contract: Contract
    views: tuple[ViewPlan, ...]
    label: ViewPlan
    training_as_of: tuple[datetime, ...]
    scoring_as_of: datetime
    sources_sha256: str
    adopt: tuple[Statement, ...] = ()
    replaces_view: bool = False
    has_lineage: bool = False
    rebuilds: bool = False
    old_lineage: bool = False
    has_definitions: bool = False
    records: tuple[ViewRecord, ...] = ()
    spine: Spine | None = None
    tiles: tuple[TilePlan, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """The number of slices to write."""
        return sum(len(view.missing) for view in (*self.views, self.label))

    @property
    def damaged(self) -> int:
        """The number of slices among them whose rows are not those that were written."""
        return sum(view.damaged for view in (*self.views, self.label))


def plan_views(
    pipeline: Pipeline, observed: Observed, rebuilds: datetime | None = None
) -> tuple[tuple[ViewPlan, ...], ViewPlan]:
    """The views and the label. Raises CallerError for columns that cannot be features or label, with all faults of a view, and for
    tables of another pipeline.

    ``rebuilds``: take the slices that the store held at this time. Raises CallerError for a view that had none.
    """
    check_owners(pipeline, observed)
    if rebuilds is None:
        check_slices_differ(pipeline, observed)
    if pipeline.label.known == "row":
        _refuse_removed(observed.views)
    features = {seen.view: features_of(pipeline, seen) for seen in observed.views}
    refuse_names_taken(pipeline, features)
    label = (label_column(pipeline, observed.label),)
    return (
        tuple(plan_view(pipeline, seen, features[seen.view], observed.objects, rebuilds) for seen in observed.views),
        plan_view(pipeline, observed.label, label, observed.objects, rebuilds),
    )


def plan_features(
    pipeline: Pipeline,
    observed: Observed,
    rebuilds: datetime | None = None,
    values: Mapping[tuple[str, str], TextValues] | None = None,
) -> FeaturePlan:
    """Decide every slice. Raises as ``plan_views``, and CallerError for a text column with too many values.

    ``values``: by view and column, those of the text columns whose categories are not declared.
    """
    views, label = plan_views(pipeline, observed, rebuilds)
    check_origins(pipeline, observed)
    features = {view.view: view.columns for view in (*views, label)}
    scoring_as_of = observed.views[0].slices[-1].as_of
    return FeaturePlan(
        contract=make_contract(pipeline, features, values or {}),
        views=views,
        label=label,
        training_as_of=pipeline.training_times(scoring_as_of),
        scoring_as_of=scoring_as_of,
        sources_sha256=observed.views[0].slices[-1].sources_sha256,
        adopt=check_owners(pipeline, observed),
        has_lineage=observed.has_lineage,
        rebuilds=rebuilds is not None,
        old_lineage=observed.old_lineage,
        has_definitions=observed.has_definitions,
        spine=_spine(pipeline),
        records=tuple(
            changed_records(pipeline, (*observed.views, observed.label), features, observed.objects, observed.sources)
        ),
        tiles=observed.tiles,
        notes=observed.notes,
        replaces_view=store.current_view(pipeline.name) in observed.objects,
    )


def changed_records(
    pipeline: Pipeline,
    views: Sequence[ObservedView],
    features: Mapping[str, tuple[ColumnType, ...]],
    objects: Mapping[Name, Existing],
    sources: Mapping[str, tuple[ColumnType, ...]],
) -> Iterator[ViewRecord]:
    """The rows of FEATURE_VIEWS to write. A view that another pipeline owns keeps its row. ``sources``: the columns of each."""
    for seen in views:
        found, known = objects.get(store.view_table(seen.view)), seen.stored_definition
        shared = found is not None and found.owner not in (None, pipeline.name)
        if seen.definition is None or (known is not None and shared):
            continue
        record = _record(pipeline, seen, seen.definition, features[seen.view])
        if known is None or known.record_sha256 != record.sha256:
            yield _traced(record, seen.definition, sources)


def _record(
    pipeline: Pipeline, seen: ObservedView, definition: WrittenDefinition, features: tuple[ColumnType, ...]
) -> ViewRecord:
    view = next((view for view in pipeline.features if view.view == seen.view), None)
    return ViewRecord(
        view=seen.view,
        version=seen.version,
        kind="view" if view else "label",
        entity=tuple(pipeline.key_types(seen.view)),
        owner=view.owner if view else None,
        description=view.description if view else f"label of pipeline {pipeline.name}",
        ttl_s=int(view.ttl.total_seconds()) if view and view.ttl else None,
        definition=definition,
        features=tuple(FeatureRecord(column.name, store.STORED_AS[column.kind]) for column in features),
    )


def _traced(
    record: ViewRecord, definition: WrittenDefinition, sources: Mapping[str, tuple[ColumnType, ...]]
) -> ViewRecord:
    """The record with the origin of each feature."""
    names = [feature.name for feature in record.features]
    origins = trace(definition.query, names, definition.tables, sources)
    return replace(record, features=tuple(replace(each, origin=origins[each.name]) for each in record.features))


def _spine(pipeline: Pipeline) -> Spine | None:
    if not pipeline.has_spine:
        return None
    return Spine(
        ttl_s={view.view: view.ttl.total_seconds() for view in pipeline.features if view.ttl is not None},
        delay_s={view.view: view.delay.total_seconds() for view in pipeline.features},
        as_available=pipeline.label.known == "row",
    )


def feature_set(plan: FeaturePlan, slices: tuple[Slice, ...]) -> FeatureSet:
    """The result of the stage once ``slices`` are in the store."""
    return FeatureSet(
        contract=plan.contract.to_dict(),
        view_columns={view.view: tuple(column.name for column in view.columns) for view in plan.views},
        view_keys={view.view: view.key for view in plan.views},
        booleans=tuple(
            column.name for view in (*plan.views, plan.label) for column in view.columns if column.kind == "boolean"
        ),
        label_view=plan.label.view,
        slices=slices,
        history=tuple(part for view in plan.views for part in view.history),
        spine=plan.spine,
        training_as_of=plan.training_as_of,
        scoring_as_of=plan.scoring_as_of,
        repaired=plan.damaged,
    )


def expected_slices(plan: FeaturePlan, known_at: datetime) -> tuple[Slice, ...]:
    """The slices that will exist, for dry runs of later stages. Slices that are not written yet have 0 rows."""
    views = (*plan.views, plan.label)
    made = [Slice(part.view, part.version, part.as_of, known_at, 0) for view in views for part in view.missing]
    return (*(part for view in views for part in view.found), *made)


def plan_view(
    pipeline: Pipeline,
    seen: ObservedView,
    features: tuple[ColumnType, ...],
    objects: Mapping[Name, Existing],
    rebuilds: datetime | None = None,
) -> ViewPlan:
    """Separate finished slices from missing ones: a slice is finished if the store has one of the same definition and sources,
    with the rows that were written.
    """
    known = {(row[0], row[3], row[4]): row for row in seen.finished if row[5]}
    damaged = {(row[0], row[3], row[4]) for row in seen.finished} - known.keys()
    found, missing = [], []
    if rebuilds is not None:
        found = _slices_known_at(seen, rebuilds)
    else:
        for part in seen.slices:
            row = known.get(_digests(part))
            if row is None:
                missing.append(part)
            else:
                found.append(Slice(part.view, part.version, part.as_of, row[1], int(row[2])))
    key = pipeline.key_types(seen.view)
    create = store.create_view_table(seen.view, key, features, pipeline.name)
    repairs = sum(_digests(part) in damaged for part in missing)
    exists = store.view_table(seen.view) in objects
    used = {(part.as_of, part.known_at) for part in found}
    history = [part for part in _intact(seen, rebuilds) if (part.as_of, part.known_at) not in used]
    adapt: tuple[Statement, ...] = ()
    if seen.stored and missing:
        refuse_other_entity(seen.view, seen.stored, key)
        adapt = tuple(store.add_columns(seen.view, seen.stored, features))
    return ViewPlan(
        seen.view,
        tuple(key),
        features,
        create,
        tuple(found),
        tuple(missing),
        repairs,
        exists,
        adapt,
        tuple(history) if pipeline.label.known == "row" else (),
        pipeline.warehouse,
    )


def _intact(seen: ObservedView, known_at: datetime | None = None) -> list[Slice]:
    """The slices of a view that the store holds with the rows that were written; those that it held at ``known_at``."""
    held = [Slice(seen.view, seen.version, row[0], row[1], int(row[2])) for row in seen.finished if row[5]]
    return held if known_at is None else [*known_by(held, known_at)]


def _slices_known_at(seen: ObservedView, known_at: datetime) -> list[Slice]:
    """The newest slice of each time among those that the store held at ``known_at``. Raises CallerError where there is none."""
    held = _intact(seen)
    newest = {part.as_of: part for part in sorted(known_by(held, known_at), key=lambda part: part.known_at)}
    if missing := [part.as_of for part in seen.slices if part.as_of not in newest]:
        times = ", ".join(f"{as_of:%Y-%m-%d}" for as_of in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        first = min((part.known_at for part in held), default=None)
        since = f"its first slice was written at {first:%Y-%m-%d %H:%M:%S}" if first else "it has no slice at all"
        if gone := [when for as_of, known, when in seen.removed if as_of in missing and known <= known_at]:
            since = f"its slices of that time were removed at {max(gone):%Y-%m-%d %H:%M:%S}, because later ones superseded them"
        raise CallerError(
            f"view {seen.view}, version {seen.version}: the store held no slice of {times}{more} at "
            f"{known_at:%Y-%m-%d %H:%M:%S} (UTC); {since}. Choose a later --known-at, or the --date of a run of that time"
        )
    return [newest[part.as_of] for part in seen.slices]


def _refuse_removed(views: Sequence[ObservedView]) -> None:
    """Raise CallerError if slices were removed that production may have had at the time of a row."""
    for seen in views:
        if seen.removed:
            when = max(row[2] for row in seen.removed)
            raise CallerError(
                f"view {seen.view}, version {seen.version}: superseded slices were removed, the last at {when:%Y-%m-%d %H:%M:%S}, "
                "so what production had at the time of each row is not known any more; leave `known: row` out of the label, or "
                "raise the view's version and compute its slices again"
            )


def _digests(part: SlicePlan) -> tuple[datetime, str, str]:
    return part.as_of, part.definition_sha256, part.sources_sha256
