"""The features by Polars' lazy queries, from a frame in memory."""

from __future__ import annotations

import os
from datetime import date, timedelta
from typing import Any

from protocol import Commands, serve


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    os.environ["POLARS_MAX_THREADS"] = str(job["threads"])
    import polars as pl

    columns = ["customer_id", "order_date", "amount"]
    orders = pl.read_parquet(job["orders"], columns=columns).with_columns(pl.col("amount").cast(pl.Float64))
    as_of = date.fromisoformat(job["as_of"])
    made: dict[str, pl.DataFrame] = {}

    def compute() -> None:
        at, amount, day = pl.lit(as_of), pl.col("amount"), pl.col("order_date")
        windows = []
        for window in job["days"]:
            recent = amount.filter(day >= as_of - timedelta(days=window))
            windows += [recent.count().alias(f"orders_{window}_days"), recent.sum().alias(f"spent_{window}_days")]
        length = (day.max() - day.min()).dt.total_days()
        made["features"] = (
            orders.lazy()
            .filter(day < as_of)
            .group_by("customer_id")
            .agg(
                *windows,
                (at - day.max()).dt.total_days().alias("recency_days"),
                (at - day.min()).dt.total_days().alias("tenure_days"),
                pl.when(pl.len() > 1).then(length / (pl.len() - 1)).alias("average_gap_days"),
                amount.sum().alias("spent"),
                amount.mean().alias("average_order"),
                amount.max().alias("largest_order"),
            )
            .collect(engine="streaming")
        )

    def write() -> dict[str, Any]:
        features = made["features"]
        totals = [len(features), *(int(features[name].cast(pl.Int64).sum()) for name in job["counts"])]
        features.filter(pl.col("customer_id") % job["share"] == 0).write_parquet(job["result"])
        return {"totals": totals}

    return f"Polars {pl.__version__}", {"compute": compute, "write": write}


if __name__ == "__main__":
    serve(load)
