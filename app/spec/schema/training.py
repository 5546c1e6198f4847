"""How a pipeline trains: split, instances, hyperparameters, and the gate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from app.spec.schema.block import Block
from app.spec.values import (
    Duration,
    InstanceType,
    Scalar,
    Wrong,
    wrong,
)
from sagemaker_entry.hyperparameters import faults
from sagemaker_entry.objectives import METRICS, kind_of

#: The metrics that a gate can name.
MORE_IS_BETTER = {name: more for metrics in METRICS.values() for name, more in metrics.items()}


class SplitBy(Block):
    """Parts by time, with a gap of one label horizon between them; or by entity, for tables without time."""

    by: Literal["time", "hash", "random", "entity"] = Field(
        "time",
        description="time: by as-of time, the only split that does not leak the future. For tables that have no time, all rows are "
        "taken as of the logical date, and hash: a hash of the entity key chooses the part, so an entity keeps its part in every "
        "training, and shares are approximate; random: exact shares of the entities in an order drawn by seed. entity: the earlier "
        "name of hash.",
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="With by: random, the seed of the order; default 0. The entities, sorted by key (numbers by value, texts by "
        "their UTF-8 bytes), are put in the order of the numbers that numpy's PCG64 of this seed draws for them; the first are "
        "the test part, the next the validation part. The same data and seed give the same parts.",
        examples=[7],
    )
    validation: float = Field(
        0.1, gt=0, lt=0.5, description="Share of the as-of times, or entities, for early stopping."
    )
    test: float = Field(
        0.2, gt=0, lt=0.5, description="Share of the as-of times, or entities, for the report, not used in training."
    )

    @property
    def without_time(self) -> bool:
        """Whether the entity, not the as-of time, decides the part of a row."""
        return self.by != "time"

    @property
    def method(self) -> Literal["time", "hash", "random"]:
        """``by`` under its present name."""
        return "hash" if self.by == "entity" else self.by

    @model_validator(mode="after")
    def _seed_of_random(self) -> SplitBy:
        if self.seed is not None and self.by != "random":
            raise wrong("seed", f"is for by: random, and by is {self.by}; leave it out, or write by: random")
        return self


class TrainingInstance(Block):
    """The machines of a training job."""

    type: InstanceType = Field("ml.m5.xlarge", description="SageMaker instance type.")
    count: int = Field(1, ge=1, le=1, description="Number of instances; the entry code trains on one.")
    spot: bool = Field(False, description="Managed spot capacity: cheaper, may be interrupted and start over.")


class Gate(Block):
    """What a model must reach to go live. All given bounds must hold, on the test part."""

    metric: Literal["auc", "average_precision", "logloss", "rmse", "mae", "r2"] = Field(
        "auc",
        description="The metric that the bounds are for. Changing it judges the trained model again; early stopping follows "
        "hyperparameters.eval_metric.",
    )
    at_least: float | None = Field(None, description="Minimum, for a metric that should be high.", examples=[0.7])
    at_most: float | None = Field(None, description="Maximum, for a metric that should be low.", examples=[0.4])
    better_than_single_column_by: float | None = Field(
        None,
        description="Minimum margin over the best single column alone, as the report measures it.",
        examples=[0.005],
    )
    better_than_mean_by: float = Field(
        0.02,
        lt=1,
        description="For a number as the label: minimum share by which rmse, or mae if it is the metric, is below that of the "
        "training rows' mean label as every row's score.",
        examples=[0.05],
    )
    r2_at_least: float = Field(
        0.02, lt=1, description="For a number as the label: minimum R², whatever the metric is.", examples=[0.1]
    )
    at_most_below_incumbent: float | None = Field(
        None, ge=0, description="Maximum by which the model may be worse than the production version.", examples=[0.01]
    )

    @model_validator(mode="after")
    def _bounds_fit_the_metric(self) -> Gate:
        less = not MORE_IS_BETTER[self.metric]
        unfit, right = ("at_least", "at_most") if less else ("at_most", "at_least")
        if getattr(self, unfit) is not None:
            raise wrong(unfit, f"{'less' if less else 'more'} {self.metric} is better; write {right} instead")
        return self


class Training(Block):
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

    @field_validator("hyperparameters")
    @classmethod
    def _accepted_by_xgboost(cls, value: dict[str, Any]) -> dict[str, Any]:
        if found := [((name,), text) for name, text in faults(value)]:
            raise Wrong(*found)
        return value

    @model_validator(mode="after")
    def _metric_fits_the_objective(self) -> Training:
        known = sorted(METRICS[kind_of(self.objective)])
        if self.gate.metric not in known:
            raise wrong(
                "gate.metric", f"{self.gate.metric} does not measure {self.objective}; write one of {', '.join(known)}"
            )
        return self
