"""What a pipeline reads and computes: sources, feature views, and the label."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from app.spec.schema.block import Block
from app.spec.values import (
    Categories,
    ColumnName,
    Definition,
    Duration,
    FeatureName,
    ObjectName,
    SourceName,
    Text,
    UnknownRule,
    wrong,
)
from sagemaker_entry.contract import Unknown


class Tiles(Block):
    """Daily tiles of a source, for trailing windows over many as-of times."""

    key: tuple[ColumnName, ...] = Field(
        min_length=1,
        description="Columns that tiles are grouped by: the entity's, or what is joined to it.",
        examples=[["CUSTOMER_ID"]],
    )
    measures: tuple[ColumnName, ...] = Field(
        (), description="Number columns that windows aggregate; a tile always counts rows.", examples=[["AMOUNT"]]
    )


class Source(Block):
    """A table that features are made of."""

    table: ObjectName = Field(description="The table or view.", examples=["RAW.ORDERS"])
    event_time: ColumnName | None = Field(
        None,
        description="Column with the time of each row; views see only rows before their as-of time. Required for a split by time; "
        "a source without it is a snapshot, of which views see all rows.",
        examples=["ORDER_DATE"],
    )
    seed: str | None = Field(
        None,
        description="Parquet file that the local cloud loads into the table.",
        examples=["data/orders.parquet"],
    )
    tiles: Tiles | None = Field(
        None,
        description="Sums, counts and extremes of each UTC day, kept in FEATURE_STORE and appended as days end. Views get them as "
        '`sources["<name>_tiles"]`, for `trailing`.',
    )

    policies: Literal["refused", "allowed"] = Field(
        "refused",
        description="Whether features may be made of what masking and row access policies of the table let the role see; "
        "refused: a policy on the table is an error before anything is computed.",
    )

    @model_validator(mode="after")
    def _tiles_have_days(self) -> Source:
        if self.tiles is not None and self.event_time is None:
            raise wrong("tiles", "needs event_time, the column that tells a row's day")
        return self


class FeatureView(Block):
    """A set of features of one entity, made by one function or SQL file."""

    view: ColumnName = Field(description="Name of its table in FEATURE_STORE.", examples=["customer_orders"])
    version: int = Field(
        description="Version of the definition; increase it when its meaning changes.", ge=1, examples=[1]
    )
    define: Definition = Field(
        description="`file.py:function` taking (sources, as_of) and returning a Snowpark DataFrame, or a `.sql` file.",
        examples=["features.py:customer_orders", "customer_orders.sql"],
    )
    owner: str | None = Field(
        None,
        description="The team or person who answers for the view; shown by `snowsage features --list`.",
        examples=["growth team"],
    )
    description: str | None = Field(
        None,
        description="What the view says about the entity, for people who look for features.",
        examples=["Recency, frequency and monetary value of a customer's orders"],
    )
    ttl: Duration | None = Field(
        None,
        description="For a label from a source with time: how long a slice of the view is used after its as-of time. Rows without "
        "a slice that is new enough have NULL. Default: without end.",
        examples=["90 days"],
    )
    delay: Duration = Field(
        timedelta(),
        description="For `known: row`: the time after its as-of time at which production would have had a slice that was computed "
        "only later, by a backfill.",
        examples=["6 hours"],
    )
    entity: tuple[FeatureName, ...] | None = Field(
        None,
        min_length=1,
        description="Columns of the pipeline's entity that identify a row of this view; default: all of them. The first view has "
        "all, the others are joined to it.",
        examples=[["merchant_id"]],
    )
    categories: Categories = Field(
        default_factory=dict,
        description="Text columns, each with the values that it may have, whose positions are their codes, or auto: the values "
        "that its training rows have, sorted, which the contract keeps. Columns that are not listed are auto; `auto` alone means "
        "all.",
        examples=[{"CHANNEL": ["web", "store"], "PLAN": "auto"}],
    )
    categories_limit: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Values that an auto column may have; more are an error that shows their number.",
    )
    unknown: UnknownRule = Field(
        None,
        description="What a text outside its column's categories is, in training and wherever rows are scored. null: as NULL, "
        "missing to the model; error: the row cannot be scored. For all columns, or by column; default: null for auto columns, "
        "error for listed ones.",
        examples=[{"CHANNEL": "error", "PLAN": "null"}],
    )

    @field_validator("categories")
    @classmethod
    def _once_each(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for column, categories in value.items():
            if len(set(categories)) < len(categories):
                raise wrong(column, "needs at least one value, and each of them once")
        return value

    def listed(self, column: str) -> tuple[str, ...]:
        """The declared values of a text column; empty if they are read from the data."""
        return self.categories.get(column, ())

    def unknown_of(self, column: str) -> Unknown:
        """What a text outside the categories of ``column`` is."""
        rule = self.unknown.get(column) if isinstance(self.unknown, dict) else self.unknown
        return rule or ("error" if self.listed(column) else "null")


class AsOf(Block):
    """The times at which training rows are taken, counted back from the last one with a complete label."""

    every: Duration = Field(description="Time between two as-of times.", examples=["30 days"])
    last: int = Field(description="Number of as-of times.", ge=3, le=1000, examples=[12])


class Label(Block):
    """The value to predict: the result of a definition, or a column of a source."""

    define: Definition | None = Field(
        None,
        description="As `define` of a view, but its sources end one horizon after as_of. Either define or source is required.",
        examples=["features.py:churned"],
    )
    source: SourceName | None = Field(
        None,
        description="Short name of the source that has the label as a column next to the entity's key. In a split by time each row "
        "of the source is a training row, with the features of its event_time. A row whose label is NULL is not trained on.",
        examples=["customers"],
    )
    column: FeatureName = Field(description="The label's column: 0 or 1, or a number.", examples=["CHURNED"])
    positive: Text | None = Field(
        None,
        description="With source, for a text column and a binary objective: the value that is 1; every other value is 0.",
        examples=["Yes"],
    )
    horizon: Duration | None = Field(
        None,
        description="The time after as_of that the label depends on. Required with define in a split by time.",
        examples=["90 days"],
    )
    as_of: AsOf | None = Field(
        None,
        description="The as-of times of training rows, or, with source, of the slices that they get. Required for a split by time.",
        examples=[{"every": "30 days", "last": 12}],
    )
    known: Literal["run", "row"] | None = Field(
        None,
        description="With source in a split by time: the slices a row may get. run (default): as the store knows them at the run. "
        "row: only what production had at the row's time, corrections that came later left out.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Label:
        if self.define is None and self.source is None:
            raise wrong(
                "define",
                "is missing; write, for example, `define: features.py:churned`, or, for a label that is a column of a table "
                "without time, `source: customers`",
            )
        if self.define is not None and self.source is not None:
            raise wrong("source", "define and source exclude each other; leave one of them out")
        if self.define is not None and self.positive is not None:
            raise wrong("positive", "belongs to source; let the definition return 1 for this value and 0 for others")
        return self
