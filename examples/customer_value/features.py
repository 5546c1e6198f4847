"""Features of a customer's orders in two versions, and the label: whether the customer will spend much.

The sources are already cut: a view sees only orders before ``as_of``; a label also sees the 90 days after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from snowflake.snowpark import DataFrame
from snowflake.snowpark import functions as F

from app.features.aggregates import active_months, ratio, recency, tenure, total, trailing

#: Days after ``as_of`` that the label looks at: ``label.horizon`` of the pipeline file.
HORIZON_DAYS = 90

#: Dollars in the horizon from which on a customer is of high value; about one in fourteen is.
HIGH_VALUE = 50


def customer_features(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """Version 1: how much, how often, since when and how widely a customer bought."""
    return (
        sources["orders"]
        .group_by("CUSTOMER_ID")
        .agg(
            F.count(F.lit(1)).alias("TRANSACTION_COUNT"),
            F.sum("AMOUNT").cast("FLOAT").alias("TOTAL_SPENT"),
            ratio(F.sum("AMOUNT"), F.count("AMOUNT")).alias("AVERAGE_VALUE"),
            F.max("AMOUNT").cast("FLOAT").alias("MAXIMUM_VALUE"),
            tenure("ORDER_DATE", as_of).alias("TENURE_DAYS"),
            recency("ORDER_DATE", as_of).alias("DAYS_SINCE_LAST_ORDER"),
            active_months("ORDER_DATE").alias("ACTIVE_MONTHS"),
            F.count_distinct("CATEGORY").alias("DISTINCT_CATEGORIES"),
        )
    )


def customer_features_v2(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """Version 2: version 1, with spend a day of tenure and transactions an active month; NULL where the divisor is 0."""
    known = customer_features(sources, as_of)
    return known.select(
        *known.columns,
        ratio("TOTAL_SPENT", "TENURE_DAYS").alias("DAILY_SPEND"),
        ratio("TRANSACTION_COUNT", "ACTIVE_MONTHS").alias("TRANSACTIONS_PER_MONTH"),
    )


def high_value(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """1 for a customer who spends ``HIGH_VALUE`` dollars or more in the 90 days from ``as_of`` on, else 0."""
    end = as_of + timedelta(days=HORIZON_DAYS)
    spent = trailing(sources["orders"], "CUSTOMER_ID", "ORDER_DATE", end, (HORIZON_DAYS,), {"SPENT": total("AMOUNT")})
    later = F.col(f"SPENT_{HORIZON_DAYS}_DAYS")
    return spent.select("CUSTOMER_ID", F.iff(later >= F.lit(HIGH_VALUE), F.lit(1), F.lit(0)).alias("HIGH_VALUE"))


def spent_over_200(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """The obvious label, which leaks: 1 for a customer who has spent more than 200 dollars so far. README.md shows how it fails."""
    before = sources["orders"].filter(F.col("ORDER_DATE") < F.lit(as_of))
    over = F.iff(F.sum("AMOUNT") > F.lit(200), F.lit(1), F.lit(0))
    return before.group_by("CUSTOMER_ID").agg(over.alias("HIGH_VALUE"))
