"""The benchmark's features as a user of the product writes them: one scan, with the helpers of ``app.features.aggregates``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from snowflake.snowpark import Column, DataFrame
from snowflake.snowpark import functions as F

from app.features.aggregates import count, mean, ratio, recency, tenure, total, trailing

DAYS = (7, 30, 90)
_WINDOWED = {"ORDERS": count(), "SPENT": total("AMOUNT")}


def customer_orders(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """Trailing counts and sums, recency, tenure, the average gap, and what a customer has spent in all."""
    orders = sources["orders"]

    def recent(days: int, value: Column) -> Column:
        return F.iff(F.col("ORDER_DATE") >= F.lit(as_of - timedelta(days=days)), value, F.lit(None))

    first, last = F.min("ORDER_DATE"), F.max("ORDER_DATE")
    return orders.group_by("CUSTOMER_ID").agg(
        *(F.count(recent(days, F.lit(1))).alias(f"ORDERS_{days}_DAYS") for days in DAYS),
        *(
            F.coalesce(F.sum(recent(days, F.col("AMOUNT"))), F.lit(0)).cast("FLOAT").alias(f"SPENT_{days}_DAYS")
            for days in DAYS
        ),
        F.datediff("day", last, F.lit(as_of)).alias("RECENCY_DAYS"),
        F.datediff("day", first, F.lit(as_of)).alias("TENURE_DAYS"),
        ratio(F.datediff("day", first, last), F.count(F.lit(1)) - F.lit(1)).alias("AVERAGE_GAP_DAYS"),
        F.sum("AMOUNT").cast("FLOAT").alias("SPENT"),
        ratio(F.sum("AMOUNT"), F.count("AMOUNT")).alias("AVERAGE_ORDER"),
        F.max("AMOUNT").cast("FLOAT").alias("LARGEST_ORDER"),
    )


def customer_orders_by_helpers(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """The same by the helpers alone: two scans, joined."""
    orders = sources["orders"]
    windows = trailing(orders, "CUSTOMER_ID", "ORDER_DATE", as_of, DAYS, {"ORDERS": count(), "SPENT": total("AMOUNT")})
    lifetime = orders.group_by("CUSTOMER_ID").agg(
        recency("ORDER_DATE", as_of).alias("RECENCY_DAYS"),
        tenure("ORDER_DATE", as_of).alias("TENURE_DAYS"),
        ratio(F.datediff("day", F.min("ORDER_DATE"), F.max("ORDER_DATE")), F.count(F.lit(1)) - F.lit(1)).alias(
            "AVERAGE_GAP_DAYS"
        ),
        F.sum("AMOUNT").cast("FLOAT").alias("SPENT"),
        mean("AMOUNT").of(F.col("AMOUNT")).alias("AVERAGE_ORDER"),
        F.max("AMOUNT").cast("FLOAT").alias("LARGEST_ORDER"),
    )
    return windows.join(lifetime, "CUSTOMER_ID")


def windows_of_rows(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """The trailing windows alone, from the orders."""
    return trailing(sources["orders"], "CUSTOMER_ID", "ORDER_DATE", as_of, DAYS, _WINDOWED)


def windows_of_tiles(sources: Mapping[str, Any], as_of: datetime) -> DataFrame:
    """The same from daily tiles."""
    return trailing(sources["orders_tiles"], "CUSTOMER_ID", "ORDER_DATE", as_of, DAYS, _WINDOWED)


def ordered_again(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:
    """1 for a customer with an order in the 30 days from ``as_of`` on."""
    last = F.max("ORDER_DATE")
    return (
        sources["orders"]
        .group_by("CUSTOMER_ID")
        .agg(F.iff(last >= F.lit(as_of), F.lit(1), F.lit(0)).alias("ORDERED_AGAIN"))
    )
