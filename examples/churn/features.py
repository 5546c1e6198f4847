"""Features of a customer's orders, and the label: whether the customer will order again.

The sources are already cut: a view sees only orders before ``as_of``; the label also sees the 90 days after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from snowflake.snowpark import Column, DataFrame, Window
from snowflake.snowpark.functions import avg, col, count, datediff, iff, lit, ntile
from snowflake.snowpark.functions import max as max_
from snowflake.snowpark.functions import sum as sum_


def customer_orders(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """Recency, frequency and monetary value, trailing windows, and the RFM score from quintiles."""

    def spent_in_last(days: int) -> Column:
        recent = col("ORDER_DATE") >= lit(as_of - timedelta(days=days))
        return sum_(iff(recent, col("AMOUNT"), lit(0))).cast("FLOAT")

    customers = (
        sources["orders"]
        .group_by("CUSTOMER_ID")
        .agg(
            sum_("AMOUNT").cast("FLOAT").alias("TOTAL_SPENT"),
            count(lit(1)).alias("ORDER_COUNT"),
            avg("AMOUNT").cast("FLOAT").alias("AVERAGE_VALUE"),
            datediff("day", max_("ORDER_DATE"), lit(as_of)).alias("DAYS_SINCE_LAST_ORDER"),
            spent_in_last(30).alias("SPENT_30_DAYS"),
            spent_in_last(90).alias("SPENT_90_DAYS"),
            spent_in_last(180).alias("SPENT_180_DAYS"),
        )
    )
    # The key breaks ties, so that the same rows always get the same quintiles.
    return customers.with_column(
        "RFM_SCORE",
        ntile(lit(5)).over(Window.order_by(col("DAYS_SINCE_LAST_ORDER").desc(), col("CUSTOMER_ID")))
        + ntile(lit(5)).over(Window.order_by(col("ORDER_COUNT"), col("CUSTOMER_ID")))
        + ntile(lit(5)).over(Window.order_by(col("TOTAL_SPENT"), col("CUSTOMER_ID"))),
    )


def churned(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """1 for a customer without an order in the 90 days from ``as_of`` on, else 0."""
    orders = sources["orders"]  # ends one horizon after as_of
    return orders.group_by("CUSTOMER_ID").agg(iff(max_("ORDER_DATE") >= lit(as_of), lit(0), lit(1)).alias("CHURNED"))
