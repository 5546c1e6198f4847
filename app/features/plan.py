"""Decides what the features stage writes: each view at each as-of time, and the contract of all features.

Every later stage uses the contract made here: stamped on the export, checked by training, carried in the artefact, enforced by
the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.errors import CallerError
from app.features import store
from app.features.observe import Observed, ObservedView
from app.features.store import Slice, SlicePlan
from app.features.training_set import FeatureSet
from app.ports import ColumnType
from app.spec import FeatureView, Pipeline
from app.sql import Statement
from sagemaker_entry.contract import Column, Contract


@dataclass(frozen=True)
class ViewPlan:
    """One view, or the label: its table, its feature columns, the slices that exist, and the slices to write."""

    view: str
    columns: tuple[ColumnType, ...]
    create: Statement
    found: tuple[Slice, ...]
    missing: tuple[SlicePlan, ...]


@dataclass(frozen=True)
class FeaturePlan:
    """Everything that the stage does. ``training_as_of`` ascends; ``scoring_as_of`` is the run's logical date.

    ``sources_sha256``: digest of the sources before that date, from which all slices are computed.
    """

    contract: Contract
    views: tuple[ViewPlan, ...]
    label: ViewPlan
    training_as_of: tuple[datetime, ...]
    scoring_as_of: datetime
    sources_sha256: str

    @property
    def missing(self) -> int:
        """The number of slices to write."""
        return sum(len(view.missing) for view in (*self.views, self.label))


def plan_features(pipeline: Pipeline, observed: Observed) -> FeaturePlan:
    """Decide every slice. Raises CallerError for columns that cannot be features or label; one error names all faults of a
    view.
    """
    features = {seen.view: _features_of(pipeline, seen) for seen in observed.views}
    contract = make_contract(pipeline, features)
    label = (_label_column(pipeline, observed.label),)
    return FeaturePlan(
        contract=contract,
        views=tuple(_plan_view(pipeline, seen, features[seen.view]) for seen in observed.views),
        label=_plan_view(pipeline, observed.label, label),
        training_as_of=tuple(part.as_of for part in observed.label.slices),
        scoring_as_of=observed.views[0].slices[-1].as_of,
        sources_sha256=observed.views[0].slices[-1].sources_sha256,
    )


def feature_set(plan: FeaturePlan, slices: tuple[Slice, ...]) -> FeatureSet:
    """The result of the stage once ``slices`` are in the store."""
    return FeatureSet(
        contract=plan.contract.to_dict(),
        view_columns={view.view: tuple(column.name for column in view.columns) for view in plan.views},
        booleans=tuple(
            column.name for view in (*plan.views, plan.label) for column in view.columns if column.kind == "boolean"
        ),
        label_view=plan.label.view,
        slices=slices,
        training_as_of=plan.training_as_of,
        scoring_as_of=plan.scoring_as_of,
    )


def expected_slices(plan: FeaturePlan, known_at: datetime) -> tuple[Slice, ...]:
    """The slices that will exist, for dry runs of later stages. Slices that are not written yet have 0 rows."""
    views = (*plan.views, plan.label)
    made = [Slice(part.view, part.version, part.as_of, known_at, 0) for view in views for part in view.missing]
    return (*(part for view in views for part in view.found), *made)


def make_contract(pipeline: Pipeline, features: dict[str, tuple[ColumnType, ...]]) -> Contract:
    """The contract over the features of all views, in the order of the file. Raises CallerError for a repeated name."""
    found = [_contract_column(view, column) for view in pipeline.features for column in features[view.view]]
    names = [column.name for column in found]
    taken = {*pipeline.key, pipeline.label.column, store.AS_OF}
    if twice := sorted({name for name in names if names.count(name) > 1 or name in taken}):
        raise CallerError(f"features: the name {', '.join(twice)} is used twice; give each feature a different name")
    return Contract(tuple(found), key=pipeline.key, label=pipeline.label.column, as_of=store.AS_OF)


def _contract_column(view: FeatureView, column: ColumnType) -> Column:
    declared = view.categories.get(column.name)
    if column.kind in ("number", "boolean"):
        if declared:
            raise CallerError(f"view {view.view}: {column.name} is not a text; leave it out of categories")
        return Column(column.name)
    if column.kind != "text":
        raise CallerError(
            f"view {view.view}: {column.name} is neither number, boolean nor text; turn it into a number, for example a "
            "date with DATEDIFF"
        )
    if not declared:
        raise CallerError(
            f"view {view.view}: {column.name} is text, which XGBoost cannot take; declare its values in the view, "
            f"`categories: {{{column.name}: [...]}}`, or turn it into numbers"
        )
    return Column(column.name, "category", declared)


def _features_of(pipeline: Pipeline, seen: ObservedView) -> tuple[ColumnType, ...]:
    names = {column.name for column in seen.columns}
    if missing := [name for name in pipeline.key if name not in names]:
        raise CallerError(f"view {seen.view} does not return the entity's column {', '.join(missing)}")
    if reserved := sorted(names & set(store.RESERVED)):
        raise CallerError(f"view {seen.view}: {', '.join(reserved)} is reserved by the feature store; use another name")
    features = tuple(column for column in seen.columns if column.name not in pipeline.entity)
    if not features:
        raise CallerError(f"view {seen.view} returns no feature apart from {', '.join(pipeline.key)}")
    view = next(view for view in pipeline.features if view.view == seen.view)
    if unknown := sorted(set(view.categories) - names):
        raise CallerError(f"view {seen.view}: categories names {', '.join(unknown)}, which the view does not return")
    return features


def _label_column(pipeline: Pipeline, seen: ObservedView) -> ColumnType:
    wanted, key = pipeline.label.column, pipeline.key
    returned = {column.name: column for column in seen.columns}
    if wanted not in returned or any(name not in returned for name in key):
        raise CallerError(
            f"label: {pipeline.label.define} must return {', '.join((*key, wanted))}; it returns {', '.join(returned)}"
        )
    if returned[wanted].kind not in ("number", "boolean"):
        raise CallerError(f"label: {wanted} must be a number or a boolean, it has another type")
    return returned[wanted]


def _plan_view(pipeline: Pipeline, seen: ObservedView, features: tuple[ColumnType, ...]) -> ViewPlan:
    """Separate finished slices from missing ones: a slice is finished if the store has one of the same definition and sources."""
    known = {(row[0], row[3], row[4]): row for row in seen.finished}
    found, missing = [], []
    for part in seen.slices:
        row = known.get((part.as_of, part.definition_sha256, part.sources_sha256))
        if row is None:
            missing.append(part)
        else:
            found.append(Slice(part.view, part.version, part.as_of, row[1], int(row[2])))
    create = store.create_view_table(seen.view, dict(pipeline.entity), features)
    return ViewPlan(seen.view, features, create, tuple(found), tuple(missing))
