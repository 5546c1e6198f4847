"""The whole pipeline file, and the rules that hold between its blocks."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from app.spec.schema.block import Block
from app.spec.schema.data import FeatureView, Label, Source
from app.spec.schema.serving import Batch, Monitoring, Serving
from app.spec.schema.training import Training
from app.spec.values import (
    FeatureName,
    ObjectName,
    PipelineName,
    SourceName,
    Wrong,
)
from sagemaker_entry.hyperparameters import faults
from sagemaker_entry.objectives import kind_of
from sagemaker_entry.split import fills_all_parts, times_needed

#: Columns of the feature store's tables, and of the prediction table, next to the entity's.
_OF_THE_STORE = ("AS_OF", "FEATURE_VERSION", "KNOWN_AT", "CREATED_AT")
#: The names of the store's own tables and views.
_TABLES_OF_THE_STORE = ("FEATURE_LINEAGE", "TILE_LINEAGE", "FEATURE_VIEWS", "FEATURE_CATALOG", "ERASURES")
#: The store's column with the time of a row, in the table of labels that come from a source with time.
_ROW_TIME = "ROW_TIME"
_OF_PREDICTIONS = ("SCORE", "LABEL", "ERROR", "MODEL_VERSION", "RUN_ID", "SCORED_AT")


class Pipeline(Block):
    """A snowsage pipeline: from tables in Snowflake to predictions in Snowflake."""

    name: PipelineName = Field(
        description="Name of the model, its endpoint and its folder on S3.",
        examples=["churn"],
    )
    logical_date: date | None = Field(
        None,
        description="The date from which a run looks back; default: today (UTC).",
        examples=["1998-07-01"],
    )
    warehouse: ObjectName | None = Field(
        None,
        description="The warehouse for statements that compute features or unload rows, for example a Snowpark-optimised one. All "
        "others run in the connection's own. Default: the connection's own for all.",
        examples=["FEATURES_WH"],
    )
    entity: dict[FeatureName, Literal["NUMBER", "VARCHAR"]] = Field(
        min_length=1,
        description="Key columns of a row, and their types.",
        examples=[{"customer_id": "NUMBER"}],
    )
    sources: dict[SourceName, Source] = Field(
        min_length=1, description="Tables that features are computed from, by short name."
    )
    features: tuple[FeatureView, ...] = Field(
        min_length=1, description="The views; the first one defines the entities."
    )
    label: Label = Field(description="The value to predict.")
    training: Training = Field(default_factory=Training, description="How the model is trained.")
    serving: Serving = Field(description="How the model answers.")
    batch: Batch = Field(description="Batch predictions.")
    monitoring: Monitoring = Field(default_factory=Monitoring, description="What is monitored.")
    schedule: dict[str, Any] | None = Field(None, description="Scheduled retraining and scoring. Not available yet.")

    @property
    def key(self) -> tuple[str, ...]:
        """The entity's columns."""
        return tuple(self.entity)

    def key_types(self, view: str) -> dict[str, str]:
        """The columns that identify a row of a view, or of the label, and their types."""
        found = next((each for each in self.features if each.view == view), None)
        if found is None:
            return {**self.entity, **({_ROW_TIME: "TIMESTAMP_NTZ"} if self.has_spine else {})}
        return {name: kind for name, kind in self.entity.items() if found.entity is None or name in found.entity}

    @property
    def has_spine(self) -> bool:
        """Whether training rows are those of the label's source, each at its own time, rather than entities at as-of times."""
        return self.label.source is not None and not self.is_snapshot

    @property
    def is_snapshot(self) -> bool:
        """Whether all rows are taken as of the logical date, and split by entity."""
        return self.training.split.without_time

    @property
    def horizon(self) -> timedelta:
        """The time after an as-of time that the label depends on; zero in a snapshot."""
        return self.label.horizon or timedelta()

    def training_times(self, as_of: datetime) -> tuple[datetime, ...]:
        """The as-of times of training rows, ascending: the last one's label is complete at ``as_of``, the run's logical date.

        In a snapshot it is the only one. With a spine they are the times of the slices that its rows get.
        """
        when, last = self.label.as_of, as_of - self.horizon
        return tuple(last - when.every * back for back in reversed(range(when.last))) if when else (last,)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Pipeline:
        found = [
            *self._name_faults(),
            *self._view_faults(),
            *self._hyperparameter_faults(),
            *self._label_faults(),
            *self._time_faults(),
        ]
        if found:
            raise Wrong(*((_path(keys), text) for keys, text in found))
        return self

    def _name_faults(self) -> Iterator[tuple[str, str]]:
        for name in self.entity:
            if name.upper() in (*_OF_THE_STORE, _ROW_TIME, *_OF_PREDICTIONS):
                yield (
                    f"entity.{name}",
                    "is the name of a column that this program adds; rename it in every view: AS "
                    + (f"{self.name.upper().replace('-', '_')}_{name.upper()}"),
                )
        if self.label.column.upper() in _OF_THE_STORE:
            yield "label.column", f"{self.label.column} is reserved by the feature store; use another name"
        folded = [name.upper() for name in (*self.entity, self.label.column)]
        if twice := sorted({name for name in folded if folded.count(name) > 1}):
            yield "entity", f"{', '.join(twice)} is used twice; the keys and the label need different names"
        if self.serving.key is not None and self.serving.key not in self.entity:
            yield "serving.key", f"{self.serving.key} is not a column of the entity ({', '.join(self.entity)})"

        for name, source in self.sources.items():
            if source.tiles is not None and f"{name}_tiles" in self.sources:
                yield f"sources.{name}.tiles", f"views read them as {name}_tiles, and a source has that name; rename it"

    def _view_faults(self) -> Iterator[tuple[str, str]]:
        views = [view.view for view in self.features]
        if twice := sorted({view for view in views if views.count(view) > 1}):
            yield "features", f"the view {', '.join(twice)} occurs twice"
        for index, view in enumerate(self.features):
            if unknown := [name for name in view.entity or () if name not in self.entity]:
                yield (
                    f"features.{index}.entity",
                    f"{', '.join(unknown)} is not a column of the pipeline's entity ({', '.join(self.entity)})",
                )
            elif index == 0 and len(self.key_types(view.view)) < len(self.entity):
                yield (
                    "features.0.entity",
                    "the first view defines the rows, so it needs all columns of the entity; put another view first, or leave "
                    "entity out",
                )
        own = self.name.upper().replace("-", "_")
        if taken := sorted({*_TABLES_OF_THE_STORE, f"{own}_LABEL", f"{own}_FEATURES"} & set(views)):
            yield "features", f"{', '.join(taken)} is reserved by the feature store; rename the view"

    def _hyperparameter_faults(self) -> Iterator[tuple[str, str]]:
        categories = any(view.categories for view in self.features)
        for name, text in faults(self.training.hyperparameters, categories=categories):
            yield f"training.hyperparameters.{name}", text

    def _label_faults(self) -> Iterator[tuple[str, str]]:
        source = self.label.source
        if source is not None and source not in self.sources:
            near = difflib.get_close_matches(source, self.sources, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the sources are {', '.join(self.sources)}"
            yield "label.source", f"there is no source {source}; {hint}"
        if self.label.known is not None and not self.has_spine:
            yield "label.known", "belongs to a label with source in a split by time; leave it out"
        if self.label.positive is not None and kind_of(self.training.objective) != "binary":
            yield (
                "label.positive",
                f"makes a label of 0 and 1, and {self.training.objective} predicts a number; leave it out, or write "
                '`objective: "binary:logistic"` in training.hyperparameters',
            )

    def _time_faults(self) -> Iterator[tuple[str, str]]:
        yield from _snapshot_faults(self) if self.is_snapshot else _time_faults(self)


def _path(keys: str) -> tuple[str | int, ...]:
    """``features.1.entity`` as the keys and list indices that lead there."""
    return tuple(int(key) if key.isdigit() else key for key in keys.split("."))


def _snapshot_faults(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Keys that a split without time has no use for."""
    for key in ("horizon", "as_of"):
        if getattr(pipeline.label, key) is not None:
            yield (
                f"label.{key}",
                f"a split by {pipeline.training.split.by} takes all rows as of the logical date; leave {key} out, or write "
                "training.split.by: time",
            )


def _time_faults(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Of a split by time: rows or labels without a time, or too few as-of times."""
    split, horizon, when = pipeline.training.split, pipeline.label.horizon, pipeline.label.as_of
    for key, value, example in (("horizon", horizon, "90 days"), ("as_of", when, "{every: 30 days, last: 12}")):
        if value is None and not (key == "horizon" and pipeline.has_spine):
            yield f"label.{key}", f"is missing; write, for example, `{key}: {example}`{_OR_A_SNAPSHOT}"
    for name, source in pipeline.sources.items():
        if source.event_time is None:
            yield (
                f"sources.{name}.event_time",
                f"is missing; write the column with the time of each row{_OR_A_SNAPSHOT}",
            )
    if horizon is None or when is None or pipeline.has_spine:
        return  # the times of a spine are known only when it is read
    fitting = (when.every, horizon, split.validation, split.test)
    if not fills_all_parts(when.last, *fitting):
        needed = times_needed(*fitting)
        advice = f"write at least {needed}" if needed > when.last else f"write {needed}"
        yield (
            "label.as_of.last",
            f"{when.last} as-of times, {when.every.days} days apart, leave no training rows once the test and validation parts "
            f"and the gaps of one horizon between them are cut; {advice}",
        )


_OR_A_SNAPSHOT = "; for a table without time, write `split: {by: hash}` in training instead"


def json_schema() -> dict[str, Any]:
    """The pipeline file's JSON Schema, for editors and the docs."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Pipeline.model_json_schema()}
