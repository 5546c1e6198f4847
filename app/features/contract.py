"""The contract of all features, from the columns that the views return."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import CallerError
from app.features import store
from app.features.definitions.categories import TextValues, categories_of
from app.features.definitions.column_rules import (
    refuse_keys,
    refuse_label,
    refuse_names,
    refuse_rules,
    refuse_types,
)
from app.features.observe import ObservedView
from app.ports import ColumnType
from app.spec import FeatureView, Pipeline
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.hyperparameters import feature_fault


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


def label_column(pipeline: Pipeline, seen: ObservedView) -> ColumnType:
    wanted, key = pipeline.label.column, pipeline.key
    returned = {column.name: column for column in seen.columns}
    if wanted not in returned or any(name not in returned for name in key):
        define = pipeline.label.define or "label.source"
        raise CallerError(f"label: {define} must return {', '.join((*key, wanted))}; it returns {', '.join(returned)}")
    if returned[wanted].kind not in ("number", "boolean"):
        raise CallerError(f"label: {wanted} must be a number or a boolean, it has another type")
    refuse_keys(seen.view, seen.columns, pipeline.entity)
    return returned[wanted]
