"""Decides what the features stage writes: each view at each as-of time, and the contract of all features.

Every later stage uses the contract made here: stamped on the export, checked by training, carried in the artefact, enforced by
the service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.errors import CallerError
from app.features import store
from app.features.catalogue.difference import difference, with_sources
from app.features.catalogue.lineage import trace
from app.features.catalogue.record import FeatureRecord, ViewRecord, WrittenDefinition
from app.features.categories import TextValues, categories_of
from app.features.column_rules import (
    refuse_keys,
    refuse_label,
    refuse_names,
    refuse_names_taken,
    refuse_other_entity,
    refuse_rules,
    refuse_types,
)
from app.features.observe import Observed, ObservedView
from app.features.store import Slice, SlicePlan
from app.features.tiles.refresh import TilePlan
from app.features.timeline import known_by
from app.features.training_set import FeatureSet, Spine
from app.ownership import Existing, claim, set_comment
from app.ports import ColumnType
from app.spec import FeatureView, Pipeline
from app.sql import Name, Statement
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.hyperparameters import feature_fault


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
    label = (_label_column(pipeline, observed.label),)
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
        replaces_view=store.current_view(pipeline.name) in observed.objects,
    )


def check_origins(pipeline: Pipeline, observed: Observed) -> None:
    """Raise CallerError for a feature that is made of the label's column under another name.

    Only in a snapshot: where sources are cut, the column's values before the as-of time are no secret.
    """
    if pipeline.label.source is None or not pipeline.is_snapshot:
        return
    table = pipeline.sources[pipeline.label.source].table
    column = f"{table}.{pipeline.label.column}"
    for seen in observed.views:
        if seen.definition is None:
            continue
        names = [each.name for each in seen.columns if each.name not in pipeline.key]
        origins = trace(seen.definition.query, names, seen.definition.tables, observed.sources)
        if made := [name for name, origin in origins.items() if column in (origin.columns or ())]:
            raise CallerError(
                f"view {seen.view}: {', '.join(made)} is made of {pipeline.label.column} of {table}, the label, so the model would "
                f"know what it predicts; leave {made[0]} out of the view"
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


def check_slices_differ(pipeline: Pipeline, observed: Observed) -> None:
    """Raise CallerError where the same rows would be in the training part and in the test part.

    That is a label of the same rows at all as-of times, a view of them whose source has one time for all rows, so that nothing
    tells when they became known, and a pipeline all of whose views read the same rows at all as-of times. A snapshot, which has one
    as-of time, is split by entity.
    """
    if pipeline.is_snapshot:
        return
    times = {*pipeline.training_times(observed.views[0].slices[-1].as_of)}
    if not pipeline.has_spine and _same_rows(observed.label, times):
        raise CallerError(_identical("the label", observed.label, pipeline, observed))
    constant = {name for name, span in observed.spans.items() if span is not None and span[0] == span[1]}
    same = [seen for seen in observed.views if _same_rows(seen, times)]
    for seen in same:
        if seen.reads & constant or len(same) == len(observed.views):
            raise CallerError(_identical(f"view {seen.view}", seen, pipeline, observed))


def _same_rows(seen: ObservedView, times: set[datetime]) -> bool:
    """Whether the sources that a view reads have the same rows at all ``times``."""
    states = [json.loads(part.sources) for part in seen.slices if part.as_of in times]
    rows = {tuple((state[name]["rows"], state[name]["hash"]) for name in sorted(seen.reads)) for state in states}
    return bool(seen.reads) and len(rows) == 1


def _identical(what: str, seen: ObservedView, pipeline: Pipeline, observed: Observed) -> str:
    first, last = seen.slices[0].as_of, observed.label.slices[-1].as_of
    if not any(observed.spans[name] for name in seen.reads):
        named = ", ".join(f"{pipeline.sources[name].table} (sources.{name})" for name in sorted(seen.reads))
        return (
            f"{what} has no rows: {named} has no rows before the last as-of time; check event_time, label.as_of and the logical "
            "date"
        )
    reasons = []
    for name in sorted(seen.reads):
        source, span = pipeline.sources[name], observed.spans[name]
        column = f"{source.event_time} of {source.table} (sources.{name})"
        if span is None:
            reasons.append(f"{column} is before the last as-of time in no row")
        elif span[0] == span[1]:
            reasons.append(f"{column} has the same value in all rows")
        else:
            reasons.append(f"{column} has no value between the first and the last of these times")
    return (
        f"{what} is made of the same rows at all as-of times from {first:%Y-%m-%d} to {last:%Y-%m-%d}, so training and test would "
        f"hold the same entities with the same values: {'; '.join(reasons)}. Let event_time name the column that says when each "
        "row became known, choose label.as_of within the time that the data covers, or, for a table without time, write "
        "`split: {by: hash}` in training"
    )


def check_owners(pipeline: Pipeline, observed: Observed) -> tuple[Statement, ...]:
    """The statements that adopt tables without an owner. Raises CallerError for an object of another pipeline, and for a view
    whose version is stored with another definition.

    A view of another pipeline may be used if its definition is the same: its slices are then shared.
    """
    objects = observed.objects
    adopted = views_to_adopt(pipeline, observed.views, objects)
    label, current = store.view_table(observed.label.view), store.current_view(pipeline.name)
    if claim(pipeline.name, objects.get(label), "give the pipeline another name"):
        adopted.append(label)
    claim(
        pipeline.name, objects.get(current), "give the pipeline another name"
    )  # replaced with its comment in any case
    return tuple(set_comment("TABLE", name, store.table_comment(pipeline.name)) for name in adopted)


def views_to_adopt(pipeline: Pipeline, views: Sequence[ObservedView], objects: Mapping[Name, Existing]) -> list[Name]:
    """The tables of views that have no owner and are adopted. Raises CallerError as :func:`check_owners`."""
    return [name for seen in views if _check_view(pipeline, seen, objects.get(name := store.view_table(seen.view)))]


def _check_view(pipeline: Pipeline, seen: ObservedView, found: Existing | None) -> bool:
    """Whether the view's table is adopted."""
    stored = {row[3] for row in seen.finished}
    same = any(part.definition_sha256 in stored for part in seen.slices)
    known = {(row[0], row[3]) for row in seen.finished}
    times = {row[0] for row in seen.finished}
    other = [part for part in seen.slices if part.as_of in times and (part.as_of, part.definition_sha256) not in known]
    shared = found is not None and found.owner not in (None, pipeline.name)
    if other or (stored and not same and shared):
        made_by = f" by pipeline {found.owner}" if found is not None and shared else ""
        instead = "give the view another name, or take over that definition" if shared else "raise its version"
        raise CallerError(
            f"view {seen.view}: version {seen.version} is stored with another definition{made_by}; {instead}{_changes(seen)}"
        )
    if shared and same:
        return False
    return claim(pipeline.name, found, f"give view {seen.view} another name")


def _changes(seen: ObservedView) -> str:
    """How the definition differs from the stored one, on the lines after the message; empty if the store does not know."""
    stored, present = seen.stored_definition, seen.definition
    if stored is None or present is None:
        return ""
    shown = difference(
        with_sources(stored.query, stored.tables),
        with_sources(present.query, present.tables),
        f"{stored.define}, version {seen.version} in the store",
        f"{present.define}, now",
    )
    return f"\n{shown}" if shown else f". The query of {present.define} is the same but for its constant times"


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


def make_contract(
    pipeline: Pipeline,
    features: Mapping[str, tuple[ColumnType, ...]],
    values: Mapping[tuple[str, str], TextValues],
) -> Contract:
    """The contract over the features of all views, in the order of the file. Raises CallerError for texts that are no categories
    and for hyperparameters that do not fit.
    """
    found = tuple(
        _contract_column(view, column, values.get((view.view, column.name)))
        for view in pipeline.features
        for column in features[view.view]
    )
    contract = Contract(found, key=pipeline.key, label=pipeline.label.column, as_of=store.AS_OF)
    given = pipeline.training.hyperparameters
    if fault := feature_fault(given, contract.names, categories=contract.has_categories):
        raise CallerError(f"training.hyperparameters.{fault[0]}: {fault[1]}")
    return contract


def _contract_column(view: FeatureView, column: ColumnType, read: TextValues | None) -> Column:
    if column.kind != "text":
        return Column(column.name)
    return Column(column.name, "category", categories_of(view, column.name, read), view.unknown_of(column.name))


def features_of(pipeline: Pipeline, seen: ObservedView) -> tuple[ColumnType, ...]:
    """The columns of a view that are features. Raises CallerError for names and keys that the store cannot take."""
    names, key = {column.name for column in seen.columns}, pipeline.key_types(seen.view)
    if missing := [name for name in key if name not in names]:
        raise CallerError(f"view {seen.view} does not return the entity's column {', '.join(missing)}")
    refuse_names(seen.view, seen.columns)
    refuse_keys(seen.view, seen.columns, key)
    features = tuple(column for column in seen.columns if column.name not in key)
    if not features:
        raise CallerError(f"view {seen.view} returns no feature apart from {', '.join(key)}")
    view = next(view for view in pipeline.features if view.view == seen.view)
    refuse_label(view.view, features, pipeline.label.column)
    refuse_types(view, features)
    refuse_rules(view, features)
    return features


def _label_column(pipeline: Pipeline, seen: ObservedView) -> ColumnType:
    wanted, key = pipeline.label.column, pipeline.key
    returned = {column.name: column for column in seen.columns}
    if wanted not in returned or any(name not in returned for name in key):
        define = pipeline.label.define or "label.source"
        raise CallerError(f"label: {define} must return {', '.join((*key, wanted))}; it returns {', '.join(returned)}")
    if returned[wanted].kind not in ("number", "boolean"):
        raise CallerError(f"label: {wanted} must be a number or a boolean, it has another type")
    refuse_keys(seen.view, seen.columns, pipeline.entity)
    return returned[wanted]


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
