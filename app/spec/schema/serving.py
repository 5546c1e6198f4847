"""How a pipeline's model answers: serving, batch predictions, monitoring."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from app.spec.schema.block import Block
from app.spec.values import (
    Absent,
    ColumnName,
    InstanceType,
    ObjectName,
    OnBadRow,
    wrong,
)


class ServingInstance(Block):
    """The machines of an endpoint."""

    type: InstanceType = Field("ml.m5.large", description="SageMaker instance type.")
    min: int = Field(1, ge=1, description="Minimum number of instances, and the number that are started.")
    max: int = Field(
        1, ge=1, description="Maximum number of instances. Scaling between min and max is not available yet."
    )


class Serving(Block):
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
        'and why; null: NULL; error: `{"error": ...}`, which needs output: variant. In the batch table, fail: no row is scored, '
        "and a run that goes on to batch stops before it trains; null and error: the row's SCORE is NULL, and with error its "
        "ERROR says why.",
    )
    absent: Absent = Field(
        None,
        description="null: a key that the OBJECT form lacks means NULL; without this setting it is an error that names the key.",
    )

    @model_validator(mode="after")
    def _answers_fit_together(self) -> Serving:
        if self.on_bad_row == "error" and self.output == "number":
            raise wrong("on_bad_row", "error needs an object; write output: variant, or on_bad_row: null")
        if self.reasons and self.output == "number":
            raise wrong("reasons", "reasons need an object; write output: variant")
        if self.payload == "csv" and self.scorer == "embedded":
            raise wrong("payload", "csv is what an endpoint takes, and scorer is embedded; leave payload out")
        if self.payload == "csv" and self.reasons:
            raise wrong("reasons", "the built-in algorithm gives none; leave reasons or payload: csv out")
        return self


class Batch(Block):
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
            raise wrong("threshold", "threshold and labels belong together; write both or neither")
        return self


class Drift(Block):
    """When a feature counts as drifted."""

    psi: float = Field(
        0.2,
        gt=0,
        description="Population stability index against the training rows above which a feature counts as drifted.",
    )


class Monitoring(Block):
    """What is monitored."""

    drift: Drift = Field(default_factory=Drift, description="Drift of the features.")
