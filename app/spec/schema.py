"""The keys of a pipeline file with their meanings and examples, as frozen pydantic models.

Validation, the JSON Schema in the docs, and the examples in error messages are made from these models, so they always agree.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.spec.values import Absent, ColumnName, Definition, Duration, ObjectName, OnBadRow, Scalar, SourceName
from sagemaker_entry.split import fills_all_parts, times_needed

#: Metrics by the kind of objective they measure; the entry code computes all of a kind.
METRICS_OF = {"binary": {"auc", "average_precision", "logloss"}, "reg": {"rmse", "mae"}}
_LESS_IS_BETTER = {"logloss", "rmse", "mae"}


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Block):
    """A table that features are made of."""

    table: ObjectName = Field(description="The table or view.", examples=["RAW.ORDERS"])
    event_time: ColumnName = Field(
        description="Column with the time of each row; views see only rows before their as-of time.",
        examples=["ORDER_DATE"],
    )
    seed: str | None = Field(
        None,
        description="Parquet file that the local cloud loads into the table.",
        examples=["data/orders.parquet"],
    )


class FeatureView(_Block):
    """A set of features of one entity, made by one function or SQL file."""

    view: ColumnName = Field(description="Name of its table in FEATURE_STORE.", examples=["customer_orders"])
    version: int = Field(
        description="Version of the definition; increase it when its meaning changes.", ge=1, examples=[1]
    )
    define: Definition = Field(
        description="`file.py:function` taking (sources, as_of) and returning a Snowpark DataFrame, or a `.sql` file.",
        examples=["features.py:customer_orders", "customer_orders.sql"],
    )
    categories: dict[ColumnName, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Text columns, each with all values that it may have; a value's position is its code.",
        examples=[{"CHANNEL": ["web", "store"]}],
    )

    @field_validator("categories")
    @classmethod
    def _once_each(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for column, categories in value.items():
            if not categories or len(set(categories)) < len(categories):
                raise ValueError(f"{column} needs at least one value, and each of them once")
        return value


class AsOf(_Block):
    """The times at which training rows are taken, counted back from the last one with a complete label."""

    every: Duration = Field(description="Time between two as-of times.", examples=["30 days"])
    last: int = Field(description="Number of as-of times.", ge=3, le=1000, examples=[12])


class Label(_Block):
    """The value to predict."""

    define: Definition = Field(
        description="As `define` of a view, but its sources end one horizon after as_of.",
        examples=["features.py:churned"],
    )
    column: ColumnName = Field(description="The label's column: 0 or 1, or a number.", examples=["CHURNED"])
    horizon: Duration = Field(description="The time after as_of that the label depends on.", examples=["90 days"])
    as_of: AsOf = Field(description="The as-of times of training rows.", examples=[{"every": "30 days", "last": 12}])


class SplitBy(_Block):
    """Parts by time, with a gap of one label horizon between them."""

    by: Literal["time"] = Field("time", description="The only split that does not leak the future.")
    validation: float = Field(0.1, gt=0, lt=0.5, description="Share of the as-of times for early stopping.")
    test: float = Field(0.2, gt=0, lt=0.5, description="Share of the as-of times for the report, not used in training.")


class TrainingInstance(_Block):
    """The machines of a training job."""

    type: str = Field("ml.m5.xlarge", pattern=r"^ml\.[a-z0-9]+\.[a-z0-9]+$", description="SageMaker instance type.")
    count: int = Field(1, ge=1, le=1, description="Number of instances; the entry code trains on one.")
    spot: bool = Field(False, description="Managed spot capacity: cheaper, may be interrupted and start over.")


class Gate(_Block):
    """What a model must reach to go live. All given bounds must hold, on the test part."""

    metric: Literal["auc", "average_precision", "logloss", "rmse", "mae"] = Field(
        "auc", description="The metric that the bounds are for."
    )
    at_least: float | None = Field(None, description="Minimum, for a metric that should be high.", examples=[0.7])
    at_most: float | None = Field(None, description="Maximum, for a metric that should be low.", examples=[0.4])
    better_than_single_column_by: float | None = Field(
        None,
        description="Minimum margin over the best single column alone, as the report measures it.",
        examples=[0.005],
    )
    at_most_below_incumbent: float | None = Field(
        None, ge=0, description="Maximum by which the model may be worse than the production version.", examples=[0.01]
    )

    @model_validator(mode="after")
    def _bounds_fit_the_metric(self) -> Gate:
        less = self.metric in _LESS_IS_BETTER
        wrong, right = ("at_least", "at_most") if less else ("at_most", "at_least")
        if getattr(self, wrong) is not None:
            raise ValueError(f"{wrong}: {'less' if less else 'more'} {self.metric} is better; write {right} instead")
        return self


class Training(_Block):
    """How the model is trained."""

    estimator: Literal["xgboost"] = Field("xgboost", description="The algorithm.")
    hyperparameters: dict[str, Scalar] = Field(
        default_factory=lambda: {"objective": "binary:logistic"},
        description="XGBoost's parameters, and n_estimators and early_stopping_rounds.",
        examples=[{"objective": "binary:logistic", "max_depth": 5}],
    )
    tune: dict[str, Any] | None = Field(
        None, description="Hyperparameter tuning: max_jobs and ranges. Not available yet."
    )
    split: SplitBy = Field(default_factory=SplitBy, description="Parts of the data.")
    backend: Literal["sagemaker", "snowpark"] = Field(
        "sagemaker", description="Where training runs; snowpark (inside the warehouse) is not available yet."
    )
    instance: TrainingInstance = Field(default_factory=TrainingInstance, description="The job's instances.")
    max_runtime: Duration = Field(timedelta(hours=1), description="Maximum duration of a job.", examples=["1 hour"])
    gate: Gate = Field(default_factory=Gate, description="Bounds that a model must meet to go live.")

    @property
    def objective(self) -> str:
        return str(self.hyperparameters.get("objective", "binary:logistic"))

    @model_validator(mode="after")
    def _metric_fits_the_objective(self) -> Training:
        kind = self.objective.partition(":")[0]
        if kind not in METRICS_OF:
            raise ValueError(
                f"hyperparameters.objective: {self.objective} is not supported; write one that begins with binary: or reg:"
            )
        if kind == "binary" and self.objective != "binary:logistic":
            raise ValueError(
                f"hyperparameters.objective: {self.objective} gives no probabilities, which the report needs; write binary:logistic"
            )
        if self.gate.metric not in METRICS_OF[kind]:
            known = ", ".join(sorted(METRICS_OF[kind]))
            raise ValueError(f"gate.metric: {self.gate.metric} does not measure {self.objective}; write one of {known}")
        return self


class ServingInstance(_Block):
    """The machines of an endpoint."""

    type: str = Field("ml.m5.large", pattern=r"^ml\.[a-z0-9]+\.[a-z0-9]+$", description="SageMaker instance type.")
    min: int = Field(1, ge=1, description="Minimum number of instances, and the number that are started.")
    max: int = Field(
        1, ge=1, description="Maximum number of instances. Scaling between min and max is not available yet."
    )


class Serving(_Block):
    """How the model answers SQL and HTTP."""

    function: ObjectName = Field(
        description="The SQL function, in schema ML unless it names another.", examples=["PREDICT_CHURN"]
    )
    key: ColumnName | None = Field(
        None,
        description="Entity column that callers send before the features; identifies rows in captured predictions and experiments.",
    )
    scorer: Literal["endpoint", "embedded"] = Field(
        "endpoint",
        description="endpoint: a SageMaker endpoint scores. embedded: the service itself scores, without the cost of an endpoint.",
    )
    instance: ServingInstance = Field(default_factory=ServingInstance, description="The endpoint's instances.")
    payload: Literal["npy", "csv"] = Field(
        "npy",
        description="What the endpoint takes. npy: the entry code, which checks the contract; csv: SageMaker's built-in XGBoost "
        "algorithm, which checks nothing.",
    )
    output: Literal["number", "variant"] = Field(
        "number",
        description="The answer for a row. number: its score, and the SQL function returns FLOAT; variant: an object with score, "
        "label and version, and the function returns VARIANT.",
    )
    reasons: int = Field(
        0,
        ge=0,
        le=100,
        description="Number of reasons in a variant: the leading features and their contributions to the model's margin, "
        "largest first. They cost far more time than the score.",
    )
    on_bad_row: OnBadRow = Field(
        "fail",
        description="The answer for a row that cannot be scored. fail: the whole batch fails, and the query's error says which row "
        'and why; null: NULL; error: `{"error": ...}`, which needs output: variant.',
    )
    absent: Absent = Field(
        None,
        description="null: a key that the OBJECT form lacks means NULL; without this setting it is an error that names the key.",
    )

    @model_validator(mode="after")
    def _answers_fit_together(self) -> Serving:
        if self.on_bad_row == "error" and self.output == "number":
            raise ValueError("on_bad_row: error needs an object; write output: variant, or on_bad_row: null")
        if self.reasons and self.output == "number":
            raise ValueError("reasons: reasons need an object; write output: variant")
        if self.payload == "csv" and self.scorer == "embedded":
            raise ValueError("payload: csv is what an endpoint takes, and scorer is embedded; leave payload out")
        if self.payload == "csv" and self.reasons:
            raise ValueError("reasons: the built-in algorithm gives none; leave reasons or payload: csv out")
        return self


class Batch(_Block):
    """Scores for every entity, in a table."""

    table: ObjectName = Field(description="The prediction table.", examples=["ANALYTICS.CHURN_SCORES"])
    threshold: float | None = Field(
        None, description="Scores of at least this value get the second label.", examples=[0.5]
    )
    labels: tuple[str, str] | None = Field(
        None,
        description="The label for scores below the threshold, and the label for the others.",
        examples=[["STAYS", "CHURNS"]],
    )

    @model_validator(mode="after")
    def _together(self) -> Batch:
        if (self.threshold is None) != (self.labels is None):
            raise ValueError("threshold: threshold and labels belong together; write both or neither")
        return self


class Drift(_Block):
    """When a feature counts as drifted."""

    psi: float = Field(
        0.2,
        gt=0,
        description="Population stability index against the training rows above which a feature counts as drifted.",
    )


class Monitoring(_Block):
    """What is monitored."""

    drift: Drift = Field(default_factory=Drift, description="Drift of the features.")


class Pipeline(_Block):
    """A snowsage pipeline: from tables in Snowflake to predictions in Snowflake."""

    name: str = Field(
        pattern=r"^[a-z]([a-z0-9-]{0,23}[a-z0-9])?$",
        description="Name of the model, its endpoint and its folder on S3.",
        examples=["churn"],
    )
    logical_date: date | None = Field(
        None,
        description="The date from which a run looks back; default: today (UTC).",
        examples=["1998-07-01"],
    )
    entity: dict[ColumnName, Literal["NUMBER", "VARCHAR"]] = Field(
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

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Pipeline:
        if self.serving.key is not None and self.serving.key not in self.entity:
            raise ValueError(
                f"serving.key: {self.serving.key} is not a column of the entity ({', '.join(self.entity)})"
            )
        views = [view.view for view in self.features]
        if twice := sorted({view for view in views if views.count(view) > 1}):
            raise ValueError(f"features: the view {', '.join(twice)} occurs twice")
        own = self.name.upper().replace("-", "_")
        if taken := sorted({"FEATURE_LINEAGE", f"{own}_LABEL", f"{own}_FEATURES"} & set(views)):
            raise ValueError(f"features: {', '.join(taken)} is reserved by the feature store; rename the view")
        split, when = self.training.split, self.label.as_of
        fitting = (when.every, self.label.horizon, split.validation, split.test)
        if not fills_all_parts(when.last, *fitting):
            needed = times_needed(*fitting)
            advice = f"write at least {needed}" if needed > when.last else f"write {needed}"
            raise ValueError(
                f"label.as_of.last: {when.last} as-of times, {when.every.days} days apart, leave no training rows once the "
                f"test and validation parts and the gaps of one horizon between them are cut; {advice}"
            )
        return self


def json_schema() -> dict[str, Any]:
    """The pipeline file's JSON Schema, for editors and the docs."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Pipeline.model_json_schema()}
